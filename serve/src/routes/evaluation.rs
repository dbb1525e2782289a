//! `POST /v1/score/evaluation`: LlamaFactory's API (`src/llamafactory/api/protocol.py`).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::body::Body;
use crate::failure::{Failure, Failures};
use crate::rewards::{Input, Keep};

/// Texts to score.
#[derive(Deserialize, ToSchema)]
#[schema(as = EvaluationRequest)]
pub(crate) struct Request {
    messages: Vec<String>,
    /// Tokens of a text that are scored, its last ones.
    max_length: Option<usize>,
}

/// One score a text, in their order.
#[derive(Serialize, ToSchema)]
#[schema(as = EvaluationResponse)]
pub(crate) struct Response {
    id: String,
    object: &'static str,
    model: String,
    scores: Vec<f64>,
    /// Of each text, whether something was cut to fit the maximum length.
    truncated: Vec<bool>,
}

/// Scores texts.
#[utoipa::path(post, path = "/v1/score/evaluation", request_body = Request, responses((status = 200, body = Response), Failures))]
pub(crate) async fn evaluation(
    State(app): State<Arc<App>>,
    Body(request): Body<Request>,
) -> Result<Json<Response>, Failure> {
    let mut inputs = Input::texts("messages", request.messages);
    if let Some(tokens) = request.max_length {
        inputs.iter_mut().for_each(|input| input.keep(Keep { tokens, start: false }));
    }
    let scores = app.rewards()?.score(inputs).await?;
    let (id, _) = app.stamp("scoreval");
    Ok(Json(Response {
        id,
        object: "score.evaluation",
        model: scores.model,
        scores: scores.rows.iter().map(|row| row.score.score).collect(),
        truncated: scores.rows.iter().map(|row| row.truncated).collect(),
    }))
}
