// Dropout whose mask is a hash of key, layer and place, so that forward and backward draw the same without storing it.

import package::shared::f32::{Packed as F32, narrow as narrow_f32, widen as widen_f32};
import package::shared::grid::{Invocation, WORKGROUP, linear};
@if(!x_bf16) import package::shared::f32::{Packed, widen};
@if(x_bf16) import package::shared::bf16::{Packed, widen};

struct Params {
    /// Groups of four values.
    count: u32,
    /// Tells the layers of one pass apart.
    salt: u32,
    /// A value is dropped where its hash is below this: the probability times 2^32.
    threshold: u32,
    /// Factor of the values that are kept: 1 / (1 - probability).
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// [2]: the key, which the host draws for every micro-batch.
@group(0) @binding(1) var<storage, read> key: array<u32>;

/// Every bit of the result depends on every bit of x.
fn mix(x: u32) -> u32 {
    var h = (x ^ (x >> 16u)) * 0x7feb352du;
    h = (h ^ (h >> 15u)) * 0x846ca68bu;
    return h ^ (h >> 16u);
}

fn mask(index: u32) -> vec4<f32> {
    let start = mix(mix(mix(key[0]) ^ key[1]) ^ params.salt);
    let at = index * 4u;
    let hash = vec4<u32>(mix(start ^ at), mix(start ^ (at + 1u)), mix(start ^ (at + 2u)), mix(start ^ (at + 3u)));
    return select(vec4<f32>(0.0), vec4<f32>(params.scale), hash >= vec4<u32>(params.threshold));
}

/// [count]: the input.
@group(0) @binding(2) var<storage, read> x: array<Packed>;
/// [count]: the output.
@group(0) @binding(3) var<storage, read_write> y: array<F32>;

/// y = x * mask.
/// One invocation per group of four values: grid(div_ceil(count, WORKGROUP)).
/// permutations: - wide; - x_bf16
@compute @workgroup_size(WORKGROUP)
fn forward(invocation: Invocation) {
    let index = linear(invocation);
    if (index < params.count) {
        y[index] = narrow_f32(widen(x[index]) * mask(index));
    }
}

/// [count]: gradient of the output.
@group(0) @binding(2) var<storage, read> d_y: array<F32>;
/// [count]: gradient of the input, added to.
@group(0) @binding(3) var<storage, read_write> d_x: array<F32>;

/// d_x += d_y * mask.
/// One invocation per group of four values: grid(div_ceil(count, WORKGROUP)).
/// permutations: - wide
@compute @workgroup_size(WORKGROUP)
fn backward(invocation: Invocation) {
    let index = linear(invocation);
    if (index < params.count) {
        d_x[index] = narrow_f32(widen_f32(d_x[index]) + widen_f32(d_y[index]) * mask(index));
    }
}
