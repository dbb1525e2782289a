//! What a run puts on record beside its metrics: rollouts.

use std::path::Path;

use serde_json::Value;

use super::metrics::Sampled;
use super::rollouts::{HELD_OUT, ROLLOUTS, Rollout, RolloutWriter};
use crate::Result;
use crate::report::metrics::{FILE_NAME, read};

/// The beginning of names that are of held-out prompts.
pub(super) const EVALUATION: &str = "eval/";

/// Rollouts of a run in progress, and what its steps and evaluations came to so far.
pub(super) struct Records {
    rollouts: RolloutWriter,
    held_out: RolloutWriter,
    /// After which step held-out prompts were sampled, and their mean reward.
    evaluations: Vec<(u64, f64)>,
    /// The metrics of the steps so far, in order.
    pub steps: Vec<Sampled>,
}

impl Records {
    /// Starts the files, or continues after `step` steps: what later ones wrote is dropped. Metrics of the steps before are
    /// read back.
    ///
    /// # Errors
    /// A file cannot be read or written, or holds a line that is none of it.
    pub(super) fn open(directory: &Path, step: u64) -> Result<Self> {
        let (mut evaluations, mut steps) = (vec![], vec![]);
        for row in read(&directory.join(FILE_NAME))? {
            steps.extend(Sampled::from_row(&row));
            let score = row.get(&format!("{EVALUATION}objective/scores")).and_then(Value::as_f64);
            evaluations.extend(row["step"].as_u64().zip(score));
        }
        // Rollouts of an evaluation whose row was not written any more are drawn again.
        let keeps = |of: u64| of <= step;
        let keeps_held_out = |of: u64| evaluations.iter().any(|(step, _)| *step == of);
        let goes_on = step > 0;
        Ok(Self {
            rollouts: RolloutWriter::open(directory, ROLLOUTS, goes_on.then_some(&keeps))?,
            held_out: RolloutWriter::open(directory, HELD_OUT, goes_on.then_some(&keeps_held_out))?,
            evaluations,
            steps,
        })
    }

    /// Writes the rollouts of a step.
    pub(super) fn rollouts(&mut self, rollouts: &[Rollout]) -> Result<()> {
        self.rollouts.write(rollouts)
    }

    /// The mean reward of held-out prompts after a step, if they were sampled then.
    pub(super) fn evaluated(&self, step: u64) -> Option<f64> {
        self.evaluations.iter().find(|(of, _)| *of == step).map(|(_, score)| *score)
    }

    /// Writes the rollouts of an evaluation, and keeps their mean reward.
    pub(super) fn evaluation(&mut self, step: u64, rollouts: &[Rollout], score: f64) -> Result<()> {
        self.held_out.write(rollouts)?;
        self.evaluations.push((step, score));
        Ok(())
    }
}
