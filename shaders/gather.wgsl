// Rows of a matrix by number, and the sum of their gradients back into it. A row may be taken more than once.

import package::shared::grid::{Invocation, WORKGROUP, linear};

/// requires: 0 < rows
/// requires: 0 < columns4
struct Params {
    /// Rows taken.
    taken: u32,
    /// Rows of the matrix.
    rows: u32,
    /// Groups of four values in a row.
    columns4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

/// [taken]: the row of the matrix that is taken to each place.
@group(0) @binding(1) var<storage, read> sources: array<u32>;
/// [rows, columns4]: the matrix.
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
/// [taken, columns4]: the rows taken.
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

/// y = x[sources].
/// One invocation per group of four values of y: grid(div_ceil(taken * columns4, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn forward(invocation: Invocation) {
    let index = linear(invocation);
    let place = index / params.columns4;
    if (place < params.taken) {
        let row = min(sources[place], params.rows - 1u);
        y[index] = x[row * params.columns4 + index % params.columns4];
    }
}

// Row r of the matrix was taken to the places uses[starts[r]..starts[r + 1]].
/// [rows + 1]: where the places of each row start in `uses`, and where the last ones end.
@group(0) @binding(1) var<storage, read> starts: array<u32>;
/// [taken]: places, row after row.
@group(0) @binding(2) var<storage, read> uses: array<u32>;
/// [taken, columns4]: gradient of the rows taken.
@group(0) @binding(3) var<storage, read> d_y: array<vec4<f32>>;
/// [rows, columns4]: gradient of the matrix.
@group(0) @binding(4) var<storage, read_write> d_x: array<vec4<f32>>;

/// d_x[row] = sum of d_y over the places that the row was taken to, in order.
/// One invocation per group of four values of d_x: grid(div_ceil(rows * columns4, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn backward(invocation: Invocation) {
    let index = linear(invocation);
    let row = index / params.columns4;
    if (row >= params.rows) {
        return;
    }
    var sum = vec4<f32>(0.0);
    for (var i = starts[row]; i < min(starts[row + 1u], params.taken); i++) {
        sum += d_y[min(uses[i], params.taken - 1u) * params.columns4 + index % params.columns4];
    }
    d_x[index] = sum;
}
