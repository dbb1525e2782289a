//! `POST /v1/embeddings`: how verl asks SGLang for rewards (`verl/experimental/reward_loop`). The only value of an
//! embedding is the score.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
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
    /// `float`, unless given, or `base64`: the bytes of little-endian 32-bit floats, to which scores are rounded.
    encoding_format: Option<Encoding>,
}

/// How an embedding is written.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    /// As a list of numbers.
    #[default]
    Float,
    /// As OpenAI's Python client asks for unless it is told otherwise.
    Base64,
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
    embedding: Vector,
    /// Whether something was cut to fit the maximum length.
    truncated: bool,
}

/// The score alone.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Vector {
    Float([f64; 1]),
    Base64(String),
}

/// Scores texts or token ids.
#[utoipa::path(post, path = "/v1/embeddings", request_body = Request, responses((status = 200, body = Response), Failures))]
pub(crate) async fn embeddings(
    State(app): State<Arc<App>>,
    Body(request): Body<Request>,
) -> Result<Json<Response>, Failure> {
    let scores = app.rewards()?.score(request.input.rows(true, None)).await?;
    let usage = Usage::of(scores.rows.iter().map(|row| row.tokens));
    let vector = |score: f64| match request.encoding_format.unwrap_or_default() {
        Encoding::Float => Vector::Float([score]),
        Encoding::Base64 => Vector::Base64(BASE64_STANDARD.encode((score as f32).to_le_bytes())),
    };
    let data = scores.rows.iter().enumerate().map(|(index, row)| Embedding {
        object: "embedding",
        index,
        embedding: vector(row.score.score),
        truncated: row.truncated,
    });
    Ok(Json(Response { object: "list", model: scores.model, data: data.collect(), usage }))
}
