//! From logged chats to rated rows (WildChat → WildFB), one file per stage, in the order of the method (arXiv
//! 2602.08829, section 3).
//!
//! [`extract()`] reads [`conversations`](crate::data::conversations) window by window. `turn` finds responses with
//! the user message that follows; `filters` and `duplicates` drop turns that cannot be trained on; an `annotator`
//! reads the message as one of the five levels of [`Feedback`](crate::data::Feedback); `mining` gives neutral turns
//! the level of a later turn on the same topic, as judged by [`embeddings`]; refusals (`refusal`) are validated;
//! turns with a label become `instance`s, and the `split` divides the rows. [`report`] holds the counts, `page`
//! shows them, [`inspect`] finds single turns again, and [`compare`] measures the agreement of two annotators.

mod annotator;
pub mod compare;
mod config;
mod duplicates;
pub mod embeddings;
mod filters;
pub mod inspect;
mod instance;
mod lexical;
// Public for the tests of whole models only, in `tests/models`.
#[doc(hidden)]
pub mod mining;
mod output;
mod page;
mod pipeline;
mod pool;
mod refusal;
pub mod report;
mod split;
mod stages;
mod tally;
mod tools;
mod turn;

pub use annotator::Usage;
pub use config::{AnnotatorKind, ExtractConfig, Format, SplitBy, TestSize, Variant};
pub use pipeline::extract;
pub use turn::Turn;
