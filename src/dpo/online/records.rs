//! The records written during a run: metrics, TensorBoard events, rollouts.

use std::path::Path;

use serde_json::{Map, Value};

use super::metrics::Sampled;
use super::rollouts::{HELD_OUT, ROLLOUTS, Rollout, RolloutWriter};
use crate::Result;
use crate::report::metrics::{FILE_NAME, StepMetrics, read};
use crate::train::records;

/// The beginning of names that are of held-out prompts.
pub const EVALUATION: &str = "eval/";

/// Writers of a run in progress.
pub struct Records {
    written: records::Records,
    rollouts: RolloutWriter,
    held_out: RolloutWriter,
    /// The evaluations so far: after which step, and the mean reward.
    pub evaluations: Vec<(u64, f64)>,
    /// The metrics of the steps so far, in order.
    pub steps: Vec<Sampled>,
}

impl Records {
    /// Starts the files, or continues after `step`: records of later steps are dropped.
    ///
    /// # Errors
    /// A file cannot be read or written, or holds a line that is none of it.
    pub fn open(directory: &Path, step: Option<u64>) -> Result<Self> {
        let written = records::Records::open(directory, step.unwrap_or(0))?;
        let (mut evaluations, mut steps) = (vec![], vec![]);
        for row in read(&directory.join(FILE_NAME))? {
            steps.extend(Sampled::from_row(&row));
            let score = row.get(&format!("{EVALUATION}objective/scores")).and_then(Value::as_f64);
            evaluations.extend(row["step"].as_u64().zip(score));
        }
        // Rollouts of an evaluation whose row was not written any more are drawn again.
        let keeps = |of: u64| step.is_some_and(|step| of <= step);
        let keeps_held_out = |of: u64| evaluations.iter().any(|(step, _)| *step == of);
        let goes_on = step.is_some();
        Ok(Self {
            written,
            rollouts: RolloutWriter::open(directory, ROLLOUTS, goes_on.then_some(&keeps))?,
            held_out: RolloutWriter::open(directory, HELD_OUT, goes_on.then_some(&keeps_held_out))?,
            evaluations,
            steps,
        })
    }

    /// Writes the rollouts of a step.
    pub fn rollouts(&mut self, rollouts: &[Rollout]) -> Result<()> {
        self.rollouts.write(rollouts)
    }

    /// Writes the row of a step.
    pub fn step(&mut self, metrics: &StepMetrics, sampled: Sampled) -> Result<()> {
        self.steps.push(sampled);
        self.written.step(metrics)
    }

    /// Whether held-out prompts were sampled after this step.
    pub fn is_evaluated(&self, step: u64) -> bool {
        self.evaluations.iter().any(|(of, _)| *of == step)
    }

    /// Writes an evaluation, `eval/…` names, with its rollouts and their mean reward.
    pub fn evaluation(
        &mut self,
        step: u64,
        metrics: &Map<String, Value>,
        rollouts: &[Rollout],
        score: f64,
    ) -> Result<()> {
        self.held_out.write(rollouts)?;
        self.evaluations.push((step, score));
        self.written.evaluation(step, metrics)
    }
}
