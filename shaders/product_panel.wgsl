// Matrix product for software adapters whose shaders load words of 64 bits. A tile of registers that is large enough to
// load little is far larger than what such an adapter has in registers, and its code larger than a cache of instructions.
// So one subgroup keeps a panel of B instead, PANEL values of k for four columns per lane, and takes one row of A after the
// other past it: four sums at a time, a few kilobytes of code, and no value that the rounds of a loop hand on, which such
// an adapter copies under a mask. Between panels, sums rest in workgroup memory. They run over k in the order of
// `product_register`, so that a value has the same bits from both.

import package::shared::f32::{Packed as Sum, narrow, widen};
import package::shared::product::{load_a, params, store_c};
@if(!(nt && b_quantized)) import package::shared::product::fragment_b;
@if(nt && b_quantized) import package::shared::product::{load_block_b, scale_b};
@if(nt && b_quantized) import package::shared::quantized::{Block, SCALE4, one_of};
import package::shared::tile::weighed;

/// Lanes of a subgroup.
/// requires: 4 <= LANES
/// requires: LANES <= 16
override LANES: u32 = 8u;
/// Values of k in a panel, in groups of four.
const PANEL4: u32 = 16u;
const PANEL: u32 = 4u * PANEL4;
/// Groups of four sums in workgroup memory: 16 KiB, what every adapter has. A tile has `SUMS / LANES` rows.
const SUMS: u32 = 1024u;
/// Enough registers for a row of A when a subgroup has only four lanes.
@if(!tn) const MAX_LOADS: u32 = PANEL4 / 4u;
@if(tn) const MAX_LOADS: u32 = PANEL / 4u;

var<workgroup> sums: array<Sum, SUMS>;

/// One workgroup per LANES groups of columns (x) and `SUMS / LANES` rows (y) of C.
/// permutations: wide; nt; a_f32; b_f32 b_bf16 b_f16 b_quantized; c_f32; - bias; - residual
/// permutations: wide; nt; a_bf16; b_f32 b_bf16 b_f16 b_quantized; c_f32; - bias; - residual
/// permutations: wide; nt; a_bf16; b_f32 b_bf16 b_f16 b_quantized; c_bf16; - bias
/// permutations: wide; nt; a_f32; b_f32 b_bf16; c_bf16
/// permutations: wide; nn; a_f32; b_f32 b_bf16 b_f16 b_quantized; c_f32
/// permutations: wide; tn; a_f32; b_f32 b_bf16; c_f32
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first_row = workgroup.y * (SUMS / LANES);
    let end = min(first_row + SUMS / LANES, params.m);
    let column4 = workgroup.x * LANES + lane;
    // Lanes past the edge compute a copy of the last ones; `store_c` drops them.
    let b_column4 = min(column4, params.n4 - 1u);
    let k4 = (params.k + 3u) / 4u;
    var panel = array<mat4x4<f32>, PANEL4>();
    for (var row = first_row; row < end; row++) {
        sums[(row - first_row) * LANES + lane] = narrow(vec4<f32>(0.0));
    }
    // Past the last of k, B is a copy of it, and A is 0.
    for (var first = 0u; first < k4; first += PANEL4) {
        @if(!(nt && b_quantized)) @unroll for (var i = 0u; i < PANEL4; i++) {
            panel[i] = fragment_b(b_column4, min(first + i, k4 - 1u));
        }
        @if(nt && b_quantized) @unroll for (var half = 0u; half < 2u; half++) {
            // Eight groups, whose codes are loaded together.
            let group = min(first + half * 8u, (k4 - 1u) / 8u * 8u);
            var blocks = array<Block, 4>();
            var scales = array<vec2<f32>, 4>();
            @unroll for (var j = 0u; j < 4u; j++) {
                blocks[j] = load_block_b(b_column4 * 4u + j, group);
            }
            @unroll for (var t = 0u; t < 8u; t++) {
                if (t == 0u || (t == 4u && SCALE4 == 4u)) {
                    @unroll for (var j = 0u; j < 4u; j++) {
                        scales[j] = scale_b(b_column4 * 4u + j, group + t);
                    }
                }
                panel[half * 8u + t] = transpose(mat4x4<f32>(
                    one_of(blocks[0], t, scales[0]),
                    one_of(blocks[1], t, scales[1]),
                    one_of(blocks[2], t, scales[2]),
                    one_of(blocks[3], t, scales[3]),
                ));
            }
        }
        @if(tn) let last = params.k - 1u;
        @if(!tn) for (var row = first_row; row < end; row++) {
            var values = array<vec4<f32>, MAX_LOADS>();
            for (var i = 0u; i < PANEL4 / LANES; i++) {
                let group = first + i * LANES + lane;
                values[i] = select(vec4<f32>(0.0), load_a(row, min(group, k4 - 1u)), group < k4);
            }
            let place = (row - first_row) * LANES + lane;
            var sum = widen(sums[place]);
            @unroll for (var i = 0u; i < PANEL4; i++) {
                sum += weighed(panel[i], subgroupShuffle(values[i / LANES], i % LANES));
            }
            sums[place] = narrow(sum);
        }
        // Four rows of C are loaded at once, and taken one by one.
        @if(tn) for (var row4 = first_row; row4 < end; row4 += 4u) {
            var values = array<vec4<f32>, MAX_LOADS>();
            for (var i = 0u; i < PANEL / LANES; i++) {
                let token = first * 4u + i * LANES + lane;
                values[i] = select(vec4<f32>(0.0), load_a(min(token, last), row4 / 4u), token <= last);
            }
            @unroll for (var j = 0u; j < 4u; j++) {
                var of_row = array<f32, MAX_LOADS>();
                for (var i = 0u; i < PANEL / LANES; i++) {
                    of_row[i] = values[i][j];
                }
                let place = (row4 + j - first_row) * LANES + lane;
                var sum = widen(sums[place]);
                @unroll for (var i = 0u; i < PANEL4; i++) {
                    let four = vec4<f32>(
                        subgroupShuffle(of_row[i * 4u / LANES], i * 4u % LANES),
                        subgroupShuffle(of_row[(i * 4u + 1u) / LANES], (i * 4u + 1u) % LANES),
                        subgroupShuffle(of_row[(i * 4u + 2u) / LANES], (i * 4u + 2u) % LANES),
                        subgroupShuffle(of_row[(i * 4u + 3u) / LANES], (i * 4u + 3u) % LANES),
                    );
                    sum += weighed(panel[i], four);
                }
                sums[place] = narrow(sum);
            }
        }
    }
    for (var row = first_row; row < end; row++) {
        store_c(row, column4, widen(sums[(row - first_row) * LANES + lane]));
    }
}
