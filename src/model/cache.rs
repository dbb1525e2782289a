//! Keys and values of the tokens of running sequences, all layers of a model.
//!
//! A sequence owns pages of [`PAGE`] tokens in no particular order, the same ones in every layer. Two sequences with
//! the same beginning may share its pages.

use crate::Result;
use crate::gpu::{Dtype, Gpu, Layout, Tensor};
use crate::kernels::cached_attention::{Cache, PAGE};

use super::config::ModelConfig;

/// The cache of a model.
pub struct KeyValueCache {
    layers: Vec<[Tensor; 2]>,
}

fn layout(config: &ModelConfig) -> Layout {
    Layout::heads(config.num_key_value_heads, config.head_dim)
}

/// Bytes of one page in one of the tensors of a layer.
fn page_bytes(config: &ModelConfig, dtype: Dtype) -> u64 {
    (PAGE * layout(config).padded()) as u64 * dtype.bytes()
}

impl KeyValueCache {
    /// A cache of `pages` pages, in f32 or f16.
    ///
    /// # Errors
    /// It does not fit the device, or exceeds [`Self::most_pages`].
    pub fn new(gpu: &Gpu, config: &ModelConfig, pages: usize, dtype: Dtype) -> Result<Self> {
        let tensor = |name| Tensor::activation(gpu, name, pages * PAGE, layout(config), dtype);
        let layer = |_| Ok([tensor("key cache")?, tensor("value cache")?]);
        Ok(Self { layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()? })
    }

    /// Most pages that an adapter can bind.
    pub fn most_pages(gpu: &Gpu, config: &ModelConfig, dtype: Dtype) -> usize {
        usize::try_from(gpu.limits().binding_bytes / page_bytes(config, dtype)).unwrap_or(usize::MAX)
    }

    /// Bytes of a cache, for the plan.
    pub fn bytes(config: &ModelConfig, pages: usize, dtype: Dtype) -> u64 {
        2 * config.num_hidden_layers as u64 * pages as u64 * page_bytes(config, dtype)
    }

    /// Keys and values of a layer.
    pub fn layer(&self, index: usize) -> Cache<'_> {
        let [keys, values] = &self.layers[index];
        Cache { keys, values }
    }
}
