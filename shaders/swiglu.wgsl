// SwiGLU, y = silu(gate) * up with silu(x) = x * sigmoid(x) (Shazeer 2020, arXiv 2002.05202).

import package::shared::f32::{Packed as F32, narrow as narrow_f32, widen as widen_f32};
import package::shared::grid::{Invocation, WORKGROUP, linear};
import package::shared::logistic::sigmoid;
@if(!x_bf16 && !x_f16) import package::shared::f32::{Packed, narrow, widen};
@if(x_bf16) import package::shared::bf16::{Packed, narrow, widen};
@if(x_f16) import package::shared::f16::{Packed, narrow, widen};

struct Params {
    /// Groups of four values.
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

/// [count]: the gate.
@group(0) @binding(1) var<storage, read> gate: array<Packed>;
/// [count]: the values that are gated.
@group(0) @binding(2) var<storage, read> up: array<Packed>;
/// [count]: the output.
@group(0) @binding(3) var<storage, read_write> y: array<Packed>;

/// y = silu(gate) * up.
/// One invocation per group of four values: grid(div_ceil(count, WORKGROUP)).
/// permutations: - wide; - x_bf16
/// permutations: x_f16
@compute @workgroup_size(WORKGROUP)
fn forward(invocation: Invocation) {
    let index = linear(invocation);
    if (index < params.count) {
        let x = widen(gate[index]);
        y[index] = narrow(x * sigmoid(x) * widen(up[index]));
    }
}

/// [count]: gradient of the output.
@group(0) @binding(3) var<storage, read> d_y: array<F32>;
/// [count]: gradient of the gate.
@group(0) @binding(4) var<storage, read_write> d_gate: array<F32>;
/// [count]: gradient of the values that are gated.
@group(0) @binding(5) var<storage, read_write> d_up: array<F32>;

/// d_gate = d_y * up * silu'(gate) and d_up = d_y * silu(gate).
/// One invocation per group of four values: grid(div_ceil(count, WORKGROUP)).
/// permutations: - wide; - x_bf16
/// permutations: x_f16
@compute @workgroup_size(WORKGROUP)
fn backward(invocation: Invocation) {
    let index = linear(invocation);
    if (index < params.count) {
        let x = widen(gate[index]);
        let cotangent = widen_f32(d_y[index]);
        let s = sigmoid(x);
        d_gate[index] = narrow_f32(cotangent * widen(up[index]) * s * (1.0 + x * sigmoid(-x)));
        d_up[index] = narrow_f32(cotangent * x * s);
    }
}
