//! Online DPO: a policy learns from its own completions, rated by a reward model as they come.
//!
//! One step: a `round` samples several completions per prompt (`rollouts`), has them rated (`rewards`) and asks policy
//! and reference model for their log-probabilities; `pairing` pairs the best of each prompt with its worst; the
//! `learner` takes one optimizer step on all pairs. `run` makes it a method of `train::course`, `trainer` opens models and files,
//! `engine` is the policy on the device. `metrics`, `warnings`, `records` and `curves` report on the run.

mod config;
mod curves;
mod engine;
mod learner;
mod metrics;
mod pairing;
#[cfg(test)]
mod proof;
mod records;
mod repetition;
mod rewards;
mod rollouts;
mod round;
mod run;
mod state;
mod summary;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod toy;
mod trainer;
mod warnings;

pub use config::OnlineConfig;
pub use pairing::Skipped;
pub use rewards::{ModelRewards, Response, Rewards, ServerRewards};
pub use summary::OnlineSummary;
pub use trainer::{train, train_with};
