//! The events of a run, for its observer.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::data::TruncationReport;
use crate::model::Reading;
use crate::model::plan::MemoryPlan;
pub use crate::report::metrics::StepMetrics;

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
}

/// Progress of scoring.
#[derive(Debug, Clone, Copy)]
pub struct ScoreProgress {
    /// Rows scored so far.
    pub rows: usize,
    /// Rows in all.
    pub total: usize,
    /// Tokens scored so far.
    pub tokens: u64,
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

/// Watches a run and may ask it to stop. All methods but none are optional.
pub trait Observer {
    /// Something worth one line: what was loaded, truncated, resumed.
    fn note(&mut self, _line: &str) {}
    /// Rows were tokenized.
    fn tokenized(&mut self, _rows: usize, _tokens: u64, _truncation: &TruncationReport) {}
    /// The memory plan, before anything large is allocated.
    fn planned(&mut self, _plan: &MemoryPlan) {}
    /// How many optimizer steps the run will take in all, and how many are already done.
    fn steps(&mut self, _total: u64, _done: u64) {}
    /// A step was taken. `peak_share` is the achieved FLOP/s over the adapter's measured peak.
    fn step(&mut self, _metrics: &StepMetrics, _peak_share: f64) {}
    /// An evaluation ended, `eval/…` names.
    fn evaluated(&mut self, _step: u64, _metrics: &Map<String, Value>) {}
    /// A batch was scored.
    fn scored(&mut self, _progress: ScoreProgress) {}
    /// Whether to stop at the next step.
    fn stop_requested(&self) -> bool {
        false
    }
}

/// Watches nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
