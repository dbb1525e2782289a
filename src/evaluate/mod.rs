//! `wgr eval`: from files and models to metrics.
//!
//! [`evaluate()`] is the run. `suites` reads files in their published formats, `scores` gets scores from a model, a
//! server or a file, [`report`] holds the results, in the terms of [`statistics`](crate::statistics), and `page`
//! shows them; `benchmarks` has one file per suite. [`study`] trains models to compare, and evaluates them.

mod benchmarks;
mod config;
mod items;
mod output;
mod page;
pub mod report;
mod run;
mod scores;
pub mod study;
mod suites;

pub use benchmarks::{Part, Published, SuiteName};
pub use config::{EvalConfig, SuitePath};
pub use run::{Evaluation, evaluate};
pub use scores::{ModelInfo, Origin};
