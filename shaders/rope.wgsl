// Rotary position embedding in place (Su et al. 2021, arXiv 2104.09864), pairing value i of a head's first half with
// value i of its second half. The angles come from a table: position times frequency has too few bits in f32 once
// positions are in the thousands.

import package::shared::f32::{Packed as F32, widen as widen_f32};
import package::shared::grid::{Invocation, WORKGROUP, linear};
@if(!x_bf16 && !x_f16) import package::shared::f32::{Packed, narrow, widen};
@if(x_bf16) import package::shared::bf16::{Packed, narrow, widen};
@if(x_f16) import package::shared::f16::{Packed, narrow, widen};

/// requires: 0 < positions
/// requires: 0 < half4
struct Params {
    /// Tokens of the packed batch.
    tokens: u32,
    /// Heads of x.
    heads: u32,
    /// Half a head in groups of four values.
    half4: u32,
    /// Rows of the table.
    positions: u32,
    /// 1 rotates forward, -1 back.
    sign: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// [positions, 2 * half4]: the cosines of each position, then its sines.
@group(0) @binding(1) var<storage, read> table: array<F32>;
/// [tokens]: first token and end of the sequence of each token.
@group(0) @binding(2) var<storage, read> spans: array<vec2<u32>>;
/// [tokens, heads, 2 * half4]: the heads, rotated in place.
@group(0) @binding(3) var<storage, read_write> x: array<Packed>;

/// One invocation per token and group of four pairs: grid(div_ceil(tokens * half4, WORKGROUP)).
/// permutations: - wide; - x_bf16
/// permutations: x_f16
@compute @workgroup_size(WORKGROUP)
fn main(invocation: Invocation) {
    let index = linear(invocation);
    let token = index / params.half4;
    if (token >= params.tokens) {
        return;
    }
    let column = index % params.half4;
    let position = min(token - spans[token].x, params.positions - 1u);
    let cosine = widen_f32(table[position * 2u * params.half4 + column]);
    let sine = params.sign * widen_f32(table[(position * 2u + 1u) * params.half4 + column]);
    // One lane turns its pairs in every head, so that it loads the angles once.
    for (var head = 0u; head < params.heads; head++) {
        let at = (token * params.heads + head) * 2u * params.half4 + column;
        let first = widen(x[at]);
        let second = widen(x[at + params.half4]);
        x[at] = narrow(first * cosine - second * sine);
        x[at + params.half4] = narrow(second * cosine + first * sine);
    }
}
