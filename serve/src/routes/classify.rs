//! `POST /classify`: vLLM's classification (`vllm/entrypoints/pooling/classify/protocol.py`), by which verl asks for rewards
//! (`verl/experimental/reward_loop`). It takes the last of `probs`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::openai::{Input, Usage};
use crate::app::App;
use crate::body::Body;
use crate::config::Classify;
use crate::failure::{Failure, Failures};
use crate::rewards::{self, Keep};

/// Texts, token ids or messages to score.
#[derive(Deserialize, ToSchema)]
#[schema(as = ClassifyRequest)]
pub(crate) struct Request {
    /// Texts or token ids.
    input: Option<Input>,
    /// A conversation that ends with the response to score; it goes through the model's template.
    #[schema(value_type = Option<Vec<Object>>)]
    messages: Option<Vec<Value>>,
    /// Variables of the chat template.
    #[schema(value_type = Option<Object>)]
    chat_template_kwargs: Option<Map<String, Value>>,
    /// Whether thresholds are answered as probabilities and not as logits; the score is the same either way.
    #[serde(alias = "activation", alias = "softmax")]
    use_activation: Option<bool>,
    /// Whether texts get the tokenizer's special tokens.
    add_special_tokens: Option<bool>,
    /// Tokens of a row that are scored; −1 for as many as the server allows.
    truncate_prompt_tokens: Option<i64>,
    /// Where the others are cut off; from the start unless said otherwise.
    truncation_side: Option<Side>,
}

/// An end of a row.
#[derive(Clone, Copy, Deserialize, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    /// The last tokens are kept.
    Left,
    /// The first tokens are kept.
    Right,
}

/// The scores of all rows, in their order.
#[derive(Serialize, ToSchema)]
#[schema(as = ClassifyResponse)]
pub(crate) struct Response {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    data: Vec<Classification>,
    usage: Usage,
}

/// The score of a row.
#[derive(Serialize, ToSchema)]
pub(crate) struct Classification {
    index: usize,
    /// What `probs` holds: `score`, or nothing where it is thresholds.
    label: Option<&'static str>,
    /// The score alone, or P(y > k) for every threshold k if the server was started with `--classify thresholds`.
    probs: Vec<f64>,
    num_classes: usize,
    /// Whether something was cut to fit the maximum length.
    truncated: bool,
}

/// Scores texts, token ids or a conversation.
#[utoipa::path(post, path = "/classify", request_body = Request, responses((status = 200, body = Response), Failures))]
pub(crate) async fn classify(
    State(app): State<Arc<App>>,
    Body(request): Body<Request>,
) -> Result<Json<Response>, Failure> {
    let rewards = app.rewards()?;
    let keep = keep(&request, rewards.served().model.encoder.max_length())?;
    let special = request.add_special_tokens.unwrap_or(true);
    let inputs = match (request.input, request.messages) {
        (Some(input), None) => input.rows(special, keep),
        (None, Some(messages)) => {
            if keep.is_some() {
                let problem = "conversations lose their oldest messages instead";
                return Err(Failure::input("truncate_prompt_tokens", problem));
            }
            vec![conversation(messages, request.chat_template_kwargs)?]
        }
        (Some(_), Some(_)) => return Err(Failure::input("messages", "`input` is given as well")),
        (None, None) => return Err(Failure::input("input", "is missing")),
    };
    let scores = rewards.score(inputs).await?;
    let usage = Usage::of(scores.rows.iter().map(|row| row.tokens));
    let data = scores.rows.into_iter().enumerate().map(|(index, row)| {
        let (label, probs) = match (app.config.classify, request.use_activation) {
            (Classify::Score, _) => (Some("score"), vec![row.score.score]),
            (Classify::Thresholds, Some(false)) => (None, row.score.logits.iter().copied().map(f64::from).collect()),
            (Classify::Thresholds, _) => (None, row.score.probs),
        };
        Classification { index, label, num_classes: probs.len(), probs, truncated: row.truncated }
    });
    let data = data.collect();
    let (id, created) = app.stamp("classify");
    Ok(Json(Response { id, object: "list", created, model: scores.model, data, usage }))
}

/// Scores texts, token ids or a conversation, as `/classify` does.
#[utoipa::path(post, path = "/v1/classify", request_body = Request, responses((status = 200, body = Response), Failures))]
pub(crate) async fn v1_classify(app: State<Arc<App>>, body: Body<Request>) -> Result<Json<Response>, Failure> {
    classify(app, body).await
}

/// The part of each row that the client wants scored.
fn keep(request: &Request, longest: usize) -> Result<Option<Keep>, Failure> {
    let start = request.truncation_side == Some(Side::Right);
    match request.truncate_prompt_tokens {
        None => Ok(None),
        Some(-1) => Ok(Some(Keep { tokens: longest, start })),
        Some(tokens @ 1..) => Ok(Some(Keep { tokens: tokens as usize, start })),
        Some(other) => {
            Err(Failure::input("truncate_prompt_tokens", format!("{other} is neither −1 nor a number of tokens")))
        }
    }
}

/// The row of a conversation.
fn conversation(messages: Vec<Value>, kwargs: Option<Map<String, Value>>) -> Result<rewards::Input, Failure> {
    let mut fields = Map::from_iter([("messages".to_owned(), json!(messages))]);
    fields.extend(kwargs.map(|kwargs| ("chat_template_kwargs".to_owned(), Value::Object(kwargs))));
    rewards::Input::object("messages".into(), fields).map(|(input, _)| input)
}
