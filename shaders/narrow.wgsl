// Values rounded to f16, to nearest even, for products that convert nothing.

import package::shared::f16::{Packed as Half, narrow};
import package::shared::f32::{Packed, widen};
import package::shared::grid::{Invocation, WORKGROUP, linear};

struct Params {
    /// Groups of four values.
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// [count]: the values.
@group(0) @binding(1) var<storage, read> x: array<Packed>;
/// [count]: the rounded values.
@group(0) @binding(2) var<storage, read_write> y: array<Half>;

/// y = x in f16.
/// One invocation per group of four values: grid(div_ceil(count, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn forward(invocation: Invocation) {
    let index = linear(invocation);
    if (index < params.count) {
        y[index] = narrow(widen(x[index]));
    }
}
