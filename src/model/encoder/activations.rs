//! The activations of an encoder's forward pass, with shapes, and the resulting memory plan.

use crate::gpu::{Dtype, Layout};
use crate::kernels::attention::Attention;
use crate::model::activations::{self, Rows, Slot};
use crate::model::batch::Capacity;
use crate::model::config::TensorSpec;
use crate::model::plan::MemoryPlan;

use super::batch::Batch;
use super::checkpoint::EncoderCheckpoint;
use super::config::EncoderConfig;

/// The attention of every layer: bidirectional, as many key as query heads.
pub(super) fn attention(config: &EncoderConfig) -> Attention {
    Attention {
        heads: config.num_attention_heads,
        key_value_heads: config.num_attention_heads,
        head_dim: config.head_dim(),
        causal: false,
        window: None,
    }
}

/// The table of buffers; all layers share them.
pub(super) fn table(config: &EncoderConfig) -> Vec<Slot> {
    let (hidden, inner) = (Layout::plain(config.hidden_size), Layout::plain(config.intermediate_size));
    let heads = attention(config).query_layout();
    let tokens = |name, columns| Slot::single(name, Rows::Tokens, columns);
    vec![
        tokens("hidden", hidden),
        tokens("sum", hidden),
        tokens("middle", hidden),
        tokens("query", heads),
        tokens("key", heads),
        tokens("value", heads),
        tokens("attention", heads),
        tokens("attention_stats", Layout::plain(2 * config.num_attention_heads)),
        tokens("inner", inner),
        tokens("activated", inner),
        Slot::single("pooled", Rows::Sequences, hidden),
        Slot::single("normalised", Rows::Sequences, hidden),
    ]
}

/// The device memory of an encoder, from the same tables as allocation.
pub fn plan(checkpoint: &EncoderCheckpoint, capacity: Capacity) -> MemoryPlan {
    let config = checkpoint.config();
    let weight = |spec: &TensorSpec| {
        let dtype = if spec.shape.len() > 1 { checkpoint.storage(&spec.name) } else { Dtype::F32 };
        padded_values(config, spec) as u64 * dtype.bytes()
    };
    MemoryPlan {
        weights: config.tensors().iter().map(weight).sum(),
        activations: activations::bytes(&table(config), capacity.rows()),
        workspace: Batch::bytes(capacity),
        tokens: capacity.tokens,
        ..Default::default()
    }
}

/// Values of a parameter with padding: attention heads are padded by halves, other dimensions to groups of four.
fn padded_values(config: &EncoderConfig, spec: &TensorSpec) -> usize {
    let plain = |n: usize| Layout::plain(n).padded();
    let heads = attention(config).query_layout().padded();
    let (into_heads, out_of_heads) =
        (spec.name.contains(".attention.self."), spec.name.ends_with(".attention.output.dense.weight"));
    match spec.shape[..] {
        [rows, _] if out_of_heads => plain(rows) * heads,
        [_, columns] if into_heads => heads * plain(columns),
        [_] if into_heads => heads,
        _ => spec.shape.iter().map(|n| plain(*n)).product(),
    }
}
