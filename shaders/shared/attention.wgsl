// Parameters of attention over packed sequences, whatever computes it.

/// requires: 0 < tokens
/// requires: 0 < key_value_heads
/// requires: heads % key_value_heads == 0
struct Params {
    /// Tokens of the packed batch.
    tokens: u32,
    /// Query heads.
    heads: u32,
    /// Key/value heads.
    key_value_heads: u32,
    /// 1 / sqrt(head_dim).
    scale: f32,
    /// 1: a query sees keys up to its own place; 0: its whole sequence.
    causal: u32,
    /// Keys a query sees, itself included; 0: all of them.
    window: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
