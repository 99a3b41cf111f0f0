//! How the service is: pipelines, metrics, readiness.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::{Door, Peer, caller};
use crate::service::{self, Health, Running};
use crate::source::{Doing, State as SourceState};

#[derive(serde::Serialize)]
struct PipelineState<'a> {
    name: &'a str,
    description: &'a str,
    version: &'a str,
    pending: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourceState>,
    #[serde(flatten)]
    health: Health,
}

/// `GET /v1/pipelines`: every pipeline with what is pending and how its last cycle went.
pub(super) async fn pipelines(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    if let Err(problem) = caller::writer(&door, peer, &headers).await {
        return problem.into_response();
    }
    let mut states = Vec::new();
    for running in door.service.pipelines.values() {
        let pending = service::pending(&door.service.rooms.kernel, &running.pipeline).await;
        states.push(PipelineState {
            name: running.pipeline.name(),
            description: &running.pipeline.document().description,
            version: running.pipeline.version(),
            pending: pending.ok(),
            source: running.source(),
            health: running.health(),
        });
    }
    Json(serde_json::json!({ "pipelines": states })).into_response()
}

/// `GET /metrics`.
pub(super) async fn metrics(State(door): State<Arc<Door>>) -> String {
    door.service.rooms.metrics.page()
}

/// `GET /readyz`: the catalog answers and no pipeline stands still.
pub(super) async fn ready(State(door): State<Arc<Door>>) -> Response {
    let failing: Vec<&str> = door
        .service
        .pipelines
        .values()
        .filter(|running| running.health().failure.is_some() || stopped(running))
        .map(|running| running.pipeline.name())
        .collect();
    if let Err(error) = door.service.rooms.source.check().await {
        tracing::warn!(%error, "not ready");
        return (StatusCode::SERVICE_UNAVAILABLE, "the catalog does not answer\n").into_response();
    }
    if failing.is_empty() {
        "ready\n".into_response()
    } else {
        let line = format!("failing: {}\n", failing.join(", "));
        (StatusCode::SERVICE_UNAVAILABLE, line).into_response()
    }
}

/// Whether its source has ended for good; one that waits goes on by itself.
fn stopped(running: &Running) -> bool {
    running
        .source()
        .is_some_and(|source| source.doing == Doing::Stopped)
}
