//! How runs end.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::model::Reading;

/// How a training run ended.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TrainSummary {
    /// Optimizer steps taken in all.
    pub steps: u64,
    /// Loss of the first step of this run.
    pub first_loss: f64,
    /// Loss of the last step.
    pub last_loss: f64,
    /// Tokens trained on in this run.
    pub tokens: u64,
    /// Median tokens a second.
    pub tokens_per_second: f64,
    /// Last evaluation, `eval/…` names.
    pub evaluation: Map<String, Value>,
    /// Whether the run was stopped early on request, with a checkpoint written.
    pub interrupted: bool,
    /// How the model was read that it began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// The ranks it ran on, if there were several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranks: Option<RanksSummary>,
}

/// What it cost to train on several ranks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RanksSummary {
    /// The number of ranks.
    pub ranks: usize,
    /// Bytes that the first rank sent to others in this run.
    pub bytes_sent: u64,
    /// Seconds in which gradients were added up, with the wait for slower ranks; partly beside other work.
    pub seconds_in_sums: f64,
}

/// How a scoring run ended.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ScoreSummary {
    /// Rows scored.
    pub rows: usize,
    /// Tokens scored.
    pub tokens: u64,
    /// Tokens over wall-clock seconds.
    pub tokens_per_second: f64,
    /// Mean score.
    pub mean_score: f64,
    /// How the model was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
}
