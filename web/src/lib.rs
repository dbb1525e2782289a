//! wgr in a page: scoring, generating and training on the GPU of whoever looks at it.
//!
//! In reading order: `files` takes the files that were chosen; `engine` is the GPU; `reward_model`, `generation`, `plan`
//! and `training` are what it is for; `listener` and `warnings` tell the page what happens meanwhile; `types` is all of that in
//! TypeScript.
#![cfg(target_family = "wasm")]
#![allow(unreachable_pub, reason = "what the page reaches is `pub` in Rust, too")]

mod engine;
mod files;
mod generation;
mod json;
mod listener;
mod plan;
mod reward_model;
mod training;
mod types;
mod warnings;
