//! Sampling from a causal model: many sequences at once, with a cache of keys and values and continuous batching.
//!
//! In reading order: `sampler` samples a token from logits; `text` grows the text and finds its end; `pages` and
//! `scheduler` decide what the next step computes, without a device; `engine` computes it; [`generator`] is the
//! loop around them, for prompts as tokens; `prompter`, `output` and `run` are `wgr generate`.

mod config;
// Public for the tests of whole models only, in `tests/models`.
#[doc(hidden)]
pub mod engine;
pub mod generator;
mod output;
mod pages;
mod prompter;
mod run;
mod sampler;
// Public for the tests of whole models only, in `tests/models`.
#[doc(hidden)]
pub mod scheduler;
mod text;

pub use config::{CacheDtype, GenerateConfig, Settings};
pub use generator::{Generated, Generator, seed_of};
pub use output::Row;
pub use prompter::Prompter;
pub use run::{GenerateSummary, generate};
pub use sampler::Sampling;
pub use scheduler::{Capacity, Request};
pub use text::Finish;

#[cfg(test)]
mod tests;
