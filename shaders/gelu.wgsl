// GELU (Hendrycks & Gimpel 2016, arXiv 1606.08415): x * Phi(x) with the normal distribution function, or its
// approximation by a hyperbolic tangent.

import package::shared::grid::{Invocation, WORKGROUP, linear};
import package::shared::logistic::sigmoid;
@if(!x_bf16) import package::shared::f32::{Packed, narrow, widen};
@if(x_bf16) import package::shared::bf16::{Packed, narrow, widen};

struct Params {
    /// Groups of four values.
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

/// Phi(x) = (1 + erf(x / sqrt(2))) / 2, with erf of Abramowitz & Stegun, Handbook of Mathematical Functions, 7.1.26:
/// |error of erf| <= 1.5e-7. The tail is computed first, so that far left it does not vanish in a difference from 1.
@if(erf)
fn distribution(x: vec4<f32>) -> vec4<f32> {
    let z = abs(x) * 0.70710678;
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    let tail = 0.5 * series * exp(-z * z);
    return select(tail, 1.0 - tail, x >= vec4<f32>(0.0));
}

@if(erf)
fn gelu(x: vec4<f32>) -> vec4<f32> {
    return x * distribution(x);
}

/// (1 + tanh(u)) / 2 = sigmoid(2u) with u = sqrt(2 / pi) * (x + 0.044715 * x^3); this is 2u. Past 12 the sigmoid is
/// 0 or 1 in f32, and clamping there keeps the cube finite.
@if(tanh)
fn twice_u(x: vec4<f32>) -> vec4<f32> {
    let z = clamp(x, vec4<f32>(-12.0), vec4<f32>(12.0));
    return 1.5957691216 * z * (1.0 + 0.044715 * z * z);
}

@if(tanh)
fn gelu(x: vec4<f32>) -> vec4<f32> {
    return x * sigmoid(twice_u(x));
}

/// [count]: the input.
@group(0) @binding(1) var<storage, read> x: array<Packed>;
/// [count]: the output.
@group(0) @binding(2) var<storage, read_write> y: array<Packed>;

/// y = gelu(x).
/// One invocation per group of four values: grid(div_ceil(count, WORKGROUP)).
/// permutations: - wide; erf tanh; - x_bf16
@compute @workgroup_size(WORKGROUP)
fn forward(invocation: Invocation) {
    let index = linear(invocation);
    if (index < params.count) {
        y[index] = narrow(gelu(widen(x[index])));
    }
}
