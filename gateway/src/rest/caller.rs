//! Who calls. [`identify`] stands before every route but the open ones; a route takes its [`Caller`] as an argument
//! and so cannot be reached by anybody who was not proven.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use planner::CacheMode;

use crate::admission::Room;
use crate::app::App;
use crate::audit::Outcome;
use crate::error::Error;
use crate::peer::Peer;
use crate::rest::envelope::RequestName;
use crate::rest::problem::Refusal;
use crate::session::{Incoming, RequestContext};

/// A proven caller with the context of the call.
#[derive(Clone, Debug)]
pub(super) struct Caller(pub(super) RequestContext);

/// Proves the caller, or answers 401.
pub(super) async fn identify(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let name = request
        .extensions()
        .get::<RequestName>()
        .cloned()
        .unwrap_or_default();
    let peer = Peer::of(request.extensions());
    let call = Incoming {
        protocol: "rest",
        method: &name.route,
        id: &name.id,
        headers: request.headers(),
        peer: peer.as_ref(),
    };
    match RequestContext::open(&app, &call).await {
        Ok(mut context) => {
            if let Some(mode) = cache_mode(request.headers()) {
                context.session.cache = mode;
            }
            let (entry, room) = (Arc::clone(&context.entry), context.room);
            request.extensions_mut().insert(Caller(context));
            let mut response = next.run(request).await;
            // Nothing is changed by a call of this door, so that its start is waited for when the answer is there.
            if let Err(error) = entry.settled().await {
                response = Refusal::from(error).into_response();
            }
            match response.extensions().get::<Arc<Refusal>>() {
                Some(refusal) => entry.conclude(refusal.outcome()),
                None if entry.is_streaming() => {}
                None => entry.conclude(Outcome::ok()),
            }
            tell(&mut response, room);
            response
        }
        Err(error) => Refusal::from(error).into_response(),
    }
}

/// What the caller says of rows that were made before (RFC 9111, 5.2.1): `no-cache` wants new ones, `no-store` wants
/// none kept either.
fn cache_mode(headers: &HeaderMap) -> Option<CacheMode> {
    let said = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|word| word.trim().to_ascii_lowercase());
    let said: Vec<String> = said.collect();
    let says = |word: &str| said.iter().any(|said| said == word);
    match (says("no-store"), says("no-cache")) {
        (true, _) => Some(CacheMode::Off),
        (false, true) => Some(CacheMode::Refresh),
        (false, false) => None,
    }
}

/// Puts what is left of the caller's requests into the headers.
pub(super) fn tell(response: &mut Response, room: Option<Room>) {
    for (name, value) in room.iter().flat_map(Room::headers) {
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let missing = || {
            Refusal::from(Error::Internal {
                message: "a route without a proven caller".to_owned(),
            })
        };
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}
