//! Configurations, checkpoints and the decoder.

pub mod config;
pub mod convert;
mod fields;
pub mod gguf_tokenizer;
pub mod rope;
pub mod source;
#[cfg(test)]
mod tiny;
pub mod weights;

pub use config::{Family, ModelConfig, TensorSpec};
pub use rope::{Rope, RopeScaling};
pub use weights::{Checkpoint, Dtype, TensorInfo};
