// Matrix product nt of few rows for software adapters, which decoding spends most of its time on. The weights decide
// there, and they are read once whatever the number of rows: a lane computes four columns of every row, so each of its
// values of B serves all rows. A is loaded by one lane and handed to the others by a shuffle. Sums run over k in the
// order of `product_register`, so that a row gets the same bits from both.

import package::shared::product::{load_a, params, store_c};
@if(!b_quantized) import package::shared::product::load_b;
@if(b_quantized) import package::shared::product::{load_sixteen_b, scale_b, starts_scale};
@if(b_quantized) import package::shared::quantized::{Sixteen, one_of};
import package::shared::tile::weighed;

/// Lanes of a subgroup.
/// requires: 4 <= LANES
override LANES: u32 = 8u;
@if(rows_1) const ROWS: u32 = 1u;
@if(rows_4) const ROWS: u32 = 4u;
@if(rows_16) const ROWS: u32 = 16u;

/// One workgroup per LANES groups of columns (x) of C.
/// permutations: - wide; rows_1 rows_4 rows_16; a_f32; b_f32 b_bf16 b_f16 b_quantized; c_f32; - bias; - residual
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let column4 = workgroup.x * LANES + lane;
    // Lanes and rows past the edge compute a copy of the last ones; `store_c` drops them.
    let b_column4 = min(column4, params.n4 - 1u);
    var rows: array<vec4<f32>, ROWS>;
    var sums: array<vec4<f32>, ROWS>;
    @if(b_quantized) var scales: array<vec2<f32>, 4>;
    @if(b_quantized) var codes: array<Sixteen, 4>;
    let k4 = params.k / 4u;
    for (var k = 0u; k < k4; k += LANES) {
        @unroll for (var i = 0u; i < ROWS; i++) {
            let value = load_a(min(i, params.m - 1u), min(k + lane, k4 - 1u));
            rows[i] = select(vec4<f32>(0.0), value, k + lane < k4);
        }
        @if(!b_quantized) for (var s = 0u; s < LANES; s++) {
            let group = min(k + s, k4 - 1u);
            let fragment = transpose(mat4x4<f32>(
                load_b(b_column4 * 4u, group),
                load_b(b_column4 * 4u + 1u, group),
                load_b(b_column4 * 4u + 2u, group),
                load_b(b_column4 * 4u + 3u, group),
            ));
            @unroll for (var i = 0u; i < ROWS; i++) {
                sums[i] += weighed(fragment, subgroupShuffle(rows[i], s));
            }
        }
        // Four groups at a time share words and a scale; past the last of k, A is 0.
        @if(b_quantized) for (var s = 0u; s < LANES; s += 4u) {
            let group = min(k + s, (k4 - 1u) / 4u * 4u);
            if (s == 0u || starts_scale(group)) {
                @unroll for (var j = 0u; j < 4u; j++) {
                    scales[j] = scale_b(b_column4 * 4u + j, group);
                }
            }
            @unroll for (var j = 0u; j < 4u; j++) {
                codes[j] = load_sixteen_b(b_column4 * 4u + j, group);
            }
            @unroll for (var t = 0u; t < 4u; t++) {
                let fragment = transpose(mat4x4<f32>(
                    one_of(codes[0], t, scales[0]),
                    one_of(codes[1], t, scales[1]),
                    one_of(codes[2], t, scales[2]),
                    one_of(codes[3], t, scales[3]),
                ));
                @unroll for (var i = 0u; i < ROWS; i++) {
                    sums[i] += weighed(fragment, subgroupShuffle(rows[i], s + t));
                }
            }
        }
    }
    @unroll for (var i = 0u; i < ROWS; i++) {
        store_c(i, column4, sums[i]);
    }
}
