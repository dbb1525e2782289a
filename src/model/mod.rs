//! Configurations, checkpoints (safetensors, GGUF) and the models built from kernels.

pub mod activations;
pub mod batch;
pub mod cache;
pub mod causal;
pub mod classifier;
pub mod companions;
pub mod config;
pub mod convert;
pub mod decoder;
pub mod encoder;
mod fields;
pub mod gguf_tokenizer;
pub mod linear;
pub mod lora;
pub mod parameter;
pub mod plan;
pub mod policy;
pub mod predictions;
pub mod reading;
pub mod rope;
pub mod source;
#[cfg(test)]
pub(crate) mod tiny;
pub(crate) mod travelling;
pub mod weights;
pub mod workspace;

pub use config::{Family, ModelConfig, TensorSpec};
pub use reading::Reading;
pub use rope::{Rope, RopeScaling};
pub use weights::{Checkpoint, Dtype, TensorInfo};
