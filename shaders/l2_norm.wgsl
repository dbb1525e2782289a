// Rows of unit length, y = x / max(|x|, 1e-12). LANES lanes work on one row: 1 on software adapters, more on GPUs.

import package::shared::grid::{Invocation, WORKGROUP, row_of};
import package::shared::row_sum::row_sum;

/// requires: 0 < rows
struct Params {
    /// Rows of x and y.
    rows: u32,
    /// Row stride in groups of four values; padding is zero and does not disturb the sums.
    columns4: u32,
}

/// Lanes that work on one row.
/// requires: WORKGROUP % LANES == 0
override LANES: u32 = 1u;
/// Smallest divisor, so that zero stays zero.
const SHORTEST: f32 = 1e-12;

@group(0) @binding(0) var<uniform> params: Params;
/// [rows, columns4]: the input.
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
/// [rows, columns4]: the output.
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

/// LANES invocations per row: grid(div_ceil(rows, WORKGROUP / LANES)).
@compute @workgroup_size(WORKGROUP)
fn forward(invocation: Invocation) {
    let lane = invocation.local % LANES;
    let row = row_of(invocation, LANES);
    // Lanes past the last row follow the first one to every barrier and write nothing.
    let base = select(0u, row, row < params.rows) * params.columns4;
    var squares = 0.0;
    for (var i = lane; i < params.columns4; i += LANES) {
        let value = x[base + i];
        squares += dot(value, value);
    }
    let length = max(sqrt(row_sum(LANES, lane, invocation.local, squares)), SHORTEST);
    if (row < params.rows) {
        for (var i = lane; i < params.columns4; i += LANES) {
            y[base + i] = x[base + i] / length;
        }
    }
}
