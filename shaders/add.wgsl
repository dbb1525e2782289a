// y += x.

import package::shared::grid::linear;

struct Params {
    /// Groups of four values.
    count: u32,
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
/// [count]: what is added.
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
/// [count]: the sum.
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = linear(workgroup, workgroups) * WORKGROUP + local;
    if (index < params.count) {
        y[index] += x[index];
    }
}
