//! `POST /v1/embeddings`: how verl asks SGLang for rewards (`verl/experimental/reward_loop`). The only value of an
//! embedding is the score.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::openai::{Input, Usage};
use crate::app::App;
use crate::body::Body;
use crate::failure::{Failure, Failures};

/// Texts or token ids to score.
#[derive(Deserialize, ToSchema)]
#[schema(as = EmbeddingsRequest)]
pub(crate) struct Request {
    /// Texts or token ids.
    input: Input,
    /// Only `float`: base64 would cut scores to 32 bits.
    encoding_format: Option<String>,
}

/// The scores of all rows, in their order.
#[derive(Serialize, ToSchema)]
#[schema(as = EmbeddingsResponse)]
pub(crate) struct Response {
    object: &'static str,
    model: String,
    data: Vec<Embedding>,
    usage: Usage,
}

/// The score of a row.
#[derive(Serialize, ToSchema)]
pub(crate) struct Embedding {
    object: &'static str,
    index: usize,
    /// The score alone.
    embedding: [f64; 1],
    /// Whether something was cut to fit the maximum length.
    truncated: bool,
}

/// Scores texts or token ids.
#[utoipa::path(post, path = "/v1/embeddings", request_body = Request, responses((status = 200, body = Response), Failures))]
pub(crate) async fn embeddings(
    State(app): State<Arc<App>>,
    Body(request): Body<Request>,
) -> Result<Json<Response>, Failure> {
    if let Some(format) = request.encoding_format.filter(|format| format != "float") {
        return Err(Failure::input("encoding_format", format!("{format:?} is not supported, only \"float\"")));
    }
    let scores = app.rewards()?.score(request.input.rows(true, None)).await?;
    let usage = Usage::of(scores.rows.iter().map(|row| row.tokens));
    let data = scores.rows.iter().enumerate().map(|(index, row)| Embedding {
        object: "embedding",
        index,
        embedding: [row.score.score],
        truncated: row.truncated,
    });
    Ok(Json(Response { object: "list", model: scores.model, data: data.collect(), usage }))
}
