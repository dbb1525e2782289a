// The same values in another storage type, rounded to nearest.

import package::shared::grid::{Invocation, WORKGROUP, linear};
@if(x_f32) import package::shared::f32::{Packed as X, widen};
@if(x_bf16) import package::shared::bf16::{Packed as X, widen};
@if(x_f16) import package::shared::f16::{Packed as X, widen};
@if(y_f32) import package::shared::f32::{Packed as Y, narrow};
@if(y_bf16) import package::shared::bf16::{Packed as Y, narrow};
@if(y_f16) import package::shared::f16::{Packed as Y, narrow};

struct Params {
    /// Groups of four values.
    count: u32,
    /// First group in the shard of x.
    x_first: u32,
    /// First group in the shard of y: the storage types may be sharded at different rows.
    y_first: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// [x_first + count]: the values.
@group(0) @binding(1) var<storage, read> x: array<X>;
/// [y_first + count]: the same in another storage type.
@group(0) @binding(2) var<storage, read_write> y: array<Y>;

/// One invocation per group of four values: grid(div_ceil(count, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn main(invocation: Invocation) {
    let index = linear(invocation);
    if (index < params.count) {
        y[params.y_first + index] = narrow(widen(x[params.x_first + index]));
    }
}
