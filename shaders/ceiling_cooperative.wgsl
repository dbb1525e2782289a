// What cooperative matrices can do at most, for `wgr bench` to compare products with: multiply-adds of matrices that stay
// in registers. Models use none of this.

import package::shared::cooperative::{MatrixA, MatrixB, MatrixC, SIDE};

enable f16;
enable wgpu_cooperative_matrix;

struct Params {
    /// Workgroups.
    workgroups: u32,
    /// Passes through the loop.
    passes: u32,
    /// What every product is taken of.
    left: f32,
    /// What it is multiplied with.
    right: f32,
}

/// Lanes of a subgroup, which is a workgroup.
/// requires: 4 <= LANES
override LANES: u32 = 32u;

/// Independent sums: with fewer, a multiply-add waits for the one before.
const CHAINS: u32 = 4u;

@group(0) @binding(0) var<uniform> params: Params;
/// [workgroups * CHAINS * SIDE, SIDE / 4]: the sums of each workgroup.
@group(0) @binding(1) var<storage, read_write> sums: array<vec4<f32>>;

var<workgroup> operand: array<f16, SIDE * SIDE>;
var<workgroup> result: array<f32, SIDE * SIDE>;

/// A subgroup adds a product to each of its sums, pass after pass.
/// One workgroup per workgroup of sums (x).
/// permutations: tile_8 tile_16
@compute @workgroup_size(LANES)
fn multiply_add(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var i = lane; i < SIDE * SIDE; i += LANES) {
        operand[i] = f16(params.left);
    }
    workgroupBarrier();
    let left = coopLoadT<MatrixA>(&operand[0], SIDE);
    workgroupBarrier();
    for (var i = lane; i < SIDE * SIDE; i += LANES) {
        operand[i] = f16(params.right);
    }
    workgroupBarrier();
    let right = coopLoadT<MatrixB>(&operand[0], SIDE);
    var chains = array<MatrixC, CHAINS>();
    for (var n = 0u; n < params.passes; n++) {
        @unroll for (var i = 0u; i < CHAINS; i++) {
            chains[i] = coopMultiplyAdd(left, right, chains[i]);
        }
    }
    @unroll for (var i = 0u; i < CHAINS; i++) {
        coopStoreT(chains[i], &result[0], SIDE);
        workgroupBarrier();
        for (var e = lane; e < SIDE * SIDE / 4u; e += LANES) {
            let four = vec4<f32>(result[e * 4u], result[e * 4u + 1u], result[e * 4u + 2u], result[e * 4u + 3u]);
            if (workgroup.x < params.workgroups) {
                sums[(workgroup.x * CHAINS + i) * (SIDE * SIDE / 4u) + e] = four;
            }
        }
        workgroupBarrier();
    }
}
