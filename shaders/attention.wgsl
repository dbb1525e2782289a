// Attention over packed sequences of any length, FlashAttention-2 style (Dao 2023, arXiv 2307.08691): causal or
// bidirectional, grouped-query, optionally within a sliding window. Nothing of size tokens x tokens is ever stored.
//
// Sequences may branch: then completions follow one prompt, each sees the prompt and itself, and `BRANCHING` is set.
//
// One lane owns one row (a query in `forward` and `backward_query`, a key in `backward_key_value`) of one head and walks
// over blocks of the other side. The lanes of a workgroup own neighbouring rows, so they share each block through workgroup
// memory. `attention_register` is the same for software adapters.

import package::shared::attention::params;
import package::shared::grid::{Invocation, WORKGROUP, linear};
@if(!x_bf16 && !x_f16) import package::shared::f32::{Packed, widen, narrow};
@if(x_bf16) import package::shared::bf16::{Packed, widen, narrow};
@if(x_f16) import package::shared::f16::{Packed, widen, narrow};

/// Rows a workgroup owns, and rows of the other side in a block.
override LANES: u32 = 64u;
const BLOCK: u32 = 16u;
/// 1: sequences branch, and `spans` goes on, for all tokens again, with the keys between which a token sees none.
override BRANCHING: u32 = 0u;
/// Groups of four values in a head.
/// requires: 0 < HEAD4
/// @if(head_32 || head_64 || head_128) requires: HEAD4 <= MAX_HEAD4
override HEAD4: u32 = 8u;
/// Registers for a head.
@if(head_32) const MAX_HEAD4: u32 = 8u;
@if(head_64) const MAX_HEAD4: u32 = 16u;
@if(!head_32 && !head_64) const MAX_HEAD4: u32 = 32u;

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
@group(0) @binding(6) var<storage, read> d_o: array<vec4<f32>>;
/// [tokens, heads, HEAD4]: gradient of the queries.
@group(0) @binding(7) var<storage, read_write> d_q: array<vec4<f32>>;

var<workgroup> first_tile: array<vec4<f32>, BLOCK * MAX_HEAD4>;
var<workgroup> second_tile: array<vec4<f32>, BLOCK * MAX_HEAD4>;

/// Group `i` of row `s` of the current block, of its first (k, or q) and its second (v, or d_o) tensor.
fn first_of(s: u32, i: u32) -> vec4<f32> {
    return first_tile[s * HEAD4 + min(i, HEAD4 - 1u)];
}

fn second_of(s: u32, i: u32) -> vec4<f32> {
    return second_tile[s * HEAD4 + min(i, HEAD4 - 1u)];
}

/// Loads keys and values `first` .. `first + BLOCK` of one key/value head.
fn load_keys(first: u32, head: u32, local: u32) {
    workgroupBarrier();
    for (var e = local; e < BLOCK * HEAD4; e += LANES) {
        let row = min(first + e / HEAD4, params.tokens - 1u);
        let at = (row * params.key_value_heads + head) * HEAD4 + e % HEAD4;
        first_tile[e] = widen(k[at]);
        second_tile[e] = widen(v[at]);
    }
    workgroupBarrier();
}

/// Loads queries and output gradients `first` .. `first + BLOCK` of one query head.
fn load_queries(first: u32, head: u32, local: u32) {
    workgroupBarrier();
    for (var e = local; e < BLOCK * HEAD4; e += LANES) {
        let row = min(first + e / HEAD4, params.tokens - 1u);
        let at = (row * params.heads + head) * HEAD4 + e % HEAD4;
        first_tile[e] = widen(q[at]);
        second_tile[e] = d_o[at];
    }
    workgroupBarrier();
}

/// One for registers that hold part of the head, zero for those beyond it, so that they add nothing to a product.
fn own(i: u32) -> f32 {
    return select(0.0, 1.0, i < HEAD4);
}

/// Keys between which a query sees none: the completions that follow its prompt before its own.
fn gap_of(query: u32) -> vec2<u32> {
    if (BRANCHING == 1u) {
        return spans[params.tokens + query];
    }
    return vec2<u32>(0u);
}

/// The gap that all queries `first` .. `first + LANES` share, if they do: blocks within it are skipped.
fn shared_gap(first: u32) -> vec2<u32> {
    let gap = gap_of(first);
    let last = gap_of(min(first + LANES, params.tokens) - 1u);
    return select(vec2<u32>(0u), gap, all(gap == last));
}

/// The block of keys after that of `key`.
fn next_block(key: u32, gap: vec2<u32>) -> u32 {
    let next = key + BLOCK;
    return select(next, gap.y, BRANCHING == 1u && next >= gap.x && next < gap.y);
}

fn hides(gap: vec2<u32>, key: u32) -> bool {
    return BRANCHING == 1u && key >= gap.x && key < gap.y;
}

/// Whether a query sees a key; `span` is that of one of them and `other` the other one.
fn sees(query: u32, key: u32, span: vec2<u32>, other: u32) -> bool {
    let together = other >= span.x && other < span.y;
    let before = params.causal == 0u || key <= query;
    let near = params.window == 0u || (key + params.window > query && query + params.window > key);
    return together && before && near;
}

/// Keys that any of the queries `first` .. `first + LANES` sees: from .x up to .y.
fn key_range(first: u32) -> vec2<u32> {
    let last = min(first + LANES, params.tokens) - 1u;
    var begin = spans[first].x;
    var to = spans[last].y;
    if (params.causal == 1u) {
        to = last + 1u;
    }
    if (params.window > 0u) {
        begin = max(begin, max(first, params.window - 1u) - (params.window - 1u));
        to = min(to, last + params.window);
    }
    return vec2<u32>(begin, min(to, params.tokens));
}

/// Queries that see any of the keys `first` .. `first + LANES`.
fn query_range(first: u32) -> vec2<u32> {
    let last = min(first + LANES, params.tokens) - 1u;
    var begin = spans[first].x;
    var to = spans[last].y;
    if (BRANCHING == 1u) {
        // The last completion may end before others see the prompt.
        for (var key = first; key < last; key++) {
            to = max(to, spans[key].y);
        }
    }
    if (params.causal == 1u) {
        begin = first;
    }
    if (params.window > 0u) {
        begin = max(begin, max(first, params.window - 1u) - (params.window - 1u));
        to = min(to, last + params.window);
    }
    return vec2<u32>(begin, min(to, params.tokens));
}

/// o = softmax(q k^T * scale) v, and the log-sum-exp of every row of scores.
/// One workgroup per LANES queries (x) and query head (y).
/// permutations: head_32 head_64 head_128; - x_bf16 x_f16
@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first = workgroup.x * LANES;
    let head = workgroup.y;
    if (first >= params.tokens || head >= params.heads) {
        return;
    }
    let key_value_head = head / (params.heads / params.key_value_heads);
    let token = min(first + local, params.tokens - 1u);
    let span = spans[token];
    let base = (token * params.heads + head) * HEAD4;
    var query: array<vec4<f32>, MAX_HEAD4>;
    var sum: array<vec4<f32>, MAX_HEAD4>;
    for (var i = 0u; i < MAX_HEAD4; i++) {
        query[i] = own(i) * widen(q[base + min(i, HEAD4 - 1u)]) * params.scale;
        sum[i] = vec4<f32>(0.0);
    }
    var largest = -1e30;
    var total = 0.0;
    let gap = gap_of(token);
    let skipped = shared_gap(first);
    let range = key_range(first);
    for (var key = range.x; key < range.y; key = next_block(key, skipped)) {
        load_keys(key, key_value_head, local);
        var scores: array<f32, BLOCK>;
        var block_largest = largest;
        for (var s = 0u; s < BLOCK; s++) {
            var score = 0.0;
            for (var i = 0u; i < MAX_HEAD4; i++) {
                score += dot(query[i], first_of(s, i));
            }
            score = select(-2e30, score, sees(token, key + s, span, key + s) && !hides(gap, key + s));
            scores[s] = score;
            block_largest = max(block_largest, score);
        }
        let shrink = exp(largest - block_largest);
        largest = block_largest;
        total *= shrink;
        for (var i = 0u; i < MAX_HEAD4; i++) {
            sum[i] *= shrink;
        }
        for (var s = 0u; s < BLOCK; s++) {
            // Hidden keys score -2e30 and largest is at least -1e30, so their weight is exactly zero.
            let weight = exp(scores[s] - largest);
            total += weight;
            for (var i = 0u; i < MAX_HEAD4; i++) {
                sum[i] += weight * second_of(s, i);
            }
        }
    }
    if (first + local < params.tokens) {
        for (var i = 0u; i < HEAD4; i++) {
            o[base + i] = narrow(sum[i] / total);
        }
        stats[token * params.heads + head].x = largest + log(total);
    }
}

/// [tokens, heads, HEAD4]: the output of the forward pass.
@group(0) @binding(1) var<storage, read> o_saved: array<Packed>;
/// [tokens, heads, HEAD4]: gradient of the output.
@group(0) @binding(2) var<storage, read> d_o_rows: array<vec4<f32>>;
/// [tokens, heads]: receives dot(d_o, o) as .y.
@group(0) @binding(3) var<storage, read_write> stats_rows: array<vec2<f32>>;

/// dot(d_o, o) of every (token, head).
/// One invocation per (token, head): grid(div_ceil(tokens * heads, WORKGROUP)).
/// permutations: - x_bf16 x_f16
@compute @workgroup_size(WORKGROUP)
fn backward_dot(invocation: Invocation) {
    let row = linear(invocation);
    if (row >= params.tokens * params.heads) {
        return;
    }
    var sum = 0.0;
    for (var i = 0u; i < HEAD4; i++) {
        sum += dot(widen(o_saved[row * HEAD4 + i]), d_o_rows[row * HEAD4 + i]);
    }
    stats_rows[row].y = sum;
}

/// With p = exp(score - lse), d_p = dot(d_o, v) and d_s = p * (d_p - dot(d_o, o)) * scale:  d_q = sum of d_s * k.
/// One workgroup per LANES queries (x) and query head (y).
/// permutations: head_32 head_64 head_128; - x_bf16 x_f16
@compute @workgroup_size(LANES)
fn backward_query(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first = workgroup.x * LANES;
    let head = workgroup.y;
    if (first >= params.tokens || head >= params.heads) {
        return;
    }
    let key_value_head = head / (params.heads / params.key_value_heads);
    let token = min(first + local, params.tokens - 1u);
    let span = spans[token];
    let base = (token * params.heads + head) * HEAD4;
    let row_stats = stats_saved[token * params.heads + head];
    var query: array<vec4<f32>, MAX_HEAD4>;
    var gradient: array<vec4<f32>, MAX_HEAD4>;
    var sum: array<vec4<f32>, MAX_HEAD4>;
    for (var i = 0u; i < MAX_HEAD4; i++) {
        let at = base + min(i, HEAD4 - 1u);
        query[i] = own(i) * widen(q[at]) * params.scale;
        gradient[i] = own(i) * d_o[at];
        sum[i] = vec4<f32>(0.0);
    }
    let gap = gap_of(token);
    let skipped = shared_gap(first);
    let range = key_range(first);
    for (var key = range.x; key < range.y; key = next_block(key, skipped)) {
        load_keys(key, key_value_head, local);
        for (var s = 0u; s < BLOCK; s++) {
            var score = 0.0;
            var product = 0.0;
            for (var i = 0u; i < MAX_HEAD4; i++) {
                score += dot(query[i], first_of(s, i));
                product += dot(gradient[i], second_of(s, i));
            }
            let seen = sees(token, key + s, span, key + s) && !hides(gap, key + s);
            let weight = select(0.0, exp(score - row_stats.x), seen);
            let change = weight * (product - row_stats.y) * params.scale;
            for (var i = 0u; i < MAX_HEAD4; i++) {
                sum[i] += change * first_of(s, i);
            }
        }
    }
    if (first + local < params.tokens) {
        for (var i = 0u; i < HEAD4; i++) {
            d_q[base + i] = sum[i];
        }
    }
}

/// [tokens, key_value_heads, HEAD4]: gradient of the keys.
@group(0) @binding(7) var<storage, read_write> d_k: array<vec4<f32>>;
/// [tokens, key_value_heads, HEAD4]: gradient of the values.
@group(0) @binding(8) var<storage, read_write> d_v: array<vec4<f32>>;

/// d_v = sum of p * d_o and d_k = sum of d_s * q, over all queries of all heads that share the key/value head.
/// One workgroup per LANES keys (x) and key/value head (y).
/// permutations: head_32 head_64 head_128; - x_bf16 x_f16
@compute @workgroup_size(LANES)
fn backward_key_value(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first = workgroup.x * LANES;
    let key_value_head = workgroup.y;
    if (first >= params.tokens || key_value_head >= params.key_value_heads) {
        return;
    }
    let group = params.heads / params.key_value_heads;
    let token = min(first + local, params.tokens - 1u);
    let span = spans[token];
    let base = (token * params.key_value_heads + key_value_head) * HEAD4;
    var key: array<vec4<f32>, MAX_HEAD4>;
    var value: array<vec4<f32>, MAX_HEAD4>;
    var d_key: array<vec4<f32>, MAX_HEAD4>;
    var d_value: array<vec4<f32>, MAX_HEAD4>;
    for (var i = 0u; i < MAX_HEAD4; i++) {
        let at = base + min(i, HEAD4 - 1u);
        key[i] = own(i) * widen(k[at]) * params.scale;
        value[i] = own(i) * widen(v[at]);
        d_key[i] = vec4<f32>(0.0);
        d_value[i] = vec4<f32>(0.0);
    }
    let range = query_range(first);
    for (var head = key_value_head * group; head < (key_value_head + 1u) * group; head++) {
        for (var query = range.x; query < range.y; query += BLOCK) {
            load_queries(query, head, local);
            for (var s = 0u; s < BLOCK; s++) {
                let row_stats = stats_saved[min(query + s, params.tokens - 1u) * params.heads + head];
                var score = 0.0;
                var product = 0.0;
                for (var i = 0u; i < MAX_HEAD4; i++) {
                    score += dot(key[i], first_of(s, i));
                    product += dot(value[i], second_of(s, i));
                }
                let weight = select(0.0, exp(score - row_stats.x), sees(query + s, token, span, query + s));
                let change = weight * (product - row_stats.y) * params.scale;
                for (var i = 0u; i < MAX_HEAD4; i++) {
                    d_value[i] += weight * second_of(s, i);
                    d_key[i] += change * first_of(s, i);
                }
            }
        }
    }
    if (first + local < params.tokens) {
        for (var i = 0u; i < HEAD4; i++) {
            d_k[base + i] = d_key[i];
            d_v[base + i] = d_value[i];
        }
    }
}
