//! Sampling from a causal model: many sequences at once, with a cache of keys and values and continuous batching.
//!
//! In reading order: [`sampler`] samples a token from logits; [`text`] grows the text and finds its end; [`pages`] and
//! [`scheduler`] decide what the next step computes, without a device; [`engine`] computes it; [`generator`] is the
//! loop around them, for prompts as tokens; [`prompter`], [`output`] and [`run`] are `wgr generate`.

pub mod config;
pub mod engine;
pub mod generator;
pub mod output;
pub mod pages;
pub mod prompter;
pub mod run;
pub mod sampler;
pub mod scheduler;
pub mod text;

pub use config::{CacheDtype, GenerateConfig, Settings};
pub use generator::{Generated, Generator, seed_of};
pub use prompter::Prompter;
pub use run::{GenerateSummary, generate};
pub use sampler::Sampling;
pub use scheduler::{Capacity, Request};
pub use text::Finish;

#[cfg(test)]
mod tests;
