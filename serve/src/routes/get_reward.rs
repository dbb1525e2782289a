//! `POST /get_reward`: how OpenRLHF (`openrlhf/utils/remote_rm_utils.py`), WildReward (`deploy_rm/serve_rank.py`) and
//! `wgr dpo --online` ask for rewards.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::app::App;
use crate::body::Body;
use crate::failure::{Failure, Failures};
use crate::rewards::Input;

/// A text or several.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
pub(crate) enum Texts {
    /// A text.
    One(String),
    /// Texts.
    Many(Vec<String>),
}

/// Texts to score. What else clients send, such as `prompts` and `labels`, does not change a score.
#[derive(Deserialize, ToSchema)]
#[schema(as = GetRewardRequest)]
pub(crate) struct Request {
    /// The texts, each with prompt and response as the reward model was trained on them.
    query: Texts,
}

/// One number a text, in their order.
#[derive(Serialize, ToSchema)]
#[schema(as = GetRewardResponse)]
pub(crate) struct Response {
    rewards: Vec<f64>,
    /// The same numbers, for clients that filter prompts by them.
    scores: Vec<f64>,
    /// Numbers for the client's log; there are none.
    #[schema(value_type = Object)]
    extra_logs: Map<String, Value>,
    /// Of each text, whether something was cut to fit the maximum length.
    truncated: Vec<bool>,
}

/// Scores texts.
#[utoipa::path(post, path = "/get_reward", request_body = Request, responses((status = 200, body = Response), Failures))]
pub(crate) async fn get_reward(
    State(app): State<Arc<App>>,
    Body(request): Body<Request>,
) -> Result<Json<Response>, Failure> {
    let inputs = match request.query {
        Texts::One(text) => vec![Input::text("query".into(), text)],
        Texts::Many(texts) => Input::texts("query", texts),
    };
    let scores = app.rewards()?.score(inputs).await?;
    let rewards: Vec<f64> = scores.rows.iter().map(|row| row.score.score).collect();
    let truncated = scores.rows.iter().map(|row| row.truncated).collect();
    Ok(Json(Response { scores: rewards.clone(), rewards, extra_logs: Map::new(), truncated }))
}
