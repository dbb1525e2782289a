//! Sampling from a causal model: many sequences at once, with a cache of keys and values and continuous batching.
//!
//! In reading order: `shortlist` is what the device tells of logits, `sampler` draws a token by it, and `log_prob` tells how
//! likely it was; `text` grows the text and finds its end; `pages` and `scheduler` decide what the next step computes,
//! without a device; `engine` computes it; `session` is a step of all of them, for completions that come and go;
//! [`generator`] is the loop around it, for prompts as tokens; `causal_model` loads it, and `prompter` makes the tokens;
//! `output` and `run` are `wgr generate`.

mod causal_model;
mod config;
// Public for the tests of whole models only, in `tests/models`.
#[doc(hidden)]
pub mod engine;
pub mod generator;
mod log_prob;
mod output;
mod pages;
mod prompter;
mod run;
mod sampler;
// Public for the tests of whole models only, in `tests/models`.
#[doc(hidden)]
pub mod scheduler;
mod session;
#[doc(hidden)]
pub mod shortlist;
mod text;

pub use causal_model::{CausalModel, plan};
pub use config::{CacheDtype, GenerateConfig, Settings};
pub use generator::{Generator, capacity, seed_of};
pub use log_prob::TokenLogProb;
pub use output::Row;
pub use prompter::Prompter;
pub use run::{GenerateSummary, generate};
pub use sampler::Sampling;
pub use scheduler::{Capacity, Request};
pub use session::{Generated, Grown, Growth, Session};
pub use text::Finish;

#[cfg(test)]
mod tests;
