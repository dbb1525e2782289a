//! The one table of activations: everything that a forward and backward pass keeps, with shapes. Allocation, memory
//! plan and decoder all read it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::gpu::{Dtype, Gpu, Layout, Tensor};

use super::config::ModelConfig;
use super::lora::LoraConfig;
use super::parameter::Holding;

/// The unit that a buffer has one row for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Every token.
    Tokens,
    /// Every sequence.
    Sequences,
    /// Every token whose log-probability is asked for.
    Predictions,
}

/// Rows of the largest batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct RowCounts {
    /// Tokens.
    pub tokens: usize,
    /// Sequences.
    pub sequences: usize,
    /// Tokens whose log-probabilities are asked for.
    pub predictions: usize,
}

/// One line of the table: `copies` buffers of `rows × columns`. Layer `l` uses copy `l % copies`, so one copy is shared
/// by all layers and as many copies as layers keep everything.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Name in the decoder.
    pub name: &'static str,
    /// The unit of a row.
    pub rows: Rows,
    /// Values of a row.
    pub columns: Layout,
    /// Storage.
    pub dtype: Dtype,
    /// Number of buffers.
    pub copies: usize,
}

/// Which activations are kept for the backward pass and which are computed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checkpointing {
    /// Keep everything.
    None,
    /// Compute the attention block of each layer again.
    Attention,
    /// Keep only the input of each layer.
    Layer,
}

/// The activations that a pass keeps.
#[derive(Debug, Clone, Copy)]
pub struct Keeping {
    /// Whether there will be a backward pass.
    pub training: bool,
    /// Storage of what is kept between kernels; the residual stream and all gradients are f32.
    pub dtype: Dtype,
    /// The activations that the backward pass recomputes.
    pub checkpointing: Checkpointing,
    /// Room for adapters, if there are any.
    pub adapters: Option<AdapterRoom>,
}

/// The room that adapters share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdapterRoom {
    /// Rank of the adapters.
    pub rank: usize,
    /// Whether training drops a share of their inputs.
    pub dropout: bool,
}

impl AdapterRoom {
    /// The room for adapters.
    pub fn of(config: &LoraConfig) -> Self {
        Self { rank: config.rank, dropout: config.dropout > 0.0 }
    }
}

impl Keeping {
    /// The activations that a model keeps; `holding` says how its trained weights are held.
    pub fn of(holding: Holding, checkpointing: Checkpointing) -> Self {
        let dtype = holding.copies().unwrap_or(Dtype::F32);
        Self { training: holding.trains(), dtype, checkpointing, adapters: None }
    }
}

/// The table for a decoder; its head has lines of its own.
pub fn table(config: &ModelConfig, keeping: Keeping) -> Vec<Slot> {
    let Keeping { training, dtype, checkpointing, adapters } = keeping;
    let hidden = Layout::plain(config.hidden_size);
    let inner = Layout::plain(config.intermediate_size);
    let queries = Layout::heads(config.num_attention_heads, config.head_dim);
    let keys = Layout::heads(config.num_key_value_heads, config.head_dim);
    let widest = [hidden, inner, queries].map(Layout::padded).into_iter().max().unwrap_or(0);
    let layers = config.num_hidden_layers;
    let kept = |when: bool| if training && when { layers.max(1) } else { 1 };
    let inputs = if training { layers + 1 } else { 2 };
    let middles = kept(checkpointing != Checkpointing::Layer);
    let attention = kept(checkpointing == Checkpointing::None);
    let mlp = kept(checkpointing != Checkpointing::Layer);
    let tokens = |name, columns, dtype, copies| Slot { name, rows: Rows::Tokens, columns, dtype, copies };
    let mut slots = vec![
        tokens("inputs", hidden, Dtype::F32, inputs),
        tokens("middles", hidden, Dtype::F32, middles),
        tokens("attention_norm", hidden, dtype, attention),
        tokens("attention_rstd", Layout::plain(1), Dtype::F32, attention),
        tokens("query", queries, dtype, attention),
        tokens("key", keys, dtype, attention),
        tokens("value", keys, dtype, attention),
        tokens("attention", queries, dtype, attention),
        tokens("attention_stats", Layout::plain(2 * config.num_attention_heads), Dtype::F32, attention),
        tokens("mlp_norm", hidden, dtype, mlp),
        tokens("mlp_rstd", Layout::plain(1), Dtype::F32, mlp),
        tokens("gate", inner, dtype, mlp),
        tokens("up", inner, dtype, mlp),
        tokens("product", inner, dtype, mlp),
    ];
    if config.qk_norm {
        slots.extend([
            tokens("raw_query", queries, Dtype::F32, attention),
            tokens("raw_key", keys, Dtype::F32, attention),
            tokens("query_rstd", Layout::plain(config.num_attention_heads), Dtype::F32, attention),
            tokens("key_rstd", Layout::plain(config.num_key_value_heads), Dtype::F32, attention),
        ]);
    }
    if training {
        let gradient = |name, columns| tokens(name, columns, Dtype::F32, 1);
        slots.extend([
            gradient("d_residual", hidden),
            gradient("d_norm", hidden),
            gradient("d_gate", inner),
            gradient("d_up", inner),
            gradient("d_product", inner),
            gradient("d_query", queries),
            gradient("d_key", keys),
            gradient("d_value", keys),
            gradient("d_attention", queries),
        ]);
        if config.qk_norm {
            slots.extend([gradient("d_raw_query", queries), gradient("d_raw_key", keys)]);
        }
    }
    if training && dtype == Dtype::F16 {
        // The gradient of one linear layer's output at a time.
        slots.push(tokens("d_half", Layout::plain(widest), Dtype::F16, 1));
    }
    if let Some(AdapterRoom { rank, dropout }) = adapters {
        slots.push(tokens("adapter", Layout::plain(rank), Dtype::F32, 1));
        if training {
            slots.push(tokens("d_adapter", Layout::plain(rank), Dtype::F32, 1));
        }
        if training && dropout {
            slots.push(tokens("dropped", Layout::plain(widest), Dtype::F32, 1));
        }
    }
    slots
}

/// Bytes of a table for the largest batch.
pub fn bytes(slots: &[Slot], counts: RowCounts) -> u64 {
    slots.iter().map(|slot| slot.copies as u64 * slot.bytes(counts)).sum()
}

impl Slot {
    /// A buffer of f32 that does not belong to a layer.
    pub fn single(name: &'static str, rows: Rows, columns: Layout) -> Self {
        Self { name, rows, columns, dtype: Dtype::F32, copies: 1 }
    }

    fn count(&self, counts: RowCounts) -> usize {
        match self.rows {
            Rows::Tokens => counts.tokens,
            Rows::Sequences => counts.sequences,
            Rows::Predictions => counts.predictions,
        }
    }

    fn bytes(&self, counts: RowCounts) -> u64 {
        (self.count(counts) * self.columns.padded()) as u64 * self.dtype.bytes()
    }
}

/// The buffers of a table.
pub struct Activations {
    buffers: HashMap<&'static str, Vec<Tensor>>,
}

impl Activations {
    /// Allocates every line of the table for the largest batch.
    ///
    /// # Errors
    /// The device has no room for a buffer, or a buffer is larger than the adapter binds.
    pub fn allocate(gpu: &Gpu, slots: &[Slot], counts: RowCounts) -> Result<Self> {
        let mut buffers = HashMap::new();
        for slot in slots {
            let rows = slot.count(counts);
            let copies = (0..slot.copies)
                .map(|_| Tensor::activation(gpu, slot.name, rows, slot.columns, slot.dtype))
                .collect::<Result<Vec<_>>>()?;
            buffers.insert(slot.name, copies);
        }
        Ok(Self { buffers })
    }

    /// The buffer of a layer; layers share it where the table keeps fewer copies than layers.
    ///
    /// # Panics
    /// If the table has no such line, which is a fault of the decoder.
    pub fn of(&self, name: &str, layer: usize) -> &Tensor {
        let copies = self.buffers.get(name).unwrap_or_else(|| panic!("the activation table has no {name}"));
        &copies[layer % copies.len()]
    }

    /// The buffer of a line that does not belong to a layer.
    pub fn get(&self, name: &str) -> &Tensor {
        self.of(name, 0)
    }
}
