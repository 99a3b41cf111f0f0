//! Handshake: credentials in the headers, a bearer token in the headers of the answer. The payload is never needed: the
//! JDBC and ADBC drivers send none that matters, and read none.

use std::sync::Arc;

use arrow_flight::{HandshakeRequest, HandshakeResponse};
use futures::{StreamExt, stream};
use policies::Credentials;
use tonic::metadata::MetadataValue;
use tonic::{Response, Streaming};

use super::{Answers, Call};
use crate::app::App;
use crate::auth::credentials;
use crate::error::{Error, Result};
use crate::session::admit;

pub(super) async fn answer(
    app: &App,
    call: &Call,
    messages: Streaming<HandshakeRequest>,
) -> Result<Response<Answers<HandshakeResponse>>> {
    let peer = call.peer.as_ref();
    let (proven, entry, _) = admit(app, &call.incoming()).await?;
    drop(call.entry.set(Arc::clone(&entry)));
    entry.settled().await?;
    let token = match credentials(&call.headers, peer)? {
        Credentials::Bearer(token) => Some(token.expose().to_owned()),
        Credentials::Basic { .. } => Some(app.identity.mint(&proven.principal, None, &proven.options)?),
        // The certificate comes with every connection; there is nothing to hand out.
        Credentials::Certificate(_) => None,
    };
    let payload = token.clone().unwrap_or_default().into_bytes();
    // One answer for the first message, or for none: some clients half-close without sending.
    let answers = messages
        .take(1)
        .map(|_| ())
        .chain(stream::once(async {}))
        .take(1)
        .map(move |()| {
            Ok(HandshakeResponse {
                protocol_version: 0,
                payload: payload.clone().into(),
            })
        });
    let mut response = Response::new(answers.boxed() as Answers<HandshakeResponse>);
    if let Some(token) = token {
        response.metadata_mut().insert("authorization", bearer(&token)?);
    }
    Ok(response)
}

/// The header that carries a token.
pub(super) fn bearer(token: &str) -> Result<MetadataValue<tonic::metadata::Ascii>> {
    format!("Bearer {token}").parse().map_err(|_| Error::Internal {
        message: "a token is not ASCII".to_owned(),
    })
}
