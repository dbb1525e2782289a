// Matrix product tn for ordinary GPUs where C is small: then it has too few tiles of `product_tiled` to occupy a GPU, however
// many tokens it sums over. A workgroup computes a tile of 32 x 32 values in four parts, each of which takes every fourth
// run of PART tokens and has 8 x 8 lanes that own four by four values each. In the end the parts are added up in order.
//
// A value is the sum of four chains of multiply-adds and not one: its bits differ from those of `product_tiled`, so the
// shape of C alone decides between them.

import package::shared::product::{load_b, params, store_c, token_of_a};

/// Parts, and lanes along each side of one.
const PARTS: u32 = 4u;
const SIDE: u32 = 8u;
/// Lanes of a part.
const LANES: u32 = SIDE * SIDE;
/// Tokens of a part, and of all parts, that are loaded at a time: two groups of either operand for every lane.
const PART: u32 = 16u;
const STEP: u32 = PARTS * PART;
const LOADS: u32 = STEP * SIDE / (PARTS * LANES);

/// SIDE groups of rows of A for each token of a step; then SIDE groups of columns of B.
/// Or, in the end, four groups of sums of every lane.
var<workgroup> tile: array<vec4<f32>, 2u * STEP * SIDE>;

/// A group of four rows at a token: zeros past the last one. Groups past the edge repeat the last.
fn rows_at(token: u32, row4: u32) -> vec4<f32> {
    return token_of_a(token, min(row4, params.m / 4u - 1u));
}

/// A group of four columns at a token; past the last one it repeats that, since zeros of A meet it.
fn columns_at(token: u32, column4: u32) -> vec4<f32> {
    return load_b(min(token, params.k - 1u), min(column4, params.n4 - 1u));
}

/// One workgroup per SIDE groups of columns (x) and of rows (y) of C.
/// permutations: tn; a_f32; b_f32 b_bf16; c_f32
/// permutations: tn; a_f16; b_f16; c_f32
@compute @workgroup_size(SIDE, SIDE, PARTS)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let first_row4 = workgroup.y * SIDE;
    let first_column4 = workgroup.x * SIDE;
    // What a lane loads: the same group at tokens that are PARTS * SIDE apart.
    let token = index / SIDE;
    let group = index % SIDE;
    var next_rows = array<vec4<f32>, LOADS>();
    var next_columns = array<vec4<f32>, LOADS>();
    @unroll for (var i = 0u; i < LOADS; i++) {
        next_rows[i] = rows_at(token + i * PARTS * SIDE, first_row4 + group);
        next_columns[i] = columns_at(token + i * PARTS * SIDE, first_column4 + group);
    }
    var sums = array<vec4<f32>, 4>();
    for (var first = 0u; first < params.k; first += STEP) {
        @unroll for (var i = 0u; i < LOADS; i++) {
            tile[(token + i * PARTS * SIDE) * SIDE + group] = next_rows[i];
            tile[(STEP + token + i * PARTS * SIDE) * SIDE + group] = next_columns[i];
        }
        workgroupBarrier();
        if (first + STEP < params.k) {
            @unroll for (var i = 0u; i < LOADS; i++) {
                next_rows[i] = rows_at(first + STEP + token + i * PARTS * SIDE, first_row4 + group);
                next_columns[i] = columns_at(first + STEP + token + i * PARTS * SIDE, first_column4 + group);
            }
        }
        for (var t = local.z * PART; t < (local.z + 1u) * PART; t++) {
            let rows = tile[t * SIDE + local.y];
            let columns = tile[(STEP + t) * SIDE + local.x];
            @unroll for (var i = 0u; i < 4u; i++) {
                sums[i] = fma(vec4<f32>(rows[i]), columns, sums[i]);
            }
        }
        workgroupBarrier();
    }
    let lane = local.y * SIDE + local.x;
    @unroll for (var i = 0u; i < 4u; i++) {
        tile[(local.z * 4u + i) * LANES + lane] = sums[i];
    }
    workgroupBarrier();
    // Every part adds up one row of each lane's four.
    var sum = vec4<f32>(0.0);
    @unroll for (var part = 0u; part < PARTS; part++) {
        sum += tile[(part * 4u + local.z) * LANES + lane];
    }
    store_c((first_row4 + local.y) * 4u + local.z, first_column4 + local.x, sum);
}
