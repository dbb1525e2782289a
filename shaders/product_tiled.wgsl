// Matrix product for ordinary GPUs: a workgroup of 16 x 16 lanes computes a tile of C through workgroup memory. Tiles
// consist of blocks of four by four values, of which each lane owns one, or, in a `large` tile, two by two. Half of the
// lanes load a block of A each and the other half one of B, for the next values of k while the present ones are multiplied.
//
// Every value of C is one chain of multiply-adds over k, in every tile, so that its bits do not depend on the choice.

import package::shared::product::{load_a, load_b, params, store_c};
@if(tn) import package::shared::product::token_of_a;

/// Lanes along each side of a tile.
const SIDE: u32 = 16u;
/// Blocks that a lane owns along each side.
@if(large) const BLOCKS: u32 = 2u;
@if(!large) const BLOCKS: u32 = 1u;
/// Rows of a lane, and its sums, of four columns each.
@if(large) const ROWS: u32 = 8u;
@if(!large) const ROWS: u32 = 4u;
/// Blocks along each side of a tile.
const TILE4: u32 = SIDE * BLOCKS;
/// Groups of four values of k that are loaded at a time: a block of each operand for half of the lanes.
const DEPTH4: u32 = SIDE * SIDE / (2u * TILE4);

/// Four rows of A, and four columns of B: TILE4 groups for each value of k.
var<workgroup> tile_a: array<vec4<f32>, 4u * DEPTH4 * TILE4>;
var<workgroup> tile_b: array<vec4<f32>, 4u * DEPTH4 * TILE4>;

/// Where a tile holds a group at a value of k. Odd groups of those are turned by half of the banks, so that lanes that
/// store two of them do not collide.
fn place(k: u32, group: u32) -> u32 {
    return k * TILE4 + (group ^ (k / 4u % 2u * 4u));
}

/// Groups of k, of which `params.k` may not fill the last one.
fn groups_of_k() -> u32 {
    return (params.k + 3u) / 4u;
}

/// Four rows of A, one vector for each of four values of k; zeros past the last one. Rows past the edge repeat the last.
fn block_of_a(row4: u32, k4: u32) -> mat4x4<f32> {
    @if(!tn) {
        let group = min(k4, groups_of_k() - 1u);
        let first = row4 * 4u;
        let last = params.m - 1u;
        let rows = mat4x4<f32>(
            load_a(min(first, last), group),
            load_a(min(first + 1u, last), group),
            load_a(min(first + 2u, last), group),
            load_a(min(first + 3u, last), group),
        );
        if (k4 > group) {
            return mat4x4<f32>();
        }
        return transpose(rows);
    }
    @if(tn) {
        let group = min(row4, params.m / 4u - 1u);
        return mat4x4<f32>(
            token_of_a(k4 * 4u, group),
            token_of_a(k4 * 4u + 1u, group),
            token_of_a(k4 * 4u + 2u, group),
            token_of_a(k4 * 4u + 3u, group),
        );
    }
}

/// Four columns of B, as `block_of_a`. Past the last value of k it repeats that, since zeros of A meet it.
fn block_of_b(column4: u32, k4: u32) -> mat4x4<f32> {
    @if(nt) {
        let group = min(k4, groups_of_k() - 1u);
        let first = min(column4, params.n4 - 1u) * 4u;
        return transpose(mat4x4<f32>(
            load_b(first, group),
            load_b(first + 1u, group),
            load_b(first + 2u, group),
            load_b(first + 3u, group),
        ));
    }
    @if(!nt) {
        let group = min(column4, params.n4 - 1u);
        let first = k4 * 4u;
        let last = max(params.k, 1u) - 1u;
        return mat4x4<f32>(
            load_b(min(first, last), group),
            load_b(min(first + 1u, last), group),
            load_b(min(first + 2u, last), group),
            load_b(min(first + 3u, last), group),
        );
    }
}

/// The block of a tile that a lane loads: its group of k (x), and of rows or columns (y). Lanes that load along k do so in
/// pairs, which meet in a row; others walk along the columns.
fn block_along_k(lane: u32) -> vec2<u32> {
    return vec2<u32>(lane / (2u * TILE4) * 2u + lane % 2u, lane / 2u % TILE4);
}

fn block_along_columns(lane: u32) -> vec2<u32> {
    return vec2<u32>(lane / TILE4, lane % TILE4);
}

/// One workgroup per TILE4 groups of columns (x) and of rows (y) of C.
/// permutations: - large; nt; a_f32; b_f32 b_bf16 b_f16 b_quantized; c_f32; - bias; - residual
/// permutations: - large; nt; a_bf16; b_f32 b_bf16 b_f16 b_quantized; c_f32; - bias; - residual
/// permutations: - large; nt; a_bf16; b_f32 b_bf16 b_f16 b_quantized; c_bf16; - bias
/// permutations: - large; nt; a_f32; b_f32 b_bf16; c_bf16
/// permutations: - large; nn; a_f32; b_f32 b_bf16 b_f16 b_quantized; c_f32
/// permutations: - large; tn; a_f32; b_f32 b_bf16; c_f32
/// permutations: - large; nt; a_f16; b_f16; c_f32; - bias; - residual
/// permutations: - large; nt; a_f16; b_f16; c_f16; - bias
/// permutations: - large; nn tn; a_f16; b_f16; c_f32
@compute @workgroup_size(SIDE, SIDE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let first_row4 = workgroup.y * TILE4;
    let first_column4 = workgroup.x * TILE4;
    let k4 = groups_of_k();
    let loads_a = index < SIDE * SIDE / 2u;
    let lane = index % (SIDE * SIDE / 2u);
    @if(nt) let own = block_along_k(lane);
    @if(nn) let own = select(block_along_columns(lane), block_along_k(lane), loads_a);
    @if(tn) let own = block_along_columns(lane);
    var sums = array<vec4<f32>, ROWS * BLOCKS>();
    var next = mat4x4<f32>();
    if (loads_a) {
        next = block_of_a(first_row4 + own.y, own.x);
    } else {
        next = block_of_b(first_column4 + own.y, own.x);
    }
    for (var k = 0u; k < k4; k += DEPTH4) {
        @unroll for (var j = 0u; j < 4u; j++) {
            if (loads_a) {
                tile_a[place(own.x * 4u + j, own.y)] = next[j];
            } else {
                tile_b[place(own.x * 4u + j, own.y)] = next[j];
            }
        }
        workgroupBarrier();
        if (k + DEPTH4 < k4) {
            if (loads_a) {
                next = block_of_a(first_row4 + own.y, k + DEPTH4 + own.x);
            } else {
                next = block_of_b(first_column4 + own.y, k + DEPTH4 + own.x);
            }
        }
        for (var depth = 0u; depth < 4u * DEPTH4; depth++) {
            var rows = array<vec4<f32>, BLOCKS>();
            var columns = array<vec4<f32>, BLOCKS>();
            @unroll for (var block = 0u; block < BLOCKS; block++) {
                rows[block] = tile_a[place(depth, block * SIDE + local.y)];
                columns[block] = tile_b[place(depth, block * SIDE + local.x)];
            }
            @unroll for (var i = 0u; i < ROWS; i++) {
                @unroll for (var block = 0u; block < BLOCKS; block++) {
                    let row = vec4<f32>(rows[i / 4u][i % 4u]);
                    sums[i * BLOCKS + block] = fma(row, columns[block], sums[i * BLOCKS + block]);
                }
            }
        }
        workgroupBarrier();
    }
    @unroll for (var i = 0u; i < ROWS; i++) {
        @unroll for (var block = 0u; block < BLOCKS; block++) {
            let row = (first_row4 + i / 4u * SIDE + local.y) * 4u + i % 4u;
            store_c(row, first_column4 + block * SIDE + local.x, sums[i * BLOCKS + block]);
        }
    }
}
