// LayerNorm, y = (x - mean) * rstd * weight + bias with rstd = 1 / sqrt(variance + eps) (Ba et al. 2016, arXiv
// 1607.06450). LANES lanes work on one row: 1 on software adapters, more on GPUs.

import package::shared::f32::{Packed as F32, widen as widen_f32};
import package::shared::grid::{Invocation, WORKGROUP, row_of};
import package::shared::row_sum::row_sum;
@if(!y_bf16) import package::shared::f32::{Packed, narrow};
@if(y_bf16) import package::shared::bf16::{Packed, narrow};

/// requires: 0 < rows
/// requires: 0 < columns4
/// requires: columns <= 4 * columns4
struct Params {
    /// Rows of x and y.
    rows: u32,
    /// Row stride in groups of four values.
    columns4: u32,
    /// Number of real columns.
    columns: u32,
    /// Added to the variance.
    eps: f32,
}

/// Lanes that work on one row.
/// requires: WORKGROUP % LANES == 0
override LANES: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;

/// Zero in the padding, where subtracting a mean would leave something else.
fn masked(value: vec4<f32>, column4: u32) -> vec4<f32> {
    let column = vec4<u32>(column4 * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(0.0), value, column < vec4<u32>(params.columns));
}

/// [rows, columns4]: the input.
@group(0) @binding(1) var<storage, read> x: array<F32>;
/// [columns4]: factor of each column.
@group(0) @binding(2) var<storage, read> weight: array<F32>;
/// [columns4]: offset of each column.
@group(0) @binding(3) var<storage, read> bias: array<F32>;
/// [rows, columns4]: the output.
@group(0) @binding(4) var<storage, read_write> y: array<Packed>;

/// y = (x - mean) * rstd * weight + bias.
/// LANES invocations per row: grid(div_ceil(rows, WORKGROUP / LANES)).
/// permutations: - wide; - y_bf16
@compute @workgroup_size(WORKGROUP)
fn forward(invocation: Invocation) {
    let lane = invocation.local % LANES;
    let row = row_of(invocation, LANES);
    // Lanes past the last row follow the first one to every barrier and write nothing.
    let base = select(0u, row, row < params.rows) * params.columns4;
    var sum = 0.0;
    for (var i = lane; i < params.columns4; i += LANES) {
        sum += dot(widen_f32(x[base + i]), vec4<f32>(1.0));
    }
    let mean = row_sum(LANES, lane, invocation.local, sum) / f32(params.columns);
    // A second pass over the row, because a mean of squares less the square of the mean cancels.
    var squares = 0.0;
    for (var i = lane; i < params.columns4; i += LANES) {
        let centred = masked(widen_f32(x[base + i]) - mean, i);
        squares += dot(centred, centred);
    }
    let rstd = inverseSqrt(row_sum(LANES, lane, invocation.local, squares) / f32(params.columns) + params.eps);
    if (row < params.rows) {
        for (var i = lane; i < params.columns4; i += LANES) {
            let value = (widen_f32(x[base + i]) - mean) * rstd;
            y[base + i] = narrow(value * widen_f32(weight[i]) + widen_f32(bias[i]));
        }
    }
}
