//! Logged conversations of many files, streamed in windows: WildChat parquet and JSONL, ShareGPT JSON, and rows of
//! `messages`.
//!
//! The first bytes of a file decide its format. `files` finds the files; `parquet` and `json` read one each, in the
//! background, into raw `row`s and send their conversations in `batch`es; `reader` collects them into windows, in the
//! order of the files regardless of threads.

mod batch;
mod conversation;
mod files;
mod irregular;
mod json;
mod parquet;
mod reader;
mod row;

pub use conversation::Conversation;
pub use irregular::{Irregular, Reason};
pub use reader::{Reader, Window};

#[cfg(test)]
mod tests;
