// RMSNorm, y = x * rstd * weight with rstd = 1 / sqrt(mean(x^2) + eps) (Zhang & Sennrich 2019, arXiv 1910.07467).
// LANES lanes work on one row: 1 on software adapters, where lanes have no cheap way to meet, more on GPUs.

import package::shared::f32::{Packed as F32, narrow as narrow_f32, widen as widen_f32};
import package::shared::grid::{Invocation, WORKGROUP, linear, row_of};
import package::shared::row_sum::row_sum;
@if(!y_bf16 && !y_f16) import package::shared::f32::{Packed, narrow};
@if(y_bf16) import package::shared::bf16::{Packed, narrow};
@if(y_f16) import package::shared::f16::{Packed, narrow};

/// requires: 0 < rows
/// requires: 0 < columns4
/// requires: 0 < chunk
struct Params {
    /// Rows of x and y; a tensor of heads has one row per head.
    rows: u32,
    /// Row stride in groups of four values; padding is zero and does not disturb the sums.
    columns4: u32,
    /// Number of real columns, for the mean.
    columns: u32,
    /// Added to the mean square.
    eps: f32,
    /// Rows that one lane of `backward_weight` sums up.
    chunk: u32,
    /// 1: `backward` adds to d_x; 0: it overwrites it.
    accumulate: u32,
}

/// Lanes that work on one row.
/// requires: WORKGROUP % LANES == 0
override LANES: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;

/// [rows, columns4]: the input.
@group(0) @binding(1) var<storage, read> x: array<F32>;
/// [columns4]: factor of each column.
@group(0) @binding(2) var<storage, read> weight: array<F32>;
/// [rows, columns4]: the output.
@group(0) @binding(3) var<storage, read_write> y: array<Packed>;
/// [rows]: rstd of each row, kept for the backward pass.
@group(0) @binding(4) var<storage, read_write> rstd: array<f32>;

/// y = x * rstd * weight.
/// LANES invocations per row: grid(div_ceil(rows, WORKGROUP / LANES)).
/// permutations: - wide; - y_bf16
/// permutations: y_f16
@compute @workgroup_size(WORKGROUP)
fn forward(invocation: Invocation) {
    let lane = invocation.local % LANES;
    let row = row_of(invocation, LANES);
    // Lanes past the last row follow the first one to every barrier and write nothing.
    let base = select(0u, row, row < params.rows) * params.columns4;
    var squares = 0.0;
    for (var i = lane; i < params.columns4; i += LANES) {
        let value = widen_f32(x[base + i]);
        squares += dot(value, value);
    }
    let scale = inverseSqrt(row_sum(LANES, lane, invocation.local, squares) / f32(params.columns) + params.eps);
    if (row < params.rows) {
        for (var i = lane; i < params.columns4; i += LANES) {
            y[base + i] = narrow(widen_f32(x[base + i]) * scale * widen_f32(weight[i]));
        }
        if (lane == 0u) {
            rstd[row] = scale;
        }
    }
}

/// [rows, columns4]: gradient of the output.
@group(0) @binding(1) var<storage, read> d_y: array<F32>;
/// [rows, columns4]: the input of the forward pass.
@group(0) @binding(2) var<storage, read> x_saved: array<F32>;
/// [columns4]: factor of each column.
@group(0) @binding(3) var<storage, read> weight_saved: array<F32>;
/// [rows]: rstd of each row.
@group(0) @binding(4) var<storage, read> rstd_saved: array<f32>;
/// [rows, columns4]: gradient of the input.
@group(0) @binding(5) var<storage, read_write> d_x: array<F32>;

/// With g = d_y * weight and n = x * rstd:  d_x (+)= rstd * (g - n * mean(g * n)).
/// LANES invocations per row: grid(div_ceil(rows, WORKGROUP / LANES)).
/// permutations: - wide
@compute @workgroup_size(WORKGROUP)
fn backward(invocation: Invocation) {
    let lane = invocation.local % LANES;
    let row = row_of(invocation, LANES);
    let source = select(0u, row, row < params.rows);
    let base = source * params.columns4;
    let scale = rstd_saved[source];
    var projection = 0.0;
    for (var i = lane; i < params.columns4; i += LANES) {
        let g = widen_f32(d_y[base + i]) * widen_f32(weight_saved[i]);
        projection += dot(g, widen_f32(x_saved[base + i]));
    }
    let mean = row_sum(LANES, lane, invocation.local, projection) * scale / f32(params.columns);
    if (row < params.rows) {
        for (var i = lane; i < params.columns4; i += LANES) {
            let g = widen_f32(d_y[base + i]) * widen_f32(weight_saved[i]);
            var value = scale * (g - widen_f32(x_saved[base + i]) * scale * mean);
            if (params.accumulate == 1u) {
                value += widen_f32(d_x[base + i]);
            }
            d_x[base + i] = narrow_f32(value);
        }
    }
}

/// [div_ceil(rows, chunk), columns4]: gradient of the weight by each chunk of rows.
@group(0) @binding(3) var<storage, read_write> chunks: array<F32>;

/// d_weight = sum over rows of d_y * x * rstd, first in chunks of rows so that there is work for many lanes; the
/// `column_sum` kernel adds the chunks up in a fixed order.
/// One invocation per chunk and group of four columns: grid(div_ceil(div_ceil(rows, chunk) * columns4, WORKGROUP)).
/// permutations: - wide
@compute @workgroup_size(WORKGROUP)
fn backward_weight(invocation: Invocation) {
    let index = linear(invocation);
    let column = index % params.columns4;
    let run = index / params.columns4;
    if (run >= (params.rows + params.chunk - 1u) / params.chunk) {
        return;
    }
    let first = run * params.chunk;
    var sum = vec4<f32>(0.0);
    for (var row = first; row < min(first + params.chunk, params.rows); row++) {
        let at = row * params.columns4 + column;
        sum += widen_f32(d_y[at]) * widen_f32(x_saved[at]) * rstd_saved[row];
    }
    chunks[index] = narrow_f32(sum);
}
