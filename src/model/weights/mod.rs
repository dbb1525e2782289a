//! Checkpoints on disk: safetensors and GGUF behind one set of Hugging Face names.

mod bitsandbytes;
mod blocks;
mod checkpoint;
#[cfg(test)]
mod fuzz;
pub(in crate::model) mod gguf;
mod gguf_adapter;
mod gguf_config;
pub(in crate::model) mod gguf_field;
mod gguf_keys;
mod gguf_merge;
mod gguf_names;
pub(in crate::model) mod gguf_split;
pub(in crate::model) mod gguf_writer;
mod mapped;
mod new_tensor;
mod pack;
mod quantize;
pub mod quantized;
mod safetensors;
mod safetensors_writer;
mod staging;
pub(in crate::model) mod tensors;
mod writer;

use std::fmt;
use std::ops::Range;

pub use checkpoint::Checkpoint;
pub use gguf::ALIGNMENT as GGUF_ALIGNMENT;
pub use gguf_field::Field;
pub use gguf_merge::{Merged, MergedWeights};
pub use gguf_writer::header as gguf_header;
use half::{bf16, f16};
pub use new_tensor::NewTensor;
use quantized::GgmlType;
pub(crate) use safetensors_writer::SafetensorsWriter;
pub(crate) use tensors::Tensors;
pub(crate) use writer::DirectoryWriter;
pub use writer::write_model;

/// How the values of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of single precision.
    BF16,
    /// Blocks of small integers with scales, as in GGUF files.
    Quantized(GgmlType),
}

impl Dtype {
    /// The name `config.json` uses for the values as a model directory stores them; quantised ones are widened.
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::F32 | Self::Quantized(_) => "float32",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
        }
    }

    /// Values and bytes of the smallest piece that can be stored: one value, or one quantised block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Quantized(kind) => kind.block(),
        }
    }

    /// Bytes of `count` values, or `None` where that overflows or does not come out in whole blocks.
    pub fn bytes(self, count: usize) -> Option<usize> {
        let (values, bytes) = self.block();
        if count.is_multiple_of(values) { (count / values).checked_mul(bytes) } else { None }
    }

    /// The values in `bytes`, widened; exact for all but the quantised kinds, whose definition it is.
    fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Self::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            Self::BF16 => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
            Self::Quantized(kind) => kind.dequantize(bytes),
        }
    }

    /// The bytes of `values`, rounded to nearest.
    ///
    /// # Errors
    /// In words, where blocks cannot hold them.
    fn encode(self, values: &[f32]) -> Result<Vec<u8>, String> {
        match self {
            Self::F32 => Ok(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Self::F16 => Ok(values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect()),
            Self::BF16 => Ok(values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect()),
            Self::Quantized(kind) => kind.quantize(values),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantized(kind) => write!(f, "{kind:?}"),
            plain => write!(f, "{plain:?}"),
        }
    }
}

/// The facts about a tensor that are known before reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Rows first.
    pub shape: Vec<usize>,
    /// How the values are stored.
    pub dtype: Dtype,
}

/// A tensor as the header of a file lists it, its byte range checked to lie within the file.
#[derive(Debug)]
pub(super) struct Entry {
    name: String,
    info: TensorInfo,
    range: Range<usize>,
}
