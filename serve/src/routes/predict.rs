//! `POST /predict`: text-embeddings-inference (`router/src/http/types.rs`).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::body::Body;
use crate::failure::{Failure, Failures};
use crate::rewards::{Input, Scored};

/// Texts to score. `raw_scores` changes nothing: a score is never squashed.
#[derive(Deserialize, ToSchema)]
#[schema(as = PredictRequest)]
pub(crate) struct Request {
    inputs: Inputs,
    /// Whether a text that is too long is cut; as the server was started unless said otherwise.
    truncate: Option<bool>,
}

/// A text or several.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a string, a list of strings or a list of lists of one string")]
pub(crate) enum Inputs {
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// Texts, each in a list of its own.
    Lists(Vec<Vec<String>>),
}

/// The predictions for a text, or those for each of several.
#[derive(Serialize, ToSchema)]
#[schema(as = PredictResponse)]
#[serde(untagged)]
pub(crate) enum Response {
    /// For a text.
    One(Vec<Prediction>),
    /// For several.
    Many(Vec<Vec<Prediction>>),
}

/// The score of a text.
#[derive(Serialize, ToSchema)]
pub(crate) struct Prediction {
    score: f64,
    label: &'static str,
    /// Whether something was cut to fit the maximum length.
    truncated: bool,
}

/// Scores texts.
#[utoipa::path(post, path = "/predict", request_body = Request, responses((status = 200, body = Response), Failures))]
pub(crate) async fn predict(
    State(app): State<Arc<App>>,
    Body(request): Body<Request>,
) -> Result<Json<Response>, Failure> {
    let is_one = matches!(request.inputs, Inputs::Text(_));
    let mut inputs = match request.inputs {
        Inputs::Text(text) => vec![Input::text("inputs".into(), text)],
        Inputs::Texts(texts) => Input::texts("inputs", texts),
        Inputs::Lists(lists) => lists.into_iter().enumerate().map(alone).collect::<Result<_, _>>()?,
    };
    inputs.iter_mut().for_each(|input| input.whole = request.truncate == Some(false));
    let scores = app.rewards()?.score(inputs).await?;
    let prediction =
        |row: Scored| vec![Prediction { score: row.score.score, label: "score", truncated: row.truncated }];
    let mut predictions = scores.rows.into_iter().map(prediction);
    Ok(Json(match is_one {
        true => Response::One(predictions.next().unwrap_or_default()),
        false => Response::Many(predictions.collect()),
    }))
}

/// The only text of a list.
fn alone((place, mut list): (usize, Vec<String>)) -> Result<Input, Failure> {
    let field = format!("inputs[{place}]");
    match (list.pop(), list.is_empty()) {
        (Some(text), true) => Ok(Input::text(field, text)),
        _ => Err(Failure::input(field, "a reward model scores one text, not a pair")),
    }
}
