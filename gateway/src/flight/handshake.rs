//! Handshake: credentials in the headers, a bearer token in the headers of the answer. The payload is never needed: the
//! JDBC and ADBC drivers send none that matters, and read none.

use arrow_flight::{HandshakeRequest, HandshakeResponse};
use futures::{StreamExt, stream};
use http::HeaderMap;
use policies::Credentials;
use tonic::metadata::MetadataValue;
use tonic::{Response, Streaming};

use super::Answers;
use crate::app::App;
use crate::auth::{authenticate, credentials};
use crate::error::{Error, Result};

pub(super) async fn answer(
    app: &App,
    headers: &HeaderMap,
    messages: Streaming<HandshakeRequest>,
) -> Result<Response<Answers<HandshakeResponse>>> {
    let proven = authenticate(app, headers).await?;
    let token = match credentials(headers)? {
        Credentials::Bearer(token) => token.expose().to_owned(),
        Credentials::Basic { .. } => app.identity.mint(&proven.principal, &proven.options)?,
    };
    let payload = token.clone().into_bytes();
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
    response.metadata_mut().insert("authorization", bearer(&token)?);
    Ok(response)
}

/// The header that carries a token.
pub(super) fn bearer(token: &str) -> Result<MetadataValue<tonic::metadata::Ascii>> {
    format!("Bearer {token}").parse().map_err(|_| Error::Internal {
        message: "a token is not ASCII".to_owned(),
    })
}
