//! LoRA: low-rank adapters on linear layers (arXiv 2106.09685), in the format of PEFT.

mod adapter;
mod config;
mod dropout;
mod files;
mod peft;

pub use adapter::Adapter;
pub use config::{Lora, LoraConfig, LoraSettings, PROJECTIONS, Projection};
pub use dropout::DropoutKey;
pub use files::{AdapterFiles, HEAD_FILE, NewAdapter, write_adapter};

/// The configuration of an adapter directory.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";
/// The weights of an adapter directory.
pub const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";
