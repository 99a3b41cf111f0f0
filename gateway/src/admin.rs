//! The operators' listener: metrics and probes. It has no authentication and is bound to loopback by default.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::app::App;
use crate::status::Answer;

/// `/metrics`, `/livez`, `/readyz`.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state(app)
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    match app.metrics.text(&app) {
        Ok(text) => ([("content-type", "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            Answer::of(&error, "metrics").message,
        )
            .into_response(),
    }
}

/// Ready while the process serves, the keys of every issuer are there, the policies are confirmed and the audit trail is written;
/// each line names one. A source
/// that is down fails its own queries: taking the gateways out of service for it would fail all others as well.
async fn ready(State(app): State<Arc<App>>) -> Response {
    let mut status = StatusCode::OK;
    let mut text = String::new();
    for (name, outcome) in app.engine.check().await {
        match outcome {
            Ok(()) => text.push_str(&format!("ok {name}\n")),
            Err(error) => text.push_str(&format!("down {name}: {error}\n")),
        }
    }
    for (name, is_open) in app.identity.issuers() {
        if is_open {
            text.push_str(&format!("ok issuer {name}\n"));
        } else {
            status = StatusCode::SERVICE_UNAVAILABLE;
            text.push_str(&format!("FAIL issuer {name}: its keys cannot be had\n"));
        }
    }
    if app.policies.is_fresh() {
        text.push_str("ok policies\n");
    } else {
        status = StatusCode::SERVICE_UNAVAILABLE;
        text.push_str("FAIL policies: it is not known whether others are in force, and no table is read\n");
    }
    if let Some(counts) = app.audit.counts() {
        if counts.is_failing() {
            status = StatusCode::SERVICE_UNAVAILABLE;
            text.push_str("FAIL audit: the trail cannot be written, and calls wait for it\n");
        } else {
            text.push_str("ok audit\n");
        }
    }
    (status, text).into_response()
}
