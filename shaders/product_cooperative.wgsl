// Matrix product of f16 operands on cooperative matrices, which adapters multiply in units of their own: a workgroup of
// four subgroups computes a tile of C through workgroup memory, in f32, two matrices of k at a time; the next ones are
// loaded meanwhile. Each subgroup owns a quarter, of 2 x 2 matrices, or of 4 x 4 in a `large` tile. What lies past an edge
// is staged as zeros, so that no matrix is loaded from outside an operand; results leave through workgroup memory as well,
// for `store_c` to drop what is outside.

import package::shared::cooperative::{MatrixA, MatrixB, MatrixC, SIDE};
import package::shared::product::{params, store_c};

enable f16;
enable wgpu_cooperative_matrix;

/// Lanes of a subgroup.
/// requires: MIN_LANES <= LANES
/// requires: LANES <= 64
override LANES: u32 = 32u;
const SUBGROUPS: u32 = 4u;

/// Matrices along each side of a subgroup's quarter, and all of them.
@if(large) const MATRICES: u32 = 4u;
@if(!large) const MATRICES: u32 = 2u;
@if(large) const SUMS: u32 = 16u;
@if(!large) const SUMS: u32 = 4u;
const QUARTER: u32 = MATRICES * SIDE;
/// Rows and columns of the tile.
const TILE: u32 = 2u * QUARTER;
/// Values of k that are staged at a time, in groups of four.
const DEPTH4: u32 = SIDE / 2u;
const TILE4: u32 = TILE / 4u;
/// Groups of each operand that are staged at a time, and those of a lane where subgroups are as small as they may be.
const GROUPS: u32 = TILE * DEPTH4;
@if(tile_16) const MIN_LANES: u32 = 16u;
@if(tile_8) const MIN_LANES: u32 = 4u;
const LOADS: u32 = GROUPS / (SUBGROUPS * MIN_LANES);
/// Staged rows are 16 bytes further apart than they are long: matrices may start there, and columns meet other banks.
const PADDING4: u32 = 2u;
// nt, nn: A by row; tn: A by token.
@if(!tn) const STRIDE_A: u32 = DEPTH4 + PADDING4;
@if(tn) const STRIDE_A: u32 = TILE4 + PADDING4;
// nt: B by row; nn, tn: B by k.
@if(nt) const STRIDE_B: u32 = DEPTH4 + PADDING4;
@if(!nt) const STRIDE_B: u32 = TILE4 + PADDING4;

/// @if(!tn) [m, a_stride4]: left operand.
/// @if(tn) [k, a_stride4]: left operand, one row per token.
@group(0) @binding(1) var<storage, read> a: array<vec4<f16>>;
/// @if(!nn && !tn) [4 * n4, b_stride4]: right operand, one row per column of C.
/// @if(nn || tn) [k, b_stride4]: right operand.
@group(0) @binding(2) var<storage, read> b: array<vec4<f16>>;

var<workgroup> tile_a: array<vec4<f16>, TILE * (DEPTH4 + PADDING4)>;
var<workgroup> tile_b: array<vec4<f16>, TILE * (DEPTH4 + PADDING4)>;
/// One matrix of every subgroup, on its way to C.
var<workgroup> results: array<vec4<f32>, SUBGROUPS * SIDE * SIDE / 4u>;

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

/// Group `i` of the tiles that begin at value 4 * `k` of k: TILE rows of DEPTH4 groups, or 4 * DEPTH4 rows of TILE4.
fn group_of_a(i: u32, first_row: u32, k: u32) -> vec4<f16> {
    @if(!tn) return load_a(first_row + i / DEPTH4, k + i % DEPTH4, params.m, params.k / 4u);
    @if(tn) return load_a(k * 4u + i / TILE4, first_row / 4u + i % TILE4, params.k, params.m / 4u);
}

fn group_of_b(i: u32, first_column4: u32, k: u32) -> vec4<f16> {
    @if(nt) return load_b(first_column4 * 4u + i / DEPTH4, k + i % DEPTH4, params.n4 * 4u, params.k / 4u);
    @if(!nt) return load_b(k * 4u + i / TILE4, first_column4 + i % TILE4, params.k, params.n4);
}

/// Where group `i` is staged.
fn place_a(i: u32) -> u32 {
    @if(!tn) return i / DEPTH4 * STRIDE_A + i % DEPTH4;
    @if(tn) return i / TILE4 * STRIDE_A + i % TILE4;
}

fn place_b(i: u32) -> u32 {
    @if(nt) return i / DEPTH4 * STRIDE_B + i % DEPTH4;
    @if(!nt) return i / TILE4 * STRIDE_B + i % TILE4;
}

/// One workgroup per TILE4 groups of columns (x) and TILE rows (y) of C.
/// permutations: - large; tile_8 tile_16; nt; a_f16; b_f16; c_f32; - bias; - residual
/// permutations: - large; tile_8 tile_16; nt; a_f16; b_f16; c_f16; - bias
/// permutations: - large; tile_8 tile_16; nn tn; a_f16; b_f16; c_f32
@compute @workgroup_size(SUBGROUPS * LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let first_row = workgroup.y * TILE;
    let first_column4 = workgroup.x * TILE4;
    let row = subgroup / 2u * QUARTER;
    let column = subgroup % 2u * QUARTER;
    let lanes = SUBGROUPS * LANES;
    var sums = array<MatrixC, SUMS>();
    var next_a = array<vec4<f16>, LOADS>();
    var next_b = array<vec4<f16>, LOADS>();
    @unroll for (var i = 0u; i < LOADS; i++) {
        if (i * lanes < GROUPS) {
            next_a[i] = group_of_a(i * lanes + index, first_row, 0u);
            next_b[i] = group_of_b(i * lanes + index, first_column4, 0u);
        }
    }
    for (var k = 0u; k * 4u < params.k; k += DEPTH4) {
        @unroll for (var i = 0u; i < LOADS; i++) {
            if (i * lanes < GROUPS) {
                tile_a[place_a(i * lanes + index)] = next_a[i];
                tile_b[place_b(i * lanes + index)] = next_b[i];
            }
        }
        workgroupBarrier();
        if ((k + DEPTH4) * 4u < params.k) {
            @unroll for (var i = 0u; i < LOADS; i++) {
                if (i * lanes < GROUPS) {
                    next_a[i] = group_of_a(i * lanes + index, first_row, k + DEPTH4);
                    next_b[i] = group_of_b(i * lanes + index, first_column4, k + DEPTH4);
                }
            }
        }
        for (var depth = 0u; depth < 2u; depth++) {
            var right = array<MatrixB, MATRICES>();
            @unroll for (var j = 0u; j < MATRICES; j++) {
                @if(nt) {
                    let at = (column + j * SIDE) * STRIDE_B + depth * SIDE / 4u;
                    right[j] = coopLoad<MatrixB>(&tile_b[at], STRIDE_B);
                }
                @if(!nt) {
                    let at = depth * SIDE * STRIDE_B + (column + j * SIDE) / 4u;
                    right[j] = coopLoadT<MatrixB>(&tile_b[at], STRIDE_B);
                }
            }
            @unroll for (var i = 0u; i < MATRICES; i++) {
                @if(!tn) let at = (row + i * SIDE) * STRIDE_A + depth * SIDE / 4u;
                @if(!tn) let left = coopLoadT<MatrixA>(&tile_a[at], STRIDE_A);
                @if(tn) let at = depth * SIDE * STRIDE_A + (row + i * SIDE) / 4u;
                @if(tn) let left = coopLoad<MatrixA>(&tile_a[at], STRIDE_A);
                @unroll for (var j = 0u; j < MATRICES; j++) {
                    sums[i * MATRICES + j] = coopMultiplyAdd(left, right[j], sums[i * MATRICES + j]);
                }
            }
        }
        workgroupBarrier();
    }
    @unroll for (var i = 0u; i < MATRICES; i++) {
        @unroll for (var j = 0u; j < MATRICES; j++) {
            coopStoreT(sums[i * MATRICES + j], &results[subgroup * SIDE * SIDE / 4u], SIDE / 4u);
            workgroupBarrier();
            for (var e = lane; e < SIDE * SIDE / 4u; e += LANES) {
                let at_row = first_row + row + i * SIDE + e / (SIDE / 4u);
                let at_column4 = first_column4 + (column + j * SIDE) / 4u + e % (SIDE / 4u);
                store_c(at_row, at_column4, results[subgroup * SIDE * SIDE / 4u + e]);
            }
            workgroupBarrier();
        }
    }
}
