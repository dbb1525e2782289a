//! `wgr eval`: from files and models to metrics.
//!
//! [`evaluate()`] is the run. [`suites`] reads files as their authors publish them, [`scores`] has a model, a server or a
//! file score them, [`report`] says what was found, in the terms of [`statistics`](crate::statistics), and [`page`] shows
//! it; [`benchmarks`] are the scoring rules of published suites. [`study`] trains models to compare, and evaluates them.

pub mod benchmarks;
mod config;
mod output;
pub mod page;
pub mod report;
mod run;
pub mod scores;
pub mod study;
pub mod suites;

pub use config::{EvalConfig, SuitePath};
pub use run::{Evaluation, evaluate};
