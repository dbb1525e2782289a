//! The summary of a run.

use serde::Serialize;

use super::pairing::Skipped;
use crate::data::TruncationReport;
use crate::model::Reading;

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OnlineSummary {
    /// Steps taken in all.
    pub steps: u64,
    /// Of these, those with an update.
    pub updates: u64,
    /// Pairs learned from.
    pub pairs: u64,
    /// Prompts that made no pair.
    pub skipped: Skipped,
    /// Mean reward of the rollouts of the first step.
    pub first_score: Option<f64>,
    /// Mean reward of the rollouts of the last step.
    pub last_score: Option<f64>,
    /// Divergence of the policy from the reference in the last step, in nats per completion.
    pub kl: Option<f64>,
    /// Mean reward for held-out prompts before the first step.
    pub held_out_before: Option<f64>,
    /// Mean reward for held-out prompts after the last step.
    pub held_out_after: Option<f64>,
    /// Counts of what was cut from responses to fit the maximum length of the reward model.
    pub cut: TruncationReport,
    /// Signs that the reward is being gamed.
    pub warnings: Vec<String>,
    /// Whether the run was stopped early on request, with a checkpoint written.
    pub interrupted: bool,
    /// How the policy was read that the run began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// How the reward model was read, where one is run here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reward_reading: Option<Reading>,
}
