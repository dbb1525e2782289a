//! Online DPO: a policy learns from its own completions, which a reward rates as they come.
//!
//! One step: a `round` draws several completions a prompt (`rollouts`), has them rated (`rewards`) and asks policy and
//! reference for their log-probabilities; `pairing` sets the best of each prompt against its worst; the `learner` takes one
//! optimizer step on all pairs. `run` is the loop around it, `trainer` what opens models and files, `engine` the policy on
//! the device. `metrics`, `warnings`, `records` and `curves` say how it goes.

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
#[cfg(test)]
mod tests;
#[cfg(test)]
mod toy;
mod trainer;
mod warnings;

pub use config::OnlineConfig;
pub use pairing::Skipped;
pub use rewards::{ModelRewards, Response, Rewards, ServerRewards};
pub use run::OnlineSummary;
pub use trainer::{train, train_with};
