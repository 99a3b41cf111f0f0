//! Whether the process answers. What its sources do is the affair of `/readyz` on the operators' listener.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the gateway answers; it says nothing about the sources.
#[utoipa::path(
    get,
    path = "/health",
    tag = "gateway",
    responses((status = 200, description = "The gateway answers.", body = Health)),
    security(())
)]
pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}
