// y += the sum of x over its rows, in row order: gradients of biases and of norm weights.
// `chunks` first sums runs of rows, so that there is work for many lanes; `total` adds the runs up.

import package::shared::grid::{Invocation, WORKGROUP, linear};

/// requires: 0 < columns4
struct Params {
    /// Rows of x.
    rows: u32,
    /// Row stride in groups of four values.
    columns4: u32,
    /// Rows that one lane of `chunks` sums up; `total` has no use for it.
    chunk: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// [rows, columns4]: the rows; in `total`, the sums of runs.
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
/// [div_ceil(rows, chunk), columns4]: the sum of each run of rows.
@group(0) @binding(2) var<storage, read_write> runs: array<vec4<f32>>;

/// Sums runs of `chunk` rows.
/// One invocation per run and group of four columns: grid(div_ceil(div_ceil(rows, chunk) * columns4, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn chunks(invocation: Invocation) {
    let index = linear(invocation);
    let column = index % params.columns4;
    let run = index / params.columns4;
    if (run >= (params.rows + params.chunk - 1u) / params.chunk) {
        return;
    }
    let first = run * params.chunk;
    var sum = vec4<f32>(0.0);
    for (var row = first; row < min(first + params.chunk, params.rows); row++) {
        sum += x[row * params.columns4 + column];
    }
    runs[index] = sum;
}

/// [columns4]: the total, added to.
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

/// y += the sum of all rows.
/// One invocation per group of four columns: grid(div_ceil(columns4, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn total(invocation: Invocation) {
    let column = linear(invocation);
    if (column >= params.columns4) {
        return;
    }
    var sum = vec4<f32>(0.0);
    for (var row = 0u; row < params.rows; row++) {
        sum += x[row * params.columns4 + column];
    }
    y[column] += sum;
}
