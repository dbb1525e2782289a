//! Logged conversations of many files, streamed in windows: WildChat parquet and JSONL, ShareGPT JSON, and rows of
//! `messages`.
//!
//! What a file is, its first bytes say. `files` finds them; `parquet` and `json` read one each, in the background,
//! into raw `row`s; `reader` puts their conversations into windows, in the order of the files whatever the threads do.

mod conversation;
mod elements;
mod files;
mod irregular;
mod json;
mod parquet;
mod reader;
mod row;

pub use conversation::Conversation;
pub use irregular::{Irregular, Reason};
pub(crate) use json::with_paired_surrogates;
pub use reader::{Reader, Window};

#[cfg(test)]
mod tests;
