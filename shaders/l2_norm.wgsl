// Rows of unit length, y = x / max(|x|, 1e-12). LANES lanes work on one row: 1 on software adapters, more on GPUs.

import package::shared::grid::linear;
import package::shared::row_sum::{WORKGROUP, row_sum};

/// requires: 0 < rows
struct Params {
    /// Rows of x and y.
    rows: u32,
    /// Row stride in groups of four values; padding is zero and does not disturb the sums.
    columns4: u32,
}

/// Lanes that work on one row.
/// requires: 64 % LANES == 0
override LANES: u32 = 1u;
/// What shorter rows are divided by, so that zero stays zero.
const SHORTEST: f32 = 1e-12;

@group(0) @binding(0) var<uniform> params: Params;
/// [rows, columns4]: the input.
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
/// [rows, columns4]: the output.
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let lane = local % LANES;
    let row = linear(workgroup, workgroups) * (WORKGROUP / LANES) + local / LANES;
    // Lanes past the last row follow the first one to every barrier and write nothing.
    let base = select(0u, row, row < params.rows) * params.columns4;
    var squares = 0.0;
    for (var i = lane; i < params.columns4; i += LANES) {
        let value = x[base + i];
        squares += dot(value, value);
    }
    let length = max(sqrt(row_sum(LANES, lane, local, squares)), SHORTEST);
    if (row < params.rows) {
        for (var i = lane; i < params.columns4; i += LANES) {
            y[base + i] = x[base + i] / length;
        }
    }
}
