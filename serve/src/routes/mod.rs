//! The routes, one file for each family of clients.

mod chat;
mod classify;
mod completions;
mod embeddings;
mod evaluation;
mod get_reward;
mod health;
mod metrics;
mod models;
mod openai;
mod openapi;
mod page;
mod predict;
mod reload;
mod rewards;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::body::MAX_BYTES;
use crate::failure::Failure;
use crate::guard;

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/get_reward", post(get_reward::get_reward))
        .route("/v1/rewards", post(rewards::rewards))
        .route("/classify", post(classify::classify))
        .route("/v1/classify", post(classify::v1_classify))
        .route("/v1/embeddings", post(embeddings::embeddings))
        .route("/predict", post(predict::predict))
        .route("/v1/score/evaluation", post(evaluation::evaluation))
        .route("/v1/completions", post(completions::completions))
        .route("/v1/chat/completions", post(chat::chat))
        .route("/v1/models", get(models::models))
        .route("/v1/reload", post(reload::reload))
        .route("/health", get(health::health))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi::openapi))
        .fallback(async || Failure::NoRoute)
        .method_not_allowed_fallback(async || Failure::WrongMethod)
        .layer(CatchPanicLayer::custom(|_| -> Response { Failure::Bug.into_response() }))
        .layer(middleware::from_fn_with_state(app.clone(), guard::admit))
        .layer(middleware::from_fn_with_state(app.clone(), guard::answer))
        .layer(DefaultBodyLimit::max(MAX_BYTES))
        .with_state(app)
}
