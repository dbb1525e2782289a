//! Configurations, checkpoints (safetensors, GGUF) and the models built from kernels.

pub mod activations;
pub mod base;
pub mod batch;
pub mod cache;
pub mod causal;
pub mod classifier;
pub(crate) mod companions;
pub(crate) mod config;
pub mod convert;
pub mod decoder;
pub mod encoder;
mod fields;
pub mod fitting;
mod gguf_tokenizer;
pub mod held;
#[cfg_attr(target_family = "wasm", path = "no_hub.rs")]
mod hub;
mod linear;
pub mod lora;
pub mod parameter;
pub mod plan;
pub mod policy;
mod predictions;
pub(crate) mod reading;
mod rope;
mod source;
#[cfg(test)]
pub(crate) mod tiny;
pub(crate) mod travelling;
pub mod weights;
pub mod workspace;

pub use config::{Family, ModelConfig, TensorSpec};
pub use reading::{Reading, Token};
pub use rope::{Rope, RopeScaling};
pub use weights::{Checkpoint, Dtype, TensorInfo};
