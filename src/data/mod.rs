//! From files to packed token batches: rows, templates, tokenization, the sampler and packing.
//!
//! In reading order: `records` opens JSONL, JSON and parquet files; `rows` turns their objects into typed, checked
//! [`Row`]s of `message`s, `preference` pairs and `ratings`, or into [`prompts`], and `read_report` counts
//! repairs; `template` turns a conversation into the one prompt that training, scoring and evaluation share
//! (`chat_template` is the model's own, found in its `tokenizer_files`); `tokenize` encodes and truncates;
//! `sampler` orders rows into micro-batches; `packing` lays a batch end to end.

mod chat_template;
#[cfg(not(target_family = "wasm"))]
mod columns;
mod completions;
mod content_forms;
#[cfg(not(target_family = "wasm"))]
pub mod conversations;
mod elements;
mod feedback;
mod foreign;
mod hidden;
mod jinja;
pub(crate) mod json;
pub(crate) mod message;
mod opened;
mod packing;
#[cfg_attr(target_family = "wasm", path = "no_parquet_rows.rs")]
mod parquet_rows;
mod preference;
pub mod prompts;
mod python;
mod python_methods;
mod ratings;
mod read_report;
mod record;
pub(crate) mod records;
mod role;
pub(crate) mod rows;
mod sampler;
mod template;
mod template_error;
pub(crate) mod tokenize;
pub(crate) mod tokenizer_files;
pub(crate) mod tokenizer_settings;
mod truncate;
pub(crate) mod words;

pub use chat_template::{ChatTemplate, NamedTemplate, SpecialTokens};
pub use completions::{Completion, PackedCompletions, Placed};
#[cfg(not(target_family = "wasm"))]
pub use conversations::Conversation;
pub use feedback::Feedback;
pub use message::{Exchange, Message, TemplateInputs};
pub use packing::{Packed, scoring_batches};
pub use preference::Preference;
pub use ratings::RatingScale;
pub use read_report::ReadReport;
pub use record::{Record, Records};
pub use role::Role;
pub use rows::{Content, Purpose, Row, RowReader, parse_row, read_rated_rows, read_rows};
pub use sampler::Sampler;
pub use template::Template;
pub use tokenize::{Encoder, EncodingReport, Example, Overlong, TruncationReport, Vocabulary};
pub use tokenizer_files::TokenizerFiles;
