// Matrix product of f16 operands on cooperative matrices, which adapters multiply in units of their own: a workgroup of
// four subgroups computes a tile of 4 x 4 matrices through workgroup memory, in f32, two matrices of k at a time. Each
// subgroup owns a quarter of it. What lies past an edge is staged as zeros, so that no matrix is loaded from outside an
// operand; results leave through workgroup memory as well, for `store_c` to drop what is outside.

import package::shared::cooperative::{MatrixA, MatrixB, MatrixC, SIDE};
import package::shared::product::{params, store_c};

enable f16;
enable wgpu_cooperative_matrix;

/// Lanes of a subgroup.
/// requires: 4 <= LANES
/// requires: LANES <= 64
override LANES: u32 = 32u;
const SUBGROUPS: u32 = 4u;

/// Matrices along each side of a subgroup's quarter.
const MATRICES: u32 = 2u;
const QUARTER: u32 = MATRICES * SIDE;
/// Rows and columns of the tile.
const TILE: u32 = 2u * QUARTER;
/// Values of k that are staged at a time.
const DEPTH: u32 = 2u * SIDE;
/// Staged rows are 16 bytes further apart than they are long: matrices may start there, and columns meet other banks.
const PADDING: u32 = 8u;
// nt, nn: A by row; tn: A by token.
@if(!tn) const STRIDE_A: u32 = DEPTH + PADDING;
@if(tn) const STRIDE_A: u32 = TILE + PADDING;
// nt: B by row; nn, tn: B by k.
@if(nt) const STRIDE_B: u32 = DEPTH + PADDING;
@if(!nt) const STRIDE_B: u32 = TILE + PADDING;

/// @if(!tn) [m, a_stride4]: left operand.
/// @if(tn) [k, a_stride4]: left operand, one row per token.
@group(0) @binding(1) var<storage, read> a: array<vec4<f16>>;
/// @if(!nn && !tn) [4 * n4, b_stride4]: right operand, one row per column of C.
/// @if(nn || tn) [k, b_stride4]: right operand.
@group(0) @binding(2) var<storage, read> b: array<vec4<f16>>;

var<workgroup> tile_a: array<f16, TILE * (DEPTH + PADDING)>;
var<workgroup> tile_b: array<f16, TILE * (DEPTH + PADDING)>;
/// One matrix of every subgroup, on its way to C.
var<workgroup> results: array<f32, SUBGROUPS * SIDE * SIDE>;

fn stage_a(place: u32, values: vec4<f16>) {
    tile_a[place] = values.x;
    tile_a[place + 1u] = values.y;
    tile_a[place + 2u] = values.z;
    tile_a[place + 3u] = values.w;
}

fn stage_b(place: u32, values: vec4<f16>) {
    tile_b[place] = values.x;
    tile_b[place + 1u] = values.y;
    tile_b[place + 2u] = values.z;
    tile_b[place + 3u] = values.w;
}

/// A group of A, which has so many rows and groups of columns, and zeros around it.
fn load_a(row: u32, column4: u32, rows: u32, columns4: u32) -> vec4<f16> {
    let at = min(row, rows - 1u) * params.a_stride4 + params.a_offset4 + min(column4, columns4 - 1u);
    return select(vec4<f16>(), a[at], row < rows && column4 < columns4);
}

/// A group of B, as `load_a`.
fn load_b(row: u32, column4: u32, rows: u32, columns4: u32) -> vec4<f16> {
    let at = min(row, rows - 1u) * params.b_stride4 + min(column4, columns4 - 1u);
    return select(vec4<f16>(), b[at], row < rows && column4 < columns4);
}

/// One workgroup per SIDE groups of columns (x) and TILE rows (y) of C.
/// permutations: tile_8 tile_16; nt; a_f16; b_f16; c_f32; - bias; - residual
/// permutations: tile_8 tile_16; nt; a_f16; b_f16; c_f16; - bias
/// permutations: tile_8 tile_16; nn tn; a_f16; b_f16; c_f32
@compute @workgroup_size(SUBGROUPS * LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let first_row = workgroup.y * TILE;
    let first_column4 = workgroup.x * (TILE / 4u);
    let row = subgroup / 2u * QUARTER;
    let column = subgroup % 2u * QUARTER;
    var sums: array<MatrixC, MATRICES * MATRICES>;
    for (var k = 0u; k < params.k; k += DEPTH) {
        for (var i = index; i < TILE * DEPTH / 4u; i += SUBGROUPS * LANES) {
            // Tile coordinates of a group: TILE rows of DEPTH values, or DEPTH rows of TILE values.
            let long = i / (DEPTH / 4u);
            let short = i % (DEPTH / 4u);
            let deep = i / (TILE / 4u);
            let wide = i % (TILE / 4u);
            @if(!tn) stage_a(
                long * STRIDE_A + short * 4u,
                load_a(first_row + long, k / 4u + short, params.m, params.k / 4u),
            );
            @if(tn) stage_a(
                deep * STRIDE_A + wide * 4u,
                load_a(k + deep, first_row / 4u + wide, params.k, params.m / 4u),
            );
            @if(nt) stage_b(
                long * STRIDE_B + short * 4u,
                load_b(first_column4 * 4u + long, k / 4u + short, params.n4 * 4u, params.k / 4u),
            );
            @if(!nt) stage_b(
                deep * STRIDE_B + wide * 4u,
                load_b(k + deep, first_column4 + wide, params.k, params.n4),
            );
        }
        workgroupBarrier();
        for (var depth = 0u; depth < DEPTH; depth += SIDE) {
            var right: array<MatrixB, MATRICES>;
            @unroll for (var j = 0u; j < MATRICES; j++) {
                @if(nt) {
                    right[j] = coopLoad<MatrixB>(&tile_b[(column + j * SIDE) * STRIDE_B + depth], STRIDE_B);
                }
                @if(!nt) {
                    right[j] = coopLoadT<MatrixB>(&tile_b[depth * STRIDE_B + column + j * SIDE], STRIDE_B);
                }
            }
            @unroll for (var i = 0u; i < MATRICES; i++) {
                @if(!tn) let left = coopLoadT<MatrixA>(&tile_a[(row + i * SIDE) * STRIDE_A + depth], STRIDE_A);
                @if(tn) let left = coopLoad<MatrixA>(&tile_a[depth * STRIDE_A + row + i * SIDE], STRIDE_A);
                @unroll for (var j = 0u; j < MATRICES; j++) {
                    sums[i * MATRICES + j] = coopMultiplyAdd(left, right[j], sums[i * MATRICES + j]);
                }
            }
        }
        workgroupBarrier();
    }
    @unroll for (var i = 0u; i < MATRICES; i++) {
        @unroll for (var j = 0u; j < MATRICES; j++) {
            coopStoreT(sums[i * MATRICES + j], &results[subgroup * SIDE * SIDE], SIDE);
            workgroupBarrier();
            for (var e = lane; e < SIDE * SIDE / 4u; e += LANES) {
                let at = subgroup * SIDE * SIDE + e * 4u;
                let four = vec4<f32>(results[at], results[at + 1u], results[at + 2u], results[at + 3u]);
                let at_row = first_row + row + i * SIDE + e / (SIDE / 4u);
                store_c(at_row, first_column4 + (column + j * SIDE) / 4u + e % (SIDE / 4u), four);
            }
            workgroupBarrier();
        }
    }
}
