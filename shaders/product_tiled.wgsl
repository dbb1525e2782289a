// Matrix product for ordinary GPUs: a workgroup of 16 x 16 lanes computes a tile of 64 x 64 through workgroup memory,
// four rows by four columns per lane, 16 values of k at a time. With `few` rows the tile is 16 x 64, one row per lane;
// sums keep their order.

import package::shared::product::{load_a, params, store_c};
@if(!(nt && b_quantized)) import package::shared::product::load_b;
@if(nt && b_quantized) import package::shared::product::{load_scaled_b, scale_b, starts_scale};
import package::shared::tile::weighed;

const TILE: u32 = 64u;
/// Rows of a lane.
@if(few) const ROWS: u32 = 1u;
@if(!few) const ROWS: u32 = 4u;
const SIDE: u32 = 16u;
const DEPTH4: u32 = 4u;
/// Rows of a tile are one group apart from a multiple of the banks, so that columns do not collide.
const STRIDE: u32 = DEPTH4 + 1u;

// nt, nn: A by row; tn: A by token.
var<workgroup> tile_a: array<vec4<f32>, TILE * STRIDE>;
// nt: B by row; nn, tn: B by k.
var<workgroup> tile_b: array<vec4<f32>, TILE * STRIDE>;

/// One workgroup per 16 groups of columns (x) and SIDE * ROWS rows (y) of C.
/// permutations: nt; a_f32; b_f32 b_bf16 b_f16 b_quantized; c_f32; - bias; - residual
/// permutations: nt; a_bf16; b_f32 b_bf16 b_f16 b_quantized; c_f32; - bias; - residual
/// permutations: nt; a_bf16; b_f32 b_bf16 b_f16 b_quantized; c_bf16; - bias
/// permutations: nt; a_f32; b_f32 b_bf16; c_bf16
/// permutations: nt; few; a_f32; b_f32 b_bf16 b_f16 b_quantized; c_f32; - bias; - residual
/// permutations: nn; a_f32; b_f32 b_bf16 b_f16 b_quantized; c_f32
/// permutations: tn; a_f32; b_f32 b_bf16; c_f32
/// permutations: nt; a_f16; b_f16; c_f32; - bias; - residual
/// permutations: nt; a_f16; b_f16; c_f16; - bias
/// permutations: nn tn; a_f16; b_f16; c_f32
@compute @workgroup_size(SIDE, SIDE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let first_row = workgroup.y * SIDE * ROWS;
    let first_column4 = workgroup.x * SIDE;
    var sums: array<vec4<f32>, 4>;
    for (var i = 0u; i < 4u; i++) {
        sums[i] = vec4<f32>(0.0);
    }
    let k4 = (params.k + 3u) / 4u;
    // Tile coordinates of the one group that this lane loads: long side by four, or sixteen by sixteen.
    let long = index / DEPTH4;
    let short = index % DEPTH4;
    let deep = index / SIDE;
    let wide = index % SIDE;
    @if(nt && b_quantized) var scale: vec2<f32>;
    for (var k = 0u; k < k4; k += DEPTH4) {
        @if(!tn) {
            let row = first_row + long;
            if (long < SIDE * ROWS) {
                let value = load_a(min(row, params.m - 1u), min(k + short, k4 - 1u));
                tile_a[long * STRIDE + short] = select(vec4<f32>(0.0), value, row < params.m && k + short < k4);
            }
        }
        @if(tn) {
            let token = k * 4u + deep;
            let value = load_a(min(token, params.k - 1u), min(first_row / 4u + wide, params.m / 4u - 1u));
            tile_a[deep * SIDE + wide] = select(vec4<f32>(0.0), value, token < params.k);
        }
        @if(nt) {
            let row = min(first_column4 * 4u + long, params.n4 * 4u - 1u);
            // The four lanes of a row load one scale, for one or two steps.
            @if(b_quantized) {
                if (starts_scale(k)) {
                    scale = scale_b(row, k);
                }
                tile_b[long * STRIDE + short] = load_scaled_b(row, min(k + short, k4 - 1u), scale);
            }
            @if(!b_quantized) {
                tile_b[long * STRIDE + short] = load_b(row, min(k + short, k4 - 1u));
            }
        }
        @if(!nt) {
            let row = min(k * 4u + deep, max(params.k, 1u) - 1u);
            tile_b[deep * SIDE + wide] = load_b(row, min(first_column4 + wide, params.n4 - 1u));
        }
        workgroupBarrier();
        for (var step = 0u; step < DEPTH4; step++) {
            @if(nt) let fragment = transpose(mat4x4<f32>(
                tile_b[(local.x * 4u) * STRIDE + step],
                tile_b[(local.x * 4u + 1u) * STRIDE + step],
                tile_b[(local.x * 4u + 2u) * STRIDE + step],
                tile_b[(local.x * 4u + 3u) * STRIDE + step],
            ));
            @if(!nt) let fragment = mat4x4<f32>(
                tile_b[(step * 4u) * SIDE + local.x],
                tile_b[(step * 4u + 1u) * SIDE + local.x],
                tile_b[(step * 4u + 2u) * SIDE + local.x],
                tile_b[(step * 4u + 3u) * SIDE + local.x],
            );
            @if(!tn) {
                for (var i = 0u; i < ROWS; i++) {
                    let row = tile_a[(local.y * ROWS + i) * STRIDE + step];
                    sums[i] += weighed(fragment, row);
                }
            }
            @if(tn) {
                let rows = transpose(mat4x4<f32>(
                    tile_a[(step * 4u) * SIDE + local.y],
                    tile_a[(step * 4u + 1u) * SIDE + local.y],
                    tile_a[(step * 4u + 2u) * SIDE + local.y],
                    tile_a[(step * 4u + 3u) * SIDE + local.y],
                ));
                for (var i = 0u; i < 4u; i++) {
                    sums[i] += weighed(fragment, rows[i]);
                }
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < ROWS; i++) {
        store_c(first_row + local.y * ROWS + i, first_column4 + local.x, sums[i]);
    }
}
