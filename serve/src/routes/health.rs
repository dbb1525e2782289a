//! `GET /health`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::failure::{Failure, Failures};

/// The server answers, and its devices compute.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    status: &'static str,
}

/// Whether the devices compute. One whose last batch failed is tried with one token.
#[utoipa::path(get, path = "/health", responses((status = 200, body = Health), Failures))]
pub(crate) async fn health(State(app): State<Arc<App>>) -> Result<Json<Health>, Failure> {
    if let Some(rewards) = &app.rewards {
        rewards.check().await.map_err(|error| Failure::Unhealthy(error.to_string()))?;
    }
    if let Some(generation) = &app.generation {
        generation.check().await.map_err(|failure| match failure {
            Failure::Device(problem) => Failure::Unhealthy(problem),
            other => other,
        })?;
    }
    Ok(Json(Health { status: "ok" }))
}
