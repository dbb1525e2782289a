// Attention over packed sequences for software adapters, FlashAttention-2 style (Dao 2023, arXiv 2307.08691): what
// `attention` computes, in the tiles of `product_register`. A subgroup owns some rows (queries, or keys in
// `backward_key_value`) of one head and walks over blocks of the other side, of which each lane owns four members. Scores
// are a product nt; what they weigh is a product nn, of which a lane owns COLUMNS groups of columns. Values of the left
// operands are loaded or computed by one lane and handed to the others by a shuffle.
//
// A sequence gets the same bits wherever it stands in a batch: blocks begin at other places there, so sums over tokens add
// one token after the other, hidden ones as zeros, and running sums are rescaled by powers of two alone, which is exact.

import package::shared::attention::params;
import package::shared::f32::{Packed as F32, widen as widen_f32, narrow as narrow_f32};
@if(!x_bf16 && !x_f16) import package::shared::f32::{Packed, widen, narrow};
@if(x_bf16) import package::shared::bf16::{Packed, widen, narrow};
@if(x_f16) import package::shared::f16::{Packed, widen, narrow};
import package::shared::tile::{chained, weighed};

/// Lanes of a subgroup.
/// requires: 4 <= LANES
override LANES: u32 = 8u;
/// 1: sequences branch, and `spans` goes on, for all tokens again, with the keys between which a token sees none.
override BRANCHING: u32 = 0u;
/// Groups of four values in a head.
/// requires: 0 < HEAD4
/// requires: HEAD4 <= COLUMNS * LANES
override HEAD4: u32 = 8u;
/// Groups of columns of a head that a lane owns.
@if(columns_2) const COLUMNS: u32 = 2u;
@if(columns_4) const COLUMNS: u32 = 4u;
@if(columns_8) const COLUMNS: u32 = 8u;
@if(!columns_2 && !columns_4 && !columns_8) const COLUMNS: u32 = 1u;
/// Queries of a tile.
/// requires: QUERIES % LANES == 0
const QUERIES: u32 = 16u;
/// Keys of a tile, each with two sums per column.
/// requires: KEYS % LANES == 0
const KEYS: u32 = 16u;
/// Loads of a lane for a tile, when a subgroup has only four lanes.
const MAX_LOADS: u32 = 4u;

// The second value ends the tokens that see the token or, if nothing is causal, those that it sees.
/// [1 + BRANCHING, tokens]: where the sequence of each token begins and ends, then its gap if sequences branch.
@group(0) @binding(1) var<storage, read> spans: array<vec2<u32>>;
/// [tokens, heads, HEAD4]: queries.
@group(0) @binding(2) var<storage, read> q: array<Packed>;
/// [tokens, key_value_heads, HEAD4]: keys.
@group(0) @binding(3) var<storage, read> k: array<Packed>;
/// [tokens, key_value_heads, HEAD4]: values.
@group(0) @binding(4) var<storage, read> v: array<Packed>;
/// [tokens, heads, HEAD4]: the output.
@group(0) @binding(5) var<storage, read_write> o: array<Packed>;
/// [tokens, heads]: log-sum-exp of the scores (.x), kept for the backward pass.
@group(0) @binding(6) var<storage, read_write> stats: array<vec2<f32>>;

/// [tokens, heads]: log-sum-exp of the scores, and dot(d_o, o).
@group(0) @binding(5) var<storage, read> stats_saved: array<vec2<f32>>;
/// [tokens, heads, HEAD4]: gradient of the output.
@group(0) @binding(6) var<storage, read> d_o: array<F32>;
/// [tokens, heads, HEAD4]: gradient of the queries.
@group(0) @binding(7) var<storage, read_write> d_q: array<F32>;

/// Group `column` of a token of a query head; of the last token past the end.
fn query_at(token: u32, head: u32, column: u32) -> u32 {
    return (min(token, params.tokens - 1u) * params.heads + head) * HEAD4 + column;
}

/// Group `column` of a token of a key/value head; of the last token past the end.
fn key_at(token: u32, head: u32, column: u32) -> u32 {
    return (min(token, params.tokens - 1u) * params.key_value_heads + head) * HEAD4 + column;
}

/// Keys from .x to before .y that a query sees, except those from .z to before .w.
fn keys_of(query: u32) -> vec4<u32> {
    let span = spans[query];
    var seen = vec4<u32>(span, 0u, 0u);
    if (params.causal == 1u) {
        seen.y = query + 1u;
    }
    if (params.window > 0u) {
        seen.x = max(seen.x, max(query + 1u, params.window) - params.window);
        seen.y = min(seen.y, query + params.window);
    }
    if (BRANCHING == 1u) {
        seen.z = spans[params.tokens + query].x;
        seen.w = spans[params.tokens + query].y;
    }
    return seen;
}

/// Queries from .x to before .y that see a key.
fn queries_of(key: u32) -> vec2<u32> {
    var seen = key_spans[key];
    if (params.causal == 1u) {
        seen.x = key;
    }
    if (params.window > 0u) {
        seen.x = max(seen.x, max(key + 1u, params.window) - params.window);
        seen.y = min(seen.y, key + params.window);
    }
    return seen;
}

/// Keys that any query of the tile sees, from .x to before .y, and the gap that all of them share, from .z to before .w.
fn keys_of_tile(first: u32) -> vec4<u32> {
    var all = vec4<u32>(params.tokens, 0u, 0u, params.tokens);
    for (var query = first; query < min(first + QUERIES, params.tokens); query++) {
        let seen = keys_of(query);
        all.x = min(all.x, seen.x);
        all.y = max(all.y, seen.y);
        all.z = max(all.z, seen.z);
        all.w = min(all.w, seen.w);
    }
    all.y = min(all.y, params.tokens);
    return all;
}

/// Queries that see any key of the tile, from .x to before .y.
fn queries_of_tile(first: u32) -> vec2<u32> {
    var all = vec2<u32>(params.tokens, 0u);
    for (var key = first; key < min(first + KEYS, params.tokens); key++) {
        let seen = queries_of(key);
        all = vec2<u32>(min(all.x, seen.x), max(all.y, seen.y));
    }
    return min(all, vec2<u32>(params.tokens));
}

/// Which of four tokens from `first` on are in a range.
fn inside(first: u32, range: vec2<u32>) -> vec4<bool> {
    let tokens = vec4<u32>(first, first + 1u, first + 2u, first + 3u);
    return (tokens >= vec4<u32>(range.x)) & (tokens < vec4<u32>(range.y));
}

fn sees(first: u32, seen: vec4<u32>) -> vec4<bool> {
    if (BRANCHING == 1u) {
        return inside(first, seen.xy) & !inside(first, seen.zw);
    }
    return inside(first, seen.xy);
}

/// The block of keys after that of `key`: blocks within a gap that all queries share are skipped.
fn next_block(key: u32, gap: vec2<u32>) -> u32 {
    let next = key + 4u * LANES;
    return select(next, gap.y, BRANCHING == 1u && next >= gap.x && next < gap.y);
}

const LOG2_E: f32 = 1.4426950408889634;

/// 2^n of whole numbers up to 127, exactly; 0 where it is too small to be normal.
fn power_of_two(n: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(clamp(n + 127.0, vec4<f32>(0.0), vec4<f32>(254.0))) << vec4<u32>(23u));
}

/// Largest of the values of all lanes. Written out, because some drivers count the rounds of loops.
fn largest_of(value: f32) -> f32 {
    var result = value;
    if (LANES > 8u) {
        result = max(result, subgroupShuffleXor(result, 8u));
    }
    if (LANES > 4u) {
        result = max(result, subgroupShuffleXor(result, 4u));
    }
    result = max(result, subgroupShuffleXor(result, 2u));
    return max(result, subgroupShuffleXor(result, 1u));
}

/// o = softmax(q k^T * scale) v, and the log-sum-exp of every row of scores.
/// One workgroup per QUERIES queries (x) and query head (y).
/// permutations: - wide; - columns_2 columns_4 columns_8; - x_bf16
/// permutations: - columns_2 columns_4 columns_8; x_f16
@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first = workgroup.x * QUERIES;
    let head = workgroup.y;
    if (first >= params.tokens || head >= params.heads) {
        return;
    }
    let shared_head = head / (params.heads / params.key_value_heads);
    var seen = array<vec4<u32>, MAX_LOADS>();
    for (var i = 0u; i < QUERIES / LANES; i++) {
        seen[i] = keys_of(min(first + i * LANES + lane, params.tokens - 1u));
    }
    let tile = keys_of_tile(first);

    var sums = array<vec4<f32>, QUERIES * COLUMNS>();
    var largest = array<f32, QUERIES>();
    var total = array<f32, QUERIES>();
    @unroll for (var i = 0u; i < QUERIES; i++) {
        largest[i] = -1e30;
    }
    for (var key = tile.x; key < tile.y; key = next_block(key, tile.zw)) {
        let own = key + lane * 4u;
        var scores = array<vec4<f32>, QUERIES>();
        @unroll for (var i = 0u; i < QUERIES; i++) {
            scores[i] = vec4<f32>(0.0);
        }
        for (var column = 0u; column < HEAD4; column++) {
            let fragment = transpose(mat4x4<f32>(
                widen(k[key_at(own, shared_head, column)]),
                widen(k[key_at(own + 1u, shared_head, column)]),
                widen(k[key_at(own + 2u, shared_head, column)]),
                widen(k[key_at(own + 3u, shared_head, column)]),
            ));
            var rows = array<vec4<f32>, MAX_LOADS>();
            for (var i = 0u; i < QUERIES / LANES; i++) {
                rows[i] = widen(q[query_at(first + i * LANES + lane, head, column)]);
            }
            @unroll for (var i = 0u; i < QUERIES; i++) {
                scores[i] += weighed(fragment, subgroupShuffle(rows[i / LANES], i % LANES));
            }
        }
        // Scores as powers of two: whole and fractional parts are handled apart, so that a weight does not depend on the
        // largest score so far but for an exact factor.
        @unroll for (var i = 0u; i < QUERIES; i++) {
            let visible = sees(own, subgroupShuffle(seen[i / LANES], i % LANES));
            let powers = select(vec4<f32>(-1e30), scores[i] * (params.scale * LOG2_E), visible);
            let two = max(powers.xy, powers.zw);
            let new_largest = max(largest[i], ceil(largest_of(max(two.x, two.y))));
            let shrink = power_of_two(vec4<f32>(largest[i] - new_largest)).x;
            let whole = floor(powers);
            let weights = exp2(powers - whole) * power_of_two(whole - new_largest);
            scores[i] = select(vec4<f32>(0.0), weights, visible);
            largest[i] = new_largest;
            total[i] *= shrink;
            @unroll for (var c = 0u; c < COLUMNS; c++) {
                sums[i * COLUMNS + c] *= shrink;
            }
        }
        for (var s = 0u; s < LANES; s++) {
            var fragments = array<mat4x4<f32>, COLUMNS>();
            @unroll for (var c = 0u; c < COLUMNS; c++) {
                let column = min(c * LANES + lane, HEAD4 - 1u);
                fragments[c] = mat4x4<f32>(
                    widen(v[key_at(key + s * 4u, shared_head, column)]),
                    widen(v[key_at(key + s * 4u + 1u, shared_head, column)]),
                    widen(v[key_at(key + s * 4u + 2u, shared_head, column)]),
                    widen(v[key_at(key + s * 4u + 3u, shared_head, column)]),
                );
            }
            @unroll for (var i = 0u; i < QUERIES; i++) {
                let weights = subgroupShuffle(scores[i], s);
                total[i] = total[i] + weights.x + weights.y + weights.z + weights.w;
                @unroll for (var c = 0u; c < COLUMNS; c++) {
                    sums[i * COLUMNS + c] = chained(sums[i * COLUMNS + c], fragments[c], weights);
                }
            }
        }
    }
    @unroll for (var i = 0u; i < QUERIES; i++) {
        let token = first + i;
        if (token < params.tokens) {
            @unroll for (var c = 0u; c < COLUMNS; c++) {
                if (c * LANES + lane < HEAD4) {
                    o[query_at(token, head, c * LANES + lane)] = narrow(sums[i * COLUMNS + c] / total[i]);
                }
            }
            if (lane == 0u) {
                stats[token * params.heads + head].x = largest[i] / LOG2_E + log(total[i]);
            }
        }
    }
}

/// With p = exp(score - lse), d_p = dot(d_o, v) and d_s = p * (d_p - dot(d_o, o)) * scale:  d_q = sum of d_s * k.
/// One workgroup per QUERIES queries (x) and query head (y).
/// permutations: - wide; - columns_2 columns_4 columns_8; - x_bf16
/// permutations: - columns_2 columns_4 columns_8; x_f16
@compute @workgroup_size(LANES)
fn backward_query(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first = workgroup.x * QUERIES;
    let head = workgroup.y;
    if (first >= params.tokens || head >= params.heads) {
        return;
    }
    let shared_head = head / (params.heads / params.key_value_heads);
    var seen = array<vec4<u32>, MAX_LOADS>();
    var saved = array<vec2<f32>, MAX_LOADS>();
    for (var i = 0u; i < QUERIES / LANES; i++) {
        let query = min(first + i * LANES + lane, params.tokens - 1u);
        saved[i] = stats_saved[query * params.heads + head];
        seen[i] = keys_of(query);
    }
    let tile = keys_of_tile(first);

    var sums = array<vec4<f32>, QUERIES * COLUMNS>();
    for (var key = tile.x; key < tile.y; key = next_block(key, tile.zw)) {
        let own = key + lane * 4u;
        var scores = array<vec4<f32>, QUERIES>();
        var products = array<vec4<f32>, QUERIES>();
        @unroll for (var i = 0u; i < QUERIES; i++) {
            scores[i] = vec4<f32>(0.0);
            products[i] = vec4<f32>(0.0);
        }
        for (var column = 0u; column < HEAD4; column++) {
            let keys = transpose(mat4x4<f32>(
                widen(k[key_at(own, shared_head, column)]),
                widen(k[key_at(own + 1u, shared_head, column)]),
                widen(k[key_at(own + 2u, shared_head, column)]),
                widen(k[key_at(own + 3u, shared_head, column)]),
            ));
            let values = transpose(mat4x4<f32>(
                widen(v[key_at(own, shared_head, column)]),
                widen(v[key_at(own + 1u, shared_head, column)]),
                widen(v[key_at(own + 2u, shared_head, column)]),
                widen(v[key_at(own + 3u, shared_head, column)]),
            ));
            var queries = array<vec4<f32>, MAX_LOADS>();
            var gradients = array<vec4<f32>, MAX_LOADS>();
            for (var i = 0u; i < QUERIES / LANES; i++) {
                let at = query_at(first + i * LANES + lane, head, column);
                queries[i] = widen(q[at]);
                gradients[i] = widen_f32(d_o[at]);
            }
            @unroll for (var i = 0u; i < QUERIES; i++) {
                scores[i] += weighed(keys, subgroupShuffle(queries[i / LANES], i % LANES));
                products[i] += weighed(values, subgroupShuffle(gradients[i / LANES], i % LANES));
            }
        }
        @unroll for (var i = 0u; i < QUERIES; i++) {
            let visible = sees(own, subgroupShuffle(seen[i / LANES], i % LANES));
            let row = subgroupShuffle(saved[i / LANES], i % LANES);
            let weights = select(vec4<f32>(0.0), exp(scores[i] * params.scale - row.x), visible);
            scores[i] = weights * (products[i] - row.y) * params.scale;
        }
        for (var s = 0u; s < LANES; s++) {
            var fragments = array<mat4x4<f32>, COLUMNS>();
            @unroll for (var c = 0u; c < COLUMNS; c++) {
                let column = min(c * LANES + lane, HEAD4 - 1u);
                fragments[c] = mat4x4<f32>(
                    widen(k[key_at(key + s * 4u, shared_head, column)]),
                    widen(k[key_at(key + s * 4u + 1u, shared_head, column)]),
                    widen(k[key_at(key + s * 4u + 2u, shared_head, column)]),
                    widen(k[key_at(key + s * 4u + 3u, shared_head, column)]),
                );
            }
            @unroll for (var i = 0u; i < QUERIES; i++) {
                let changes = subgroupShuffle(scores[i], s);
                @unroll for (var c = 0u; c < COLUMNS; c++) {
                    sums[i * COLUMNS + c] = chained(sums[i * COLUMNS + c], fragments[c], changes);
                }
            }
        }
    }
    @unroll for (var i = 0u; i < QUERIES; i++) {
        @unroll for (var c = 0u; c < COLUMNS; c++) {
            if (first + i < params.tokens && c * LANES + lane < HEAD4) {
                d_q[query_at(first + i, head, c * LANES + lane)] = narrow_f32(sums[i * COLUMNS + c]);
            }
        }
    }
}

/// [tokens]: the first token of the sequence of each, and one past the last that sees it.
@group(0) @binding(1) var<storage, read> key_spans: array<vec2<u32>>;
/// [tokens, key_value_heads, HEAD4]: gradient of the keys.
@group(0) @binding(7) var<storage, read_write> d_k: array<F32>;
/// [tokens, key_value_heads, HEAD4]: gradient of the values.
@group(0) @binding(8) var<storage, read_write> d_v: array<F32>;

/// d_v = sum of p * d_o and d_k = sum of d_s * q, over all queries of all heads that share the key/value head.
/// One workgroup per KEYS keys (x) and key/value head (y).
/// permutations: - wide; - columns_2 columns_4 columns_8; - x_bf16
/// permutations: - columns_2 columns_4 columns_8; x_f16
@compute @workgroup_size(LANES)
fn backward_key_value(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first = workgroup.x * KEYS;
    let shared_head = workgroup.y;
    if (first >= params.tokens || shared_head >= params.key_value_heads) {
        return;
    }
    let group = params.heads / params.key_value_heads;
    var seen = array<vec2<u32>, MAX_LOADS>();
    for (var i = 0u; i < KEYS / LANES; i++) {
        seen[i] = queries_of(min(first + i * LANES + lane, params.tokens - 1u));
    }
    let tile = queries_of_tile(first);

    var key_sums = array<vec4<f32>, KEYS * COLUMNS>();
    var value_sums = array<vec4<f32>, KEYS * COLUMNS>();
    for (var head = shared_head * group; head < (shared_head + 1u) * group; head++) {
        for (var query = tile.x; query < tile.y; query += 4u * LANES) {
            let own = query + lane * 4u;
            var scores = array<vec4<f32>, KEYS>();
            var products = array<vec4<f32>, KEYS>();
            @unroll for (var i = 0u; i < KEYS; i++) {
                scores[i] = vec4<f32>(0.0);
                products[i] = vec4<f32>(0.0);
            }
            for (var column = 0u; column < HEAD4; column++) {
                let queries = transpose(mat4x4<f32>(
                    widen(q[query_at(own, head, column)]),
                    widen(q[query_at(own + 1u, head, column)]),
                    widen(q[query_at(own + 2u, head, column)]),
                    widen(q[query_at(own + 3u, head, column)]),
                ));
                let gradients = transpose(mat4x4<f32>(
                    widen_f32(d_o[query_at(own, head, column)]),
                    widen_f32(d_o[query_at(own + 1u, head, column)]),
                    widen_f32(d_o[query_at(own + 2u, head, column)]),
                    widen_f32(d_o[query_at(own + 3u, head, column)]),
                ));
                var keys = array<vec4<f32>, MAX_LOADS>();
                var values = array<vec4<f32>, MAX_LOADS>();
                for (var i = 0u; i < KEYS / LANES; i++) {
                    let at = key_at(first + i * LANES + lane, shared_head, column);
                    keys[i] = widen(k[at]);
                    values[i] = widen(v[at]);
                }
                @unroll for (var i = 0u; i < KEYS; i++) {
                    scores[i] += weighed(queries, subgroupShuffle(keys[i / LANES], i % LANES));
                    products[i] += weighed(gradients, subgroupShuffle(values[i / LANES], i % LANES));
                }
            }
            let last = params.tokens - 1u;
            let saved = transpose(mat4x2<f32>(
                stats_saved[min(own, last) * params.heads + head],
                stats_saved[min(own + 1u, last) * params.heads + head],
                stats_saved[min(own + 2u, last) * params.heads + head],
                stats_saved[min(own + 3u, last) * params.heads + head],
            ));
            @unroll for (var i = 0u; i < KEYS; i++) {
                let visible = inside(own, subgroupShuffle(seen[i / LANES], i % LANES));
                scores[i] = select(vec4<f32>(0.0), exp(scores[i] * params.scale - saved[0]), visible);
                products[i] = scores[i] * (products[i] - saved[1]) * params.scale;
            }
            for (var s = 0u; s < LANES; s++) {
                var queries = array<mat4x4<f32>, COLUMNS>();
                var gradients = array<mat4x4<f32>, COLUMNS>();
                @unroll for (var c = 0u; c < COLUMNS; c++) {
                    let column = min(c * LANES + lane, HEAD4 - 1u);
                    let other = query + s * 4u;
                    queries[c] = mat4x4<f32>(
                        widen(q[query_at(other, head, column)]),
                        widen(q[query_at(other + 1u, head, column)]),
                        widen(q[query_at(other + 2u, head, column)]),
                        widen(q[query_at(other + 3u, head, column)]),
                    );
                    gradients[c] = mat4x4<f32>(
                        widen_f32(d_o[query_at(other, head, column)]),
                        widen_f32(d_o[query_at(other + 1u, head, column)]),
                        widen_f32(d_o[query_at(other + 2u, head, column)]),
                        widen_f32(d_o[query_at(other + 3u, head, column)]),
                    );
                }
                @unroll for (var i = 0u; i < KEYS; i++) {
                    let weights = subgroupShuffle(scores[i], s);
                    let changes = subgroupShuffle(products[i], s);
                    @unroll for (var c = 0u; c < COLUMNS; c++) {
                        let at = i * COLUMNS + c;
                        value_sums[at] = chained(value_sums[at], gradients[c], weights);
                        key_sums[at] = chained(key_sums[at], queries[c], changes);
                    }
                }
            }
        }
    }
    @unroll for (var i = 0u; i < KEYS; i++) {
        @unroll for (var c = 0u; c < COLUMNS; c++) {
            if (first + i < params.tokens && c * LANES + lane < HEAD4) {
                let at = key_at(first + i, shared_head, c * LANES + lane);
                d_k[at] = narrow_f32(key_sums[i * COLUMNS + c]);
                d_v[at] = narrow_f32(value_sums[i * COLUMNS + c]);
            }
        }
    }
}
