//! GGUF tensor names and row orders, and the Hugging Face ones they stand for.
//!
//! Names: `gguf-py/gguf/constants.py` of llama.cpp.

use crate::model::config::{Family, ModelConfig};

/// The tensor that holds what Llama 3 scaling divides each rotary frequency by.
pub(super) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// Pairs of names outside the layers.
const GLOBAL: [(&str, &str); 4] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
    ("cls.output.weight", "score.weight"),
];

/// Pairs of names within a layer, without `.weight` or `.bias`.
const LAYER: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// The Hugging Face name of a GGUF tensor; a name unknown here stays as it is.
pub(super) fn from_gguf(name: &str) -> String {
    renamed(name, "blk.", "model.layers.", |pair| pair)
}

/// The GGUF name of a Hugging Face tensor; a name unknown here stays as it is.
pub(super) fn to_gguf(name: &str) -> String {
    renamed(name, "model.layers.", "blk.", |(gguf, hf)| (hf, gguf))
}

type Pair = (&'static str, &'static str);

fn renamed(name: &str, from: &str, to: &str, direction: fn(Pair) -> Pair) -> String {
    let global = GLOBAL.into_iter().map(direction).find(|(known, _)| *known == name);
    if let Some((_, renamed)) = global {
        return renamed.to_owned();
    }
    let in_layer = || {
        let (layer, rest) = name.strip_prefix(from)?.split_once('.')?;
        let (module, kind) = rest.rsplit_once('.')?;
        let (_, renamed) = LAYER.into_iter().map(direction).find(|(known, _)| *known == module)?;
        Some(format!("{to}{layer}.{renamed}.{kind}"))
    };
    in_layer().unwrap_or_else(|| name.to_owned())
}

/// The row order of a tensor under `llama`, as which GGUF stores Llama and Mistral; `None` where GGUF keeps the order.
pub(super) fn rotary_rows(name: &str, config: &ModelConfig) -> Option<RotaryRows> {
    let module = name.strip_suffix(".weight").or(name.strip_suffix(".bias"))?;
    let heads = match module.rsplit_once('.')?.1 {
        "q_proj" => config.num_attention_heads,
        "k_proj" => config.num_key_value_heads,
        _ => return None,
    };
    let permuted = matches!(config.family, Family::Llama | Family::Mistral);
    permuted.then_some(RotaryRows { heads, rows: heads * config.head_dim })
}

/// Heads and rows of a projection whose rows GGUF stores in another order.
#[derive(Debug, Clone, Copy)]
pub(super) struct RotaryRows {
    /// Heads of the projection.
    pub heads: usize,
    /// Rows of all heads together.
    pub rows: usize,
}

impl RotaryRows {
    /// From GGUF's `llama` order, where the two rows of a rotated pair are neighbours, to that of Hugging Face, where
    /// they are half a head apart. A bias counts as a matrix of one column.
    pub(super) fn split_pairs<T: Copy>(self, values: &[T]) -> Vec<T> {
        self.reordered(values, |row, half| row % half * 2 + row / half)
    }

    /// The reverse of [`Self::split_pairs`].
    pub(super) fn join_pairs<T: Copy>(self, values: &[T]) -> Vec<T> {
        self.reordered(values, |row, half| row % 2 * half + row / 2)
    }

    fn reordered<T: Copy>(self, values: &[T], source: impl Fn(usize, usize) -> usize) -> Vec<T> {
        let (columns, head_rows) = (values.len() / self.rows, self.rows / self.heads);
        let rows = (0..self.rows).map(|row| row - row % head_rows + source(row % head_rows, head_rows / 2));
        rows.flat_map(|row| &values[row * columns..(row + 1) * columns]).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for (gguf, hf) in [
            ("token_embd.weight", "model.embed_tokens.weight"),
            ("cls.output.weight", "score.weight"),
            ("blk.12.attn_q.bias", "model.layers.12.self_attn.q_proj.bias"),
            ("blk.0.attn_k_norm.weight", "model.layers.0.self_attn.k_norm.weight"),
            ("blk.3.ffn_norm.weight", "model.layers.3.post_attention_layernorm.weight"),
        ] {
            assert_eq!(from_gguf(gguf), hf);
            assert_eq!(to_gguf(hf), gguf);
        }
        assert_eq!(from_gguf("blk.0.unheard_of.weight"), "blk.0.unheard_of.weight");
    }

    #[test]
    fn rotated_pairs_are_split_within_each_head() {
        // Two heads of four rows and one column; GGUF order is a0 b0 a1 b1, Hugging Face order a0 a1 b0 b1.
        let rows = RotaryRows { heads: 2, rows: 8 };
        let gguf = [0, 2, 1, 3, 10, 12, 11, 13];
        let hf = [0, 1, 2, 3, 10, 11, 12, 13];
        assert_eq!(rows.split_pairs(&gguf), hf);
        assert_eq!(rows.join_pairs(&hf), gguf);
        let wide: Vec<_> = gguf.iter().flat_map(|v| [*v, v + 100]).collect();
        assert_eq!(rows.split_pairs(&wide)[..6], [0, 100, 1, 101, 2, 102]);
    }
}
