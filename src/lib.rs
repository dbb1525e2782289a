//! Reward models on any GPU: chat feedback in, a calibrated ordinal reward model out, on WGSL shaders.
//!
//! Train on rows held in memory, then score a text with the model:
//!
//! ```
//! use wgr::Silent;
//! use wgr::data::Row;
//! use wgr::gpu::AdapterChoice;
//! use wgr::kernels::{self, Passes};
//! use wgr::train::{RewardModel, TrainConfig, TrainerConfig, train_on};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let output = folder.path().join("reward-model");
//! # pollster::block_on(async {
//! let gpu = kernels::open(&AdapterChoice::default(), Passes::ForwardAndBackward).await?;
//! let rows = [Row::new("right", "2 + 2 = 4").labelled(4.0), Row::new("wrong", "2 + 2 = 5").labelled(1.0)];
//! let trainer = TrainerConfig { output: output.clone(), ..TrainerConfig::default() };
//! let config = TrainConfig { model: "examples/tiny-llama".into(), trainer, ..TrainConfig::default() };
//! train_on(&gpu, &config, &rows, &[], &mut Silent).await?;
//!
//! let model = RewardModel::open(output.to_str().unwrap())?;
//! let scores = model.load(&gpu, &mut Silent)?.score(["2 + 2 = 4"]).await?;
//! assert!((1.0..=4.0).contains(&scores[0].score));
//! # Ok::<(), wgr::Error>(())
//! # }).unwrap();
//! ```
//!
//! The types that matter: [`TrainConfig`](train::TrainConfig) says what to train on which [`Row`](data::Row)s,
//! [`RewardModel`](train::RewardModel) scores texts with the result, a [`Gpu`](gpu::Gpu) is the adapter that computes,
//! and an [`Observer`] hears of everything that happens on the way. All errors are one type, [`Error`].
//!
//! `examples/` holds programs that [train](train::train_on), [score](train::RewardModel), [generate](generate::generate)
//! and dispatch a kernel of their own. The command line calls the same functions, one for each command:
//! [`extract()`](extract::extract), [`train()`](train::train), [`score()`](train::score), [`dpo()`](dpo::dpo),
//! [`online::train()`](dpo::online::train), [`evaluate()`](evaluate::evaluate), [`study()`](evaluate::study::study) and
//! [`generate()`](generate::generate).
//!
//! The rooms, in reading order:
//!
//! - [`gpu`]: the host runtime. Adapters, tensors, shaders, recordings; it knows nothing of transformers.
//! - [`kernels`]: one file per operation, forward and backward; each has a shader of the same name and a
//!   CPU twin in [`mod@reference`].
//! - [`model`]: configurations, checkpoints (safetensors, GGUF), and the decoder and encoder built from kernels.
//! - [`objective`], [`optimizer`]: losses with their gradients; AdamW, schedules, clipping.
//! - [`data`]: conversations, rows, templates, tokenization, packing.
//! - [`observer`]: what a run tells whoever watches it.
//! - [`extract`]: from logged chats to rated rows, one file per stage.
//! - [`generate`]: sampling from causal models.
//! - [`ranks`]: the processes of one run.
//! - [`train`]: the loop that reads like the method, and scoring.
//! - [`dpo`]: preference pairs in, a better policy out.
//! - [`statistics`]: metrics of scored sets, with confidence intervals.
//! - [`evaluate`], [`report`]: benchmarks; metrics.jsonl, TensorBoard, charts, HTML, model cards.

#![cfg_attr(
    target_family = "wasm",
    allow(dead_code, unused_imports, reason = "the rooms that a page does without use more of the others")
)]

pub mod data;
#[cfg(not(target_family = "wasm"))]
pub mod dpo;
pub mod error;
#[cfg(not(target_family = "wasm"))]
pub mod evaluate;
#[cfg(not(target_family = "wasm"))]
pub mod extract;
mod files;
pub mod generate;
pub mod gpu;
#[cfg(not(target_family = "wasm"))]
mod http;
pub mod kernels;
pub mod model;
pub mod objective;
pub mod observer;
pub mod optimizer;
pub mod ranks;
pub mod report;
pub mod statistics;
mod store;
pub mod train;

pub use error::{Error, Result};
#[cfg(target_family = "wasm")]
pub use files::page;
pub use observer::{Event, Observer, Silent};
pub use ranks::Ranks;
pub use wgr_shaders::{parameters, reference};

#[cfg(test)]
#[path = "../tests/support/allocations.rs"]
mod test_allocations;
#[cfg(test)]
#[path = "../tests/support/fetched.rs"]
mod test_files;
#[cfg(test)]
#[path = "../tests/support/server.rs"]
mod test_server;
