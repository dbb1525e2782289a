// Matrix product nt of few rows for software adapters, which decoding spends most of its time on. The weights decide
// there, and they are read once whatever the number of rows: a lane computes four columns of every row, so each of its
// values of B serves all rows. A is loaded by one lane and handed to the others by a shuffle. Sums run over k in the
// order of `product_register`, so that a row gets the same bits from both.

import package::shared::product::{load_a, params, store_c};
@if(!b_quantized) import package::shared::product::fragment_b;
@if(b_quantized) import package::shared::product::{load_block_b, scale_b};
@if(b_quantized) import package::shared::quantized::{Block, SCALE4, one_of};
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
    var rows = array<vec4<f32>, ROWS>();
    var sums = array<vec4<f32>, ROWS>();
    let k4 = params.k / 4u;
    @if(!b_quantized) for (var k = 0u; k < k4; k += LANES) {
        @unroll for (var i = 0u; i < ROWS; i++) {
            rows[i] = load_a_or_zero(i, k + lane);
        }
        for (var s = 0u; s < LANES; s++) {
            let fragment = fragment_b(b_column4, min(k + s, k4 - 1u));
            @unroll for (var i = 0u; i < ROWS; i++) {
                sums[i] += weighed(fragment, subgroupShuffle(rows[i], s));
            }
        }
    }
    // Eight groups at a time, whose codes are loaded together; past the last of k, A is 0.
    @if(b_quantized) var blocks = array<Block, 4>();
    @if(b_quantized) var scales = array<vec2<f32>, 4>();
    @if(b_quantized) for (var k = 0u; k < k4; k += 8u) {
        @unroll for (var j = 0u; j < 4u; j++) {
            blocks[j] = load_block_b(b_column4 * 4u + j, k);
        }
        @unroll for (var half = 0u; half < 2u; half++) {
            if (half == 0u || LANES == 4u) {
                @unroll for (var i = 0u; i < ROWS; i++) {
                    rows[i] = load_a_or_zero(i, k + half * 4u + lane);
                }
            }
            if (half == 0u || SCALE4 == 4u) {
                @unroll for (var j = 0u; j < 4u; j++) {
                    scales[j] = scale_b(b_column4 * 4u + j, k + half * 4u);
                }
            }
            @unroll for (var t = 0u; t < 4u; t++) {
                let fragment = transpose(mat4x4<f32>(
                    one_of(blocks[0], half * 4u + t, scales[0]),
                    one_of(blocks[1], half * 4u + t, scales[1]),
                    one_of(blocks[2], half * 4u + t, scales[2]),
                    one_of(blocks[3], half * 4u + t, scales[3]),
                ));
                @unroll for (var i = 0u; i < ROWS; i++) {
                    sums[i] += weighed(fragment, subgroupShuffle(rows[i], (half * 4u + t) % LANES));
                }
            }
        }
    }
    @unroll for (var i = 0u; i < ROWS; i++) {
        store_c(i, column4, sums[i]);
    }
}

/// Four values of a row of A: of the last row past it, and 0 past the columns.
fn load_a_or_zero(row: u32, column4: u32) -> vec4<f32> {
    let k4 = params.k / 4u;
    let value = load_a(min(row, params.m - 1u), min(column4, k4 - 1u));
    return select(vec4<f32>(0.0), value, column4 < k4);
}
