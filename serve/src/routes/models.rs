//! `GET /v1/models`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::failure::Failures;

/// The models that are served.
#[derive(Serialize, ToSchema)]
pub(crate) struct Models {
    object: &'static str,
    data: Vec<Model>,
}

/// A model.
#[derive(Serialize, ToSchema)]
pub(crate) struct Model {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    /// Longest row or conversation in tokens.
    max_model_len: usize,
    /// What it is for: `rewards` or `generation`.
    task: &'static str,
}

/// The models that are served now.
#[utoipa::path(get, path = "/v1/models", responses((status = 200, body = Models), Failures))]
pub(crate) async fn models(State(app): State<Arc<App>>) -> Json<Models> {
    // Trainers that sample from a model read the first.
    let generation = app.generation.iter().map(|generation| {
        let served = generation.served();
        (served.name.clone(), served.max_model_len, "generation")
    });
    let rewards = app.rewards.iter().map(|rewards| {
        let served = rewards.served();
        (served.name.clone(), served.model.encoder.max_length(), "rewards")
    });
    let data = generation.chain(rewards).map(|(id, max_model_len, task)| Model {
        id,
        object: "model",
        created: app.started,
        owned_by: "wgr",
        max_model_len,
        task,
    });
    Json(Models { object: "list", data: data.collect() })
}
