// Matrix product for software adapters. There a load costs more than arithmetic, because every lane loads for itself,
// and workgroup memory is no cheaper. So one subgroup computes a tile of ROWS rows by four columns a lane in registers;
// each value of A is loaded by one lane and handed to the others by a shuffle.

import package::shared::product::{load_a, load_b, params, store_c};

override LANES: u32 = 8u;
const ROWS: u32 = 32u;
/// Enough registers for A when a subgroup has only four lanes.
const MAX_LOADS: u32 = 8u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first_row = workgroup.y * ROWS;
    let column4 = workgroup.x * LANES + lane;
    // Lanes and rows past the edge compute a copy of the last ones; `store_c` drops them.
    let b_column4 = min(column4, params.n4 - 1u);
    var rows: array<vec4<f32>, MAX_LOADS>;
    var sums: array<vec4<f32>, ROWS>;
    for (var i = 0u; i < ROWS; i++) {
        sums[i] = vec4<f32>(0.0);
    }
    let k4 = (params.k + 3u) / 4u;
    for (var k = 0u; k < k4; k++) {
        @if(nt) let fragment = mat4x4<f32>(
            load_b(b_column4 * 4u, k),
            load_b(b_column4 * 4u + 1u, k),
            load_b(b_column4 * 4u + 2u, k),
            load_b(b_column4 * 4u + 3u, k),
        );
        @if(nn) let fragment = mat4x4<f32>(
            load_b(k * 4u, b_column4),
            load_b(k * 4u + 1u, b_column4),
            load_b(k * 4u + 2u, b_column4),
            load_b(k * 4u + 3u, b_column4),
        );
        @if(tn) let last = params.k - 1u;
        @if(tn) let fragment = mat4x4<f32>(
            load_b(k * 4u, b_column4),
            load_b(min(k * 4u + 1u, last), b_column4),
            load_b(min(k * 4u + 2u, last), b_column4),
            load_b(min(k * 4u + 3u, last), b_column4),
        );
        @if(!tn) {
            for (var i = 0u; i < ROWS / LANES; i++) {
                rows[i] = load_a(min(first_row + i * LANES + lane, params.m - 1u), k);
            }
            for (var i = 0u; i < ROWS / LANES; i++) {
                for (var source = 0u; source < LANES; source++) {
                    @if(nt) sums[i * LANES + source] += subgroupShuffle(rows[i], source) * fragment;
                    @if(nn) sums[i * LANES + source] += fragment * subgroupShuffle(rows[i], source);
                }
            }
        }
        @if(tn) {
            // Element e of the tile of A is token e / 8 and row group e % 8.
            for (var i = 0u; i < ROWS / LANES; i++) {
                let e = i * LANES + lane;
                let token = k * 4u + e / 8u;
                let value = load_a(min(token, last), min(first_row / 4u + e % 8u, params.m / 4u - 1u));
                rows[i] = select(vec4<f32>(0.0), value, token <= last);
            }
            for (var group = 0u; group < 8u; group++) {
                let update = fragment * transpose(mat4x4<f32>(
                    subgroupShuffle(rows[group / LANES], group % LANES),
                    subgroupShuffle(rows[(8u + group) / LANES], (8u + group) % LANES),
                    subgroupShuffle(rows[(16u + group) / LANES], (16u + group) % LANES),
                    subgroupShuffle(rows[(24u + group) / LANES], (24u + group) % LANES),
                ));
                sums[group * 4u] += update[0];
                sums[group * 4u + 1u] += update[1];
                sums[group * 4u + 2u] += update[2];
                sums[group * 4u + 3u] += update[3];
            }
        }
    }
    for (var i = 0u; i < ROWS; i++) {
        store_c(first_row + i, column4, sums[i]);
    }
}
