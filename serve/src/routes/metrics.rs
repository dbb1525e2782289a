//! `GET /metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::app::App;
use crate::failure::Failures;
use crate::generation::Generation;
use crate::rewards::Rewards;

/// Counts of what the server does, as Prometheus reads them.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = "text/plain"), Failures))]
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let completions = app.generation.as_ref().map(Generation::queue);
    let text = app.metrics.text(app.rewards.as_ref().map(Rewards::queue), completions);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
