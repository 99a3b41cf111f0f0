//! Who calls. [`identify`] stands before every route but the open ones; a route takes its [`Caller`] as an argument
//! and so cannot be reached by anybody who was not proven.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use http::request::Parts;
use planner::CacheMode;

use crate::app::App;
use crate::error::Error;
use crate::peer::Peer;
use crate::rest::envelope::RequestName;
use crate::rest::problem::Refusal;
use crate::session::RequestContext;

/// A proven caller with the context of the call.
#[derive(Clone, Debug)]
pub(super) struct Caller(pub(super) RequestContext);

/// Proves the caller, or answers 401.
pub(super) async fn identify(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let id = request
        .extensions()
        .get::<RequestName>()
        .map(|name| name.0.clone())
        .unwrap_or_default();
    let peer = Peer::of(request.extensions());
    match RequestContext::open(&app, request.headers(), peer.as_ref(), &id).await {
        Ok(mut context) => {
            if let Some(mode) = cache_mode(request.headers()) {
                context.session.cache = mode;
            }
            request.extensions_mut().insert(Caller(context));
            next.run(request).await
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
