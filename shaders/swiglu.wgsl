// SwiGLU, y = silu(gate) * up with silu(x) = x * sigmoid(x) (Shazeer 2020, arXiv 2002.05202).

import package::shared::grid::linear;
import package::shared::logistic::sigmoid;
@if(!x_bf16) import package::shared::f32::{Packed, narrow, widen};
@if(x_bf16) import package::shared::bf16::{Packed, narrow, widen};

struct Params {
    /// Groups of four values.
    count: u32,
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;

/// [count]: the gate.
@group(0) @binding(1) var<storage, read> gate: array<Packed>;
/// [count]: what the gate is multiplied with.
@group(0) @binding(2) var<storage, read> up: array<Packed>;
/// [count]: the output.
@group(0) @binding(3) var<storage, read_write> y: array<Packed>;

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = linear(workgroup, workgroups) * WORKGROUP + local;
    if (index < params.count) {
        let x = widen(gate[index]);
        y[index] = narrow(x * sigmoid(x) * widen(up[index]));
    }
}

/// [count]: gradient of the output.
@group(0) @binding(3) var<storage, read> d_y: array<vec4<f32>>;
/// [count]: gradient of the gate.
@group(0) @binding(4) var<storage, read_write> d_gate: array<vec4<f32>>;
/// [count]: gradient of what the gate is multiplied with.
@group(0) @binding(5) var<storage, read_write> d_up: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = linear(workgroup, workgroups) * WORKGROUP + local;
    if (index < params.count) {
        let x = widen(gate[index]);
        let cotangent = d_y[index];
        let s = sigmoid(x);
        d_gate[index] = cotangent * widen(up[index]) * s * (1.0 + x * sigmoid(-x));
        d_up[index] = cotangent * x * s;
    }
}
