//! `POST /v1/rewards`: rows as `wgr score` takes them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use wgr::data::ReadReport;

use crate::app::App;
use crate::body::Body;
use crate::failure::{Failure, Failures};
use crate::rewards::{self, Input};

/// Rows to score.
#[derive(Deserialize, ToSchema)]
#[schema(as = RewardsRequest)]
pub(crate) struct Request {
    /// Each has a `text`, or `messages` with an optional `history`, which go through the model's template; and an optional
    /// `id`.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<Map<String, Value>>,
}

/// The scores of all rows, in their order.
#[derive(Serialize, ToSchema)]
#[schema(as = RewardsResponse)]
pub(crate) struct Response {
    /// The model that scored all rows.
    model: String,
    results: Vec<Outcome>,
    /// What was repaired, translated or ignored in the rows, one line each.
    notes: Vec<String>,
}

/// What became of a row.
#[derive(Serialize, ToSchema)]
pub(crate) struct Outcome {
    /// The row's own id, or its place, such as `rows[0]`.
    id: String,
    #[serde(flatten)]
    scored: Scored,
}

/// The score of a row, or why it has none.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Scored {
    Reward(Reward),
    NoReward {
        /// Its batch failed, or its logits are not finite.
        error: String,
    },
}

/// The score of a row.
#[derive(Serialize, ToSchema)]
pub(crate) struct Reward {
    /// The expected level; the logit itself for heads without thresholds.
    score: f64,
    /// One logit a threshold.
    logits: Vec<f64>,
    /// P(y > k) for each threshold k.
    probs: Vec<f64>,
    /// Tokens that were scored.
    tokens: usize,
    /// Whether something was cut to fit the maximum length.
    truncated: bool,
}

/// Scores rows. One that has no score has an `error` in its place; if none has a score, the request is answered with 500.
#[utoipa::path(post, path = "/v1/rewards", request_body = Request, responses((status = 200, body = Response), Failures))]
pub(crate) async fn rewards(
    State(app): State<Arc<App>>,
    Body(request): Body<Request>,
) -> Result<Json<Response>, Failure> {
    let mut report = ReadReport::default();
    let mut inputs = vec![];
    for (number, fields) in request.rows.into_iter().enumerate() {
        let (input, of_row) = Input::object(format!("rows[{number}]"), fields)?;
        report += of_row;
        inputs.push(input);
    }
    let ids: Vec<String> = inputs.iter().map(Input::id).collect();
    let scores = app.rewards()?.score_each(inputs).await?;
    if let Some(Err(problem)) = scores.rows.iter().min_by_key(|row| row.is_err()) {
        return Err(Failure::Device(format!("no row has a score: {problem}")));
    }
    let outcome = |(id, row): (String, Result<_, String>)| {
        let scored = row.map_or_else(|error| Scored::NoReward { error }, |row| Scored::Reward(Reward::of(row)));
        Outcome { id, scored }
    };
    let results = ids.into_iter().zip(scores.rows).map(outcome).collect();
    Ok(Json(Response { model: scores.model, results, notes: report.notes() }))
}

impl Reward {
    fn of(row: rewards::Scored) -> Self {
        let wgr::train::Score { score, logits, probs } = row.score;
        // Written with all their digits, as `wgr score` writes them.
        let logits = logits.into_iter().map(f64::from).collect();
        Self { score, logits, probs, tokens: row.tokens, truncated: row.truncated }
    }
}
