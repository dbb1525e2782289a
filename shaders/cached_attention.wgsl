// Attention of new tokens to the keys and values of their sequences, which a cache holds in pages (Kwon et al. 2023,
// arXiv 2309.06180): causal, grouped-query, optionally within a sliding window. `write` puts the keys and values of the
// new tokens into the cache; after it, `forward` reads those of all earlier tokens and their own.
//
// A workgroup owns one token and up to four of the query heads that share a key/value head. Its lanes own one key each,
// whose scores they compute for all four heads, and then one group of columns each, over which they walk through the
// values of the block. So keys and values are loaded once for four heads, and a token's result does not depend on what
// other tokens there are. Lanes meet through shuffles where the workgroup is one subgroup, through workgroup memory
// elsewhere.

import package::shared::grid::{Invocation, WORKGROUP, linear};
@if(!cache_f16) import package::shared::f32::{Packed, narrow, widen};
@if(cache_f16) import package::shared::f16::{Packed, narrow, widen};

/// requires: 0 < rows
/// requires: 0 < heads
/// requires: 0 < key_value_heads
/// requires: heads % key_value_heads == 0
struct Params {
    /// New tokens.
    tokens: u32,
    /// Query heads.
    heads: u32,
    /// Key/value heads.
    key_value_heads: u32,
    /// Rows of the cache, a whole number of pages.
    rows: u32,
    /// Entries of the page table, for `forward`.
    table: u32,
    /// 1 / sqrt(head_dim).
    scale: f32,
    /// Keys a token sees, itself included; 0: all of them.
    window: u32,
}

/// Tokens of a page.
const PAGE: u32 = 16u;
/// Lanes that share the keys of a token.
/// @if(subgroup) requires: HEAD4 <= LANES * MAX_HEAD4 / 4
/// @if(!subgroup) requires: LANES == WORKGROUP
override LANES: u32 = 8u;
/// Groups of four values in a head.
/// requires: 0 < HEAD4
/// @if(head_32 || head_64 || head_128) requires: HEAD4 <= MAX_HEAD4
override HEAD4: u32 = 8u;
/// Registers for a head.
@if(head_32) const MAX_HEAD4: u32 = 8u;
@if(head_64) const MAX_HEAD4: u32 = 16u;
@if(!head_32 && !head_64) const MAX_HEAD4: u32 = 32u;

@group(0) @binding(0) var<uniform> params: Params;

/// [tokens]: the row of the cache that each token goes to.
@group(0) @binding(1) var<storage, read> rows: array<u32>;
/// [tokens, key_value_heads, HEAD4]: keys of the new tokens.
@group(0) @binding(2) var<storage, read> key: array<vec4<f32>>;
/// [tokens, key_value_heads, HEAD4]: values of the new tokens.
@group(0) @binding(3) var<storage, read> value: array<vec4<f32>>;
/// [rows, key_value_heads, HEAD4]: keys in pages.
@group(0) @binding(4) var<storage, read_write> key_cache: array<Packed>;
/// [rows, key_value_heads, HEAD4]: values in pages.
@group(0) @binding(5) var<storage, read_write> value_cache: array<Packed>;

/// Copies the keys and values of the new tokens to their rows of the cache.
/// One invocation per group of four values: grid(div_ceil(tokens * key_value_heads * HEAD4, WORKGROUP)).
/// permutations: - cache_f16
@compute @workgroup_size(WORKGROUP)
fn write(invocation: Invocation) {
    let index = linear(invocation);
    let columns4 = params.key_value_heads * HEAD4;
    let token = index / columns4;
    if (token >= params.tokens) {
        return;
    }
    let at = min(rows[token], params.rows - 1u) * columns4 + index % columns4;
    key_cache[at] = narrow(key[index]);
    value_cache[at] = narrow(value[index]);
}

/// [tokens]: where the pages of each token's sequence begin in the table, and how many keys it sees, itself included.
@group(0) @binding(1) var<storage, read> places: array<vec2<u32>>;
/// [table]: pages of the sequences, in the order of their tokens.
@group(0) @binding(2) var<storage, read> table: array<u32>;
/// [tokens, heads, HEAD4]: queries.
@group(0) @binding(3) var<storage, read> q: array<vec4<f32>>;
/// [rows, key_value_heads, HEAD4]: keys in pages.
@group(0) @binding(4) var<storage, read> k: array<Packed>;
/// [rows, key_value_heads, HEAD4]: values in pages.
@group(0) @binding(5) var<storage, read> v: array<Packed>;
/// [tokens, heads, HEAD4]: the output.
@group(0) @binding(6) var<storage, read_write> o: array<vec4<f32>>;

/// Groups of columns that a lane owns, and lanes that own the same ones and share the keys of a block among them.
@if(subgroup) const MAX_COLUMNS: u32 = MAX_HEAD4 / 4u;
@if(!subgroup) const MAX_COLUMNS: u32 = 1u;
@if(!subgroup) const SHARES: u32 = WORKGROUP / MAX_HEAD4;

@if(!subgroup) var<workgroup> block_rows: array<u32, WORKGROUP>;
@if(!subgroup) var<workgroup> block_values: array<vec4<f32>, WORKGROUP>;
@if(!subgroup) var<workgroup> block_sums: array<mat4x4<f32>, WORKGROUP>;

/// Row of the cache that holds key `number` of the sequence whose pages begin at `first`.
fn cache_row(first: u32, number: u32) -> u32 {
    let page = table[min(first + number / PAGE, params.table - 1u)];
    return min(page * PAGE + number % PAGE, params.rows - 1u);
}

fn outer(column: vec4<f32>, weights: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(column * weights.x, column * weights.y, column * weights.z, column * weights.w);
}

/// o = softmax(q k^T * scale) v over the keys that each token sees.
/// One workgroup per token (x) and up to four query heads of a key/value head (y).
/// permutations: head_32 head_64 head_128; - cache_f16
/// permutations: subgroup; - wide; head_32 head_64 head_128; - cache_f16
@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let token = workgroup.x;
    let group = params.heads / params.key_value_heads;
    let chunks = (group + 3u) / 4u;
    let shared_head = workgroup.y / chunks;
    let first_head = shared_head * group + workgroup.y % chunks * 4u;
    let end_head = (shared_head + 1u) * group;
    if (token >= params.tokens || shared_head >= params.key_value_heads) {
        return;
    }
    let place = places[token];
    // Column h of a matrix belongs to head first_head + h; past the group it repeats the last head.
    var query = array<mat4x4<f32>, MAX_HEAD4>();
    @unroll for (var i = 0u; i < MAX_HEAD4; i++) {
        let scale = select(0.0, params.scale, i < HEAD4);
        let column = min(i, HEAD4 - 1u);
        let row = token * params.heads;
        query[i] = scale * mat4x4<f32>(
            q[(row + first_head) * HEAD4 + column],
            q[(row + min(first_head + 1u, end_head - 1u)) * HEAD4 + column],
            q[(row + min(first_head + 2u, end_head - 1u)) * HEAD4 + column],
            q[(row + min(first_head + 3u, end_head - 1u)) * HEAD4 + column],
        );
    }
    var sums = array<mat4x4<f32>, MAX_COLUMNS>();
    var largest = vec4<f32>(-1e30);
    var total = vec4<f32>(0.0);
    let seen = min(place.y, params.table * PAGE);
    let begin = select(0u, seen - params.window, params.window > 0u && seen > params.window);
    for (var first = begin; first < seen; first += LANES) {
        // Lanes past the last key look at it again and give it no weight.
        let row = cache_row(place.x, min(first + local, seen - 1u));
        var score = vec4<f32>(0.0);
        @unroll for (var i = 0u; i < MAX_HEAD4; i++) {
            score += widen(k[(row * params.key_value_heads + shared_head) * HEAD4 + min(i, HEAD4 - 1u)]) * query[i];
        }
        score = select(vec4<f32>(-2e30), score, first + local < seen);
        var block_largest = largest;
        @if(subgroup) {
            for (var s = 0u; s < LANES; s++) {
                block_largest = max(block_largest, subgroupShuffle(score, s));
            }
        }
        @if(!subgroup) {
            block_rows[local] = row;
            block_values[local] = score;
            workgroupBarrier();
            for (var s = 0u; s < LANES; s++) {
                block_largest = max(block_largest, block_values[s]);
            }
            workgroupBarrier();
        }
        let shrink = exp(largest - block_largest);
        let weight = exp(score - block_largest);
        largest = block_largest;
        total = total * shrink + weight;
        @unroll for (var j = 0u; j < MAX_COLUMNS; j++) {
            sums[j] = mat4x4<f32>(
                sums[j][0] * shrink.x,
                sums[j][1] * shrink.y,
                sums[j][2] * shrink.z,
                sums[j][3] * shrink.w,
            );
        }
        @if(subgroup) {
            for (var s = 0u; s < LANES; s++) {
                let shared_weight = subgroupShuffle(weight, s);
                let base = (subgroupShuffle(row, s) * params.key_value_heads + shared_head) * HEAD4;
                @unroll for (var j = 0u; j < MAX_COLUMNS; j++) {
                    if (j * LANES < HEAD4) {
                        sums[j] += outer(widen(v[base + min(j * LANES + local, HEAD4 - 1u)]), shared_weight);
                    }
                }
            }
        }
        @if(!subgroup) {
            block_values[local] = weight;
            workgroupBarrier();
            let column = min(local % MAX_HEAD4, HEAD4 - 1u);
            for (var s = local / MAX_HEAD4; s < min(LANES, seen - first); s += SHARES) {
                let at = (block_rows[s] * params.key_value_heads + shared_head) * HEAD4 + column;
                sums[0] += outer(widen(v[at]), block_values[s]);
            }
            workgroupBarrier();
        }
    }
    @if(subgroup) {
        var all = vec4<f32>(0.0);
        for (var s = 0u; s < LANES; s++) {
            all += subgroupShuffle(total, s);
        }
        @unroll for (var j = 0u; j < MAX_COLUMNS; j++) {
            let column = j * LANES + local;
            if (column < HEAD4) {
                for (var h = 0u; h < 4u; h++) {
                    if (first_head + h < end_head) {
                        o[(token * params.heads + first_head + h) * HEAD4 + column] = sums[j][h] / all[h];
                    }
                }
            }
        }
    }
    @if(!subgroup) {
        block_values[local] = total;
        block_sums[local] = sums[0];
        workgroupBarrier();
        var all = vec4<f32>(0.0);
        for (var s = 0u; s < LANES; s++) {
            all += block_values[s];
        }
        // Each lane finishes one column of one head, or as many as it takes where there are more than lanes.
        for (var e = local; e < 4u * HEAD4; e += LANES) {
            let h = e / HEAD4;
            let column = e % HEAD4;
            var sum = vec4<f32>(0.0);
            for (var share = 0u; share < SHARES; share++) {
                sum += block_sums[share * MAX_HEAD4 + column][h];
            }
            if (first_head + h < end_head) {
                o[(token * params.heads + first_head + h) * HEAD4 + column] = sum / all[h];
            }
        }
    }
}
