//! Direct preference optimization: a policy learns to prefer the better completion of a pair.
//!
//! In reading order: `config`, with the `loss`, and its validation; `encode` turns preference rows into token ids; `reference` computes
//! the reference model's log-probability of each completion, once, and `cache` keeps it; `step` takes one optimizer
//! step; `trainer` puts them together, with `measures` and `warnings` of every step and `saving` of the policy.
//! [`online`] trains on pairs that it makes itself, from the policy's own completions and a reward model.

mod cache;
mod config;
mod encode;
mod loss;
mod measures;
pub mod online;
mod plan;
mod reference;
mod room;
mod saving;
mod step;
mod trainer;
mod validate;
mod warnings;

pub use config::{DpoConfig, PolicyConfig};
pub use encode::{Counted, PairEncoder, PairReport, TokenPair};
pub use loss::LossConfig;
pub use measures::Measures;
pub use plan::plan;
pub use step::{MicroBatch, Outcome, Rated, Stepper};
pub use trainer::{DpoSummary, dpo};
