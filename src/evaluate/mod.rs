//! `wgr eval`: from files and models to metrics.
//!
//! [`evaluate()`] is the run. [`suites`] reads files in their published formats, [`scores`] gets scores from a model, a
//! server or a file, [`report`] holds the results, in the terms of [`statistics`](crate::statistics), and [`page`]
//! shows them; `benchmarks` has one file per suite. [`study`] trains models to compare, and evaluates them.

mod benchmarks;
mod config;
mod items;
mod output;
pub mod page;
pub mod report;
mod run;
pub mod scores;
pub mod study;
pub mod suites;

pub use config::{EvalConfig, SuitePath};
pub use run::{Evaluation, evaluate};
