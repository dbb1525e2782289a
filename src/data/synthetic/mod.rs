//! Synthetic text for demonstrations, measurements and tests; the same for the same seed on every platform.
//!
//! [`logs`] are conversations as logged by a chat service, for `wgr extract`; [`tokenizer()`] tokenizes them.

pub mod logs;
mod tokenizer;

pub use tokenizer::tokenizer;
