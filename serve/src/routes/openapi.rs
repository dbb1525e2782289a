//! `GET /openapi.json`.

use axum::Json;
use utoipa::OpenApi;

use super::{
    chat, classify, completions, embeddings, evaluation, get_reward, health, metrics, models, page, predict, reload,
    rewards,
};

/// The description of all routes.
#[derive(OpenApi)]
#[openapi(
    info(title = "wgr serve", description = "Rewards and text over HTTP, by the interfaces that trainers call."),
    paths(
        page::page,
        get_reward::get_reward,
        rewards::rewards,
        classify::classify,
        classify::v1_classify,
        embeddings::embeddings,
        predict::predict,
        evaluation::evaluation,
        completions::completions,
        chat::chat,
        models::models,
        reload::reload,
        health::health,
        metrics::metrics,
        openapi,
    )
)]
struct Api;

/// This description.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "An OpenAPI document.")))]
pub(crate) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Api::openapi())
}
