// LayerNorm, y = (x - mean) * rstd * weight + bias with rstd = 1 / sqrt(variance + eps) (Ba et al. 2016, arXiv
// 1607.06450). LANES lanes work on one row: 1 on software adapters, more on GPUs.

import package::shared::grid::{Invocation, WORKGROUP, linear, row_of};
import package::shared::row_sum::row_sum;
@if(!y_bf16) import package::shared::f32::{Packed, narrow};
@if(y_bf16) import package::shared::bf16::{Packed, narrow};

/// requires: 0 < rows
/// requires: 0 < columns4
/// requires: 0 < chunk
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
    /// Rows that one lane of `backward_weight` sums up.
    chunk: u32,
}

/// Lanes that work on one row.
/// requires: 64 % LANES == 0
override LANES: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;

/// Zero in the padding, where subtracting a mean would leave something else.
fn masked(value: vec4<f32>, column4: u32) -> vec4<f32> {
    let column = vec4<u32>(column4 * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(0.0), value, column < vec4<u32>(params.columns));
}

/// [rows, columns4]: the input.
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
/// [columns4]: what normalized values are multiplied by.
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
/// [columns4]: what is added to them.
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
/// [rows, columns4]: the output.
@group(0) @binding(4) var<storage, read_write> y: array<Packed>;
/// [rows]: mean and rstd of each row, kept for the backward pass.
@group(0) @binding(5) var<storage, read_write> statistics: array<vec2<f32>>;

/// y = (x - mean) * rstd * weight + bias.
/// LANES invocations per row: grid(div_ceil(rows, WORKGROUP / LANES)).
@compute @workgroup_size(WORKGROUP)
fn forward(invocation: Invocation) {
    let lane = invocation.local % LANES;
    let row = row_of(invocation, LANES);
    // Lanes past the last row follow the first one to every barrier and write nothing.
    let base = select(0u, row, row < params.rows) * params.columns4;
    var sum = 0.0;
    for (var i = lane; i < params.columns4; i += LANES) {
        sum += dot(x[base + i], vec4<f32>(1.0));
    }
    let mean = row_sum(LANES, lane, invocation.local, sum) / f32(params.columns);
    // A second pass over the row, because a mean of squares less the square of the mean cancels.
    var squares = 0.0;
    for (var i = lane; i < params.columns4; i += LANES) {
        let centred = masked(x[base + i] - mean, i);
        squares += dot(centred, centred);
    }
    let rstd = inverseSqrt(row_sum(LANES, lane, invocation.local, squares) / f32(params.columns) + params.eps);
    if (row < params.rows) {
        for (var i = lane; i < params.columns4; i += LANES) {
            y[base + i] = narrow((x[base + i] - mean) * rstd * weight[i] + bias[i]);
        }
        if (lane == 0u) {
            statistics[row] = vec2<f32>(mean, rstd);
        }
    }
}

/// [rows, columns4]: gradient of the output.
@group(0) @binding(1) var<storage, read> d_y: array<vec4<f32>>;
/// [rows, columns4]: the input of the forward pass.
@group(0) @binding(2) var<storage, read> x_saved: array<vec4<f32>>;
/// [rows]: mean and rstd of each row.
@group(0) @binding(3) var<storage, read> statistics_saved: array<vec2<f32>>;
/// [columns4]: what normalized values were multiplied by.
@group(0) @binding(4) var<storage, read> weight_saved: array<vec4<f32>>;
/// [rows, columns4]: gradient of the input, added to.
@group(0) @binding(5) var<storage, read_write> d_x: array<vec4<f32>>;

/// With g = d_y * weight and n = (x - mean) * rstd:  d_x += rstd * (g - mean(g) - n * mean(g * n)).
/// LANES invocations per row: grid(div_ceil(rows, WORKGROUP / LANES)).
@compute @workgroup_size(WORKGROUP)
fn backward(invocation: Invocation) {
    let lane = invocation.local % LANES;
    let row = row_of(invocation, LANES);
    let source = select(0u, row, row < params.rows);
    let base = source * params.columns4;
    let mean = statistics_saved[source].x;
    let rstd = statistics_saved[source].y;
    var sum = 0.0;
    var projection = 0.0;
    for (var i = lane; i < params.columns4; i += LANES) {
        let g = d_y[base + i] * weight_saved[i];
        sum += dot(g, vec4<f32>(1.0));
        projection += dot(g, x_saved[base + i] - mean);
    }
    let mean_g = row_sum(LANES, lane, invocation.local, sum) / f32(params.columns);
    let mean_gn = row_sum(LANES, lane, invocation.local, projection) * rstd / f32(params.columns);
    if (row < params.rows) {
        for (var i = lane; i < params.columns4; i += LANES) {
            let n = (x_saved[base + i] - mean) * rstd;
            d_x[base + i] += masked(rstd * (d_y[base + i] * weight_saved[i] - mean_g - n * mean_gn), i);
        }
    }
}

/// [div_ceil(rows, chunk), columns4]: gradient of the weight by each chunk of rows.
@group(0) @binding(4) var<storage, read_write> chunks: array<vec4<f32>>;

/// d_weight = sum over rows of d_y * n, first in chunks of rows so that there is work for many lanes; the `column_sum`
/// kernel adds the chunks up in a fixed order.
/// One invocation per chunk and group of four columns: grid(div_ceil(div_ceil(rows, chunk) * columns4, WORKGROUP)).
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
        sum += d_y[at] * (x_saved[at] - statistics_saved[row].x) * statistics_saved[row].y;
    }
    chunks[index] = sum;
}
