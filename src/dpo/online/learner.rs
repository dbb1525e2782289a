//! The interface of a policy to the loop. The engine's is [`super::engine`]; tests use a table of probabilities
//! instead.

use std::path::PathBuf;

use super::state::Progress;
use crate::data::Completion;
use crate::train::course::Updated;
use crate::{Observer, Result};

/// A completion to draw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    /// Token ids of the prompt.
    pub prompt: &'a [u32],
    /// The seed of its random numbers.
    pub seed: u64,
}

/// A completion drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draw {
    /// Its tokens, the one that ended it included; never empty.
    pub tokens: Vec<u32>,
    /// Its text, without special tokens.
    pub text: String,
    /// Whether it ended before the limit.
    pub ended: bool,
}

/// The log-probabilities of a completion under policy and reference model: sums over its tokens, in f32 on the same
/// kernels, at temperature 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LogProbs {
    /// Log-probability under the policy.
    pub policy: f64,
    /// Log-probability under the reference.
    pub reference: f64,
    /// Mean entropy of the policy's distributions over its tokens.
    pub entropy: f64,
}

/// A completion that is learned from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Learned {
    /// Prompt and completion.
    pub completion: Completion,
    /// Its log-probability under the reference.
    pub reference: f64,
}

/// A policy that is sampled from and learns.
pub(super) trait Learner {
    /// Samples one completion per request. It depends on the weights, the prompt and the seed, not on other requests.
    /// Ends with [`crate::Error::Interrupted`] if the observer asks to stop.
    async fn sample(&mut self, requests: &[Request<'_>], observer: &dyn Observer) -> Result<Vec<Draw>>;

    /// Rates completions with the weights as they are.
    async fn log_probs(&mut self, completions: &[Completion]) -> Result<Vec<LogProbs>>;

    /// Takes one optimizer step on all pairs, chosen before rejected, which all ranks have and share out. `updates` counts the updates before. Where loss or
    /// gradient is not finite, the weights stay.
    async fn update(&mut self, pairs: &[[Learned; 2]], updates: u64, learning_rate: f64) -> Result<Updated>;

    /// Writes weights, moments and progress into the output.
    async fn save_checkpoint(&self, progress: Progress) -> Result<PathBuf>;
}
