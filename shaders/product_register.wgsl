// Matrix product for software adapters. There a load costs more than arithmetic, because every lane loads for itself,
// and workgroup memory is no cheaper. So one subgroup computes a tile of ROWS rows by four columns per lane in
// registers; each value of A is loaded by one lane and handed to the others by a shuffle.

import package::shared::product::{load_a, params, store_c};
@if(!(nt && b_quantized)) import package::shared::product::fragment_b;
@if(nt && b_quantized) import package::shared::product::{load_scaled_b, scale_b, starts_scale};
import package::shared::tile::weighed;

/// Lanes of a subgroup.
/// requires: 4 <= LANES
/// requires: ROWS % LANES == 0
override LANES: u32 = 8u;
@if(rows_64) const ROWS: u32 = 64u;
@if(!rows_64) const ROWS: u32 = 32u;
const GROUPS: u32 = ROWS / 4u;
/// Enough registers for A when a subgroup has only four lanes.
const MAX_LOADS: u32 = ROWS / 4u;

/// One workgroup per LANES groups of columns (x) and ROWS rows (y) of C.
/// permutations: - wide; nt; a_f32; b_f32 b_bf16 b_f16 b_quantized; c_f32; - bias; - residual
/// permutations: - wide; nt; a_bf16; b_f32 b_bf16 b_f16 b_quantized; c_f32; - bias; - residual
/// permutations: - wide; nt; a_bf16; b_f32 b_bf16 b_f16 b_quantized; c_bf16; - bias
/// permutations: - wide; nt; a_f32; b_f32 b_bf16; c_bf16
/// permutations: - wide; nn; a_f32; b_f32 b_bf16 b_f16 b_quantized; c_f32
/// permutations: - wide; tn; a_f32; b_f32 b_bf16; c_f32
/// permutations: nt; a_f16; b_f16; c_f32; - bias; - residual
/// permutations: nt; a_f16; b_f16; c_f16; - bias
/// permutations: nn tn; a_f16; b_f16; c_f32
/// permutations: - wide; rows_64; nt; a_f32; b_f32; c_f32; - bias; - residual
/// permutations: - wide; rows_64; nn tn; a_f32; b_f32; c_f32
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first_row = workgroup.y * ROWS;
    let column4 = workgroup.x * LANES + lane;
    // Lanes and rows past the edge compute a copy of the last ones; `store_c` drops them.
    let b_column4 = min(column4, params.n4 - 1u);
    var rows = array<vec4<f32>, MAX_LOADS>();
    var sums = array<vec4<f32>, ROWS>();
    @if(nt && b_quantized) var scales = array<vec2<f32>, 4>();
    let k4 = (params.k + 3u) / 4u;
    for (var k = 0u; k < k4; k++) {
        @if(nt && b_quantized) {
            if (starts_scale(k)) {
                @unroll for (var j = 0u; j < 4u; j++) {
                    scales[j] = scale_b(b_column4 * 4u + j, k);
                }
            }
        }
        @if(nt && b_quantized) let fragment = transpose(mat4x4<f32>(
            load_scaled_b(b_column4 * 4u, k, scales[0]),
            load_scaled_b(b_column4 * 4u + 1u, k, scales[1]),
            load_scaled_b(b_column4 * 4u + 2u, k, scales[2]),
            load_scaled_b(b_column4 * 4u + 3u, k, scales[3]),
        ));
        @if(!(nt && b_quantized)) let fragment = fragment_b(b_column4, k);
        @if(tn) let last = params.k - 1u;
        @if(!tn) {
            for (var i = 0u; i < ROWS / LANES; i++) {
                rows[i] = load_a(min(first_row + i * LANES + lane, params.m - 1u), k);
            }
            @unroll for (var i = 0u; i < ROWS; i++) {
                sums[i] += weighed(fragment, subgroupShuffle(rows[i / LANES], i % LANES));
            }
        }
        @if(tn) {
            // Element e of the tile of A is token e / GROUPS and row group e % GROUPS.
            for (var i = 0u; i < ROWS / LANES; i++) {
                let e = i * LANES + lane;
                let token = k * 4u + e / GROUPS;
                let value = load_a(min(token, last), min(first_row / 4u + e % GROUPS, params.m / 4u - 1u));
                rows[i] = select(vec4<f32>(0.0), value, token <= last);
            }
            @unroll for (var i = 0u; i < GROUPS; i++) {
                let four = transpose(mat4x4<f32>(
                    subgroupShuffle(rows[i / LANES], i % LANES),
                    subgroupShuffle(rows[(GROUPS + i) / LANES], (GROUPS + i) % LANES),
                    subgroupShuffle(rows[(2u * GROUPS + i) / LANES], (2u * GROUPS + i) % LANES),
                    subgroupShuffle(rows[(3u * GROUPS + i) / LANES], (3u * GROUPS + i) % LANES),
                ));
                @unroll for (var j = 0u; j < 4u; j++) {
                    sums[i * 4u + j] += weighed(fragment, four[j]);
                }
            }
        }
    }
    @unroll for (var i = 0u; i < ROWS; i++) {
        store_c(first_row + i, column4, sums[i]);
    }
}
