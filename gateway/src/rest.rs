//! The REST listener: SQL and datasets over HTTP for callers without a Flight client.
//!
//! A call goes through [`envelope`] (its id, its log line, its problem if it fails), then [`caller`] (who asks), then
//! the file of its route: [`sql`], [`datasets`] or [`query`]. Rows leave through [`deliver`], encoded by [`encode`] in
//! the format that [`accept`] agreed on.
//!
//! Invariants
//! * Without credentials a caller sees `/health`, `/openapi.json` and `/docs`, and nothing else, not even whether a
//!   path exists.
//! * Every failure is a [`problem`] made from the one table in `status.rs`; every answer names its request.
//! * Rows are streamed and never collected; an answer that fails after its first byte ends as a broken one.
//! * A value from a request reaches the engine as a bound parameter, never as text of a statement.

mod accept;
mod arguments;
mod ask;
mod caller;
mod columns;
mod cursor;
#[expect(
    unused_qualifications,
    reason = "the OpenAPI macros write names of datasets in full"
)]
mod datasets;
mod deliver;
mod document;
mod encode;
mod envelope;
mod filter;
mod health;
mod identifier;
mod keyset;
#[expect(
    unused_qualifications,
    reason = "the OpenAPI macros write names of openapi in full"
)]
mod openapi;
mod order;
mod page;
mod parameters;
mod problem;
mod query;
mod select;
mod sql;
mod value;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::error::Error;
pub(crate) use encode::cells;
use problem::Refusal;

/// Every route of the REST listener.
pub(crate) fn router(app: Arc<App>) -> Router {
    let open = Router::new()
        .route("/health", get(health::health))
        .merge(openapi::browser())
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn(openapi::missing_page));
    let guarded = Router::new()
        .route("/v1/sql", post(sql::run))
        .route("/v1/datasets", get(datasets::list))
        .route("/v1/datasets/{id}", get(datasets::detail))
        .route("/v1/datasets/{id}/schema", get(datasets::schema))
        .route("/v1/datasets/{id}/preview", get(query::preview))
        .route(
            "/v1/datasets/{id}/query",
            get(query::from_arguments).post(query::from_document),
        )
        .method_not_allowed_fallback(no_such_method)
        .fallback(no_such_path)
        .layer(from_fn_with_state(Arc::clone(&app), caller::identify));
    guarded
        .merge(open)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&app), envelope::surround))
        .with_state(app)
}

async fn no_such_path(OriginalUri(uri): OriginalUri) -> Refusal {
    Refusal::from(Error::NotFound {
        what: "path",
        name: uri.path().to_owned(),
    })
}

async fn no_such_method(request: Request) -> Refusal {
    let what = format!("method {} at {}", request.method(), request.uri().path());
    Refusal::from(Error::Unsupported { what }).with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// A panic ends its own call and nothing else; its text goes to the log.
fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Refusal::from(Error::Internal {
        message: format!("panic: {text}"),
    })
    .into_response()
}

#[cfg(test)]
mod tests;
