// Matrix product nt of few rows for ordinary GPUs, which decoding spends most of its time on: a workgroup of 16 x 16 lanes
// computes 16 rows of 16 columns, one value per lane, so that many of them share the weights even of a narrow layer. The
// next values of k are loaded while the present ones are multiplied. Sums run over k as in `product_tiled`, so that a row
// gets the same bits from both.

import package::shared::product::{load_a, load_b, params, store_c};

const SIDE: u32 = 16u;
/// Groups of four values of k that are loaded at a time: two of each operand for every lane.
const DEPTH4: u32 = 32u;
const LOADS: u32 = 2u;

/// Rows of A, and columns of B: DEPTH4 groups of each.
var<workgroup> tile_a: array<vec4<f32>, SIDE * DEPTH4>;
var<workgroup> tile_b: array<vec4<f32>, SIDE * DEPTH4>;

/// Where a tile holds a group of a row or column. Neighbours are turned by a bank, so that lanes that read the same group of
/// them do not collide.
fn place(long: u32, k4: u32) -> u32 {
    return long * DEPTH4 + (k4 ^ (long % 8u));
}

/// One workgroup per SIDE rows (x) and SIDE columns (y) of C.
/// permutations: nt; a_f32; b_f32 b_bf16 b_f16 b_quantized; c_f32; - bias; - residual
@compute @workgroup_size(SIDE, SIDE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let first_row = workgroup.x * SIDE;
    let first_column4 = workgroup.y * (SIDE / 4u);
    let k4 = params.k / 4u;
    let short = index % DEPTH4;
    let long = index / DEPTH4;
    var next_a = array<vec4<f32>, LOADS>();
    var next_b = array<vec4<f32>, LOADS>();
    var sum = 0.0;
    for (var k = 0u; k < k4 + DEPTH4; k += DEPTH4) {
        // What the round before has loaded; the first has none.
        if (k > 0u) {
            @unroll for (var i = 0u; i < LOADS; i++) {
                tile_a[place(long + i * SIDE / LOADS, short)] = next_a[i];
                tile_b[place(long + i * SIDE / LOADS, short)] = next_b[i];
            }
        }
        workgroupBarrier();
        if (k < k4) {
            // Past the last value of k, A is zero; rows and columns past the edge repeat the last.
            let group = min(k + short, k4 - 1u);
            @unroll for (var i = 0u; i < LOADS; i++) {
                let row = min(first_row + long + i * SIDE / LOADS, params.m - 1u);
                let column = min(first_column4 * 4u + long + i * SIDE / LOADS, params.n4 * 4u - 1u);
                next_a[i] = select(vec4<f32>(0.0), load_a(row, group), k + short < k4);
                next_b[i] = load_b(column, group);
            }
        }
        if (k > 0u && first_row + local.y < params.m) {
            for (var step = 0u; step < DEPTH4; step++) {
                let row = tile_a[place(local.y, step)];
                let column = tile_b[place(local.x, step)];
                sum = fma(row.w, column.w, fma(row.z, column.z, fma(row.y, column.y, fma(row.x, column.x, sum))));
            }
        }
        workgroupBarrier();
    }
    tile_a[index / 4u][index % 4u] = sum;
    workgroupBarrier();
    if (index < SIDE * SIDE / 4u) {
        store_c(first_row + index / 4u, first_column4 + index % 4u, tile_a[index]);
    }
}
