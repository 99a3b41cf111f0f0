//! What surrounds every answer: the name of the request, the problem of a refusal, the headers that all answers have,
//! one log line and one count.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method};

use crate::app::App;
use crate::rest::problem::{Refusal, render};
use crate::session::{REQUEST_ID, request_id};

/// The name of the call, for whoever comes after the envelope.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestName {
    /// Names it to the caller and in the log.
    pub(super) id: String,
    /// Its method and route.
    pub(super) route: String,
}

/// Runs the call inside its envelope.
pub(super) async fn surround(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let route = route(&request);
    request.extensions_mut().insert(RequestName {
        id: id.clone(),
        route: route.clone(),
    });
    let mut response = next.run(request).await;
    if let Some(refusal) = response.extensions_mut().remove::<Arc<Refusal>>() {
        response = render(response, &refusal, &id);
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static(REQUEST_ID), value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Answers depend on who asks and on the newest snapshot; nothing between may keep them.
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let (status, elapsed) = (response.status(), started.elapsed());
    tracing::info!(request = id, route, status = status.as_u16(), elapsed = ?elapsed, "answered");
    app.metrics
        .answered("rest", &route, status.as_str(), elapsed.as_secs_f64());
    response
}

/// Method and route of a call as one of a bounded set of names: a caller cannot make new ones.
fn route(request: &Request) -> String {
    let method = match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => "OTHER",
    };
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unknown", MatchedPath::as_str);
    format!("{method} {path}")
}
