// y += x.

import package::shared::f32::{Packed, narrow, widen};
import package::shared::grid::{Invocation, WORKGROUP, linear};

struct Params {
    /// Groups of four values.
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// [count]: the values to add.
@group(0) @binding(1) var<storage, read> x: array<Packed>;
/// [count]: the sum.
@group(0) @binding(2) var<storage, read_write> y: array<Packed>;

/// One invocation per group of four values: grid(div_ceil(count, WORKGROUP)).
/// permutations: - wide
@compute @workgroup_size(WORKGROUP)
fn main(invocation: Invocation) {
    let index = linear(invocation);
    if (index < params.count) {
        y[index] = narrow(widen(y[index]) + widen(x[index]));
    }
}
