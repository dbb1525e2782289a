// Attention over packed sequences of any length, FlashAttention-2 style (Dao 2023, arXiv 2307.08691): causal or
// bidirectional, grouped-query, optionally within a sliding window. Nothing of size tokens x tokens is ever stored.
//
// Sequences may branch: then completions follow one prompt, each sees the prompt and itself, and `BRANCHING` is set.
//
// A workgroup of 16 by 8 lanes owns 64 rows (queries in `forward` and `backward_query`, keys in `backward_key_value`) of one
// head, and walks over blocks of 32 rows of the other side. Scores are a product of tiles: each lane computes four by four
// of them, a few values of the head at a time. They go through workgroup memory to the product with the block's rows, in
// which a lane owns its four rows and every eighth group of columns. So no lane holds a head, whatever its size, and what
// is loaded from workgroup memory is multiplied four times. `attention_register` is for software adapters.

import package::shared::attention::params;
import package::shared::grid::{Invocation, WORKGROUP, linear};
@if(!x_bf16 && !x_f16) import package::shared::f32::{Packed, widen, narrow};
@if(x_bf16) import package::shared::bf16::{Packed, widen, narrow};
@if(x_f16) import package::shared::f16::{Packed, widen, narrow};

/// Rows a workgroup owns, and rows of the other side in a block.
const ROWS: u32 = 64u;
const BLOCK: u32 = 32u;
/// Lanes along both; each has four rows of either side.
const DOWN: u32 = 16u;
const ACROSS: u32 = 8u;
const LANES: u32 = DOWN * ACROSS;
/// Groups of four values of the head that a score sums over at a time.
const DEPTH4: u32 = 4u;
/// 1: sequences branch, and `spans` goes on, for all tokens again, with the keys between which a token sees none.
override BRANCHING: u32 = 0u;
/// Groups of four values in a head.
/// requires: 0 < HEAD4
/// @if(head_32 || head_64 || head_128) requires: HEAD4 <= MAX_HEAD4
override HEAD4: u32 = 8u;
/// Groups of columns of a lane, and its sums: those for four rows.
@if(head_32) const COLUMNS: u32 = 1u;
@if(head_64) const COLUMNS: u32 = 2u;
@if(!head_32 && !head_64) const COLUMNS: u32 = 4u;
const MAX_HEAD4: u32 = ACROSS * COLUMNS;
const SUMS: u32 = 4u * COLUMNS;
/// Rows of the other side that are multiplied at a time.
const STEP: u32 = BLOCK / COLUMNS;

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

/// Four of the rows that the workgroup owns: DOWN groups for each value of the head.
var<workgroup> own_tile: array<vec4<f32>, 4u * DEPTH4 * DOWN>;
/// Four rows of the block: ACROSS groups for each value of the head. Or STEP of its rows. Or what lanes tell each other.
var<workgroup> other_tile: array<vec4<f32>, BLOCK * ACROSS>;
/// Factors of the rows of a block: DOWN groups of four rows that the workgroup owns.
var<workgroup> factors: array<vec4<f32>, BLOCK * DOWN>;

// Odd groups of values, and rows, are turned by some banks, so that lanes that store them do not collide.
fn place(depth: u32, groups: u32, group: u32) -> u32 {
    return depth * groups + (group ^ (depth / 4u % 2u * 4u));
}

fn place_factors(row: u32, group: u32) -> u32 {
    return row * DOWN + (group ^ (row / 4u % 8u));
}

/// Which four rows by four values a lane stages: the group of values (x) and that of rows (y), of the workgroup's own rows
/// (z = 0), of the others' (z = 1), or none.
fn staged(lane: u32) -> vec3<u32> {
    const OWN: u32 = DEPTH4 * DOWN;
    const OTHER: u32 = DEPTH4 * ACROSS;
    if (lane < OWN) {
        return vec3<u32>(lane / (2u * DOWN) * 2u + lane % 2u, lane / 2u % DOWN, 0u);
    }
    let other = lane - OWN;
    return vec3<u32>(other / (2u * ACROSS) * 2u + other % 2u, other / 2u % ACROSS, 1u + other / OTHER);
}

fn stage_own(to: vec3<u32>, rows: mat4x4<f32>) {
    let values = transpose(rows);
    @unroll for (var j = 0u; j < 4u; j++) {
        own_tile[place(to.x * 4u + j, DOWN, to.y)] = values[j];
    }
}

fn stage_other(to: vec3<u32>, rows: mat4x4<f32>) {
    let values = transpose(rows);
    @unroll for (var j = 0u; j < 4u; j++) {
        other_tile[place(to.x * 4u + j, ACROSS, to.y)] = values[j];
    }
}

/// Adds the products of what is staged to four by four scores, one vector for each own row.
fn add_scores(x: u32, y: u32, scores: ptr<function, array<vec4<f32>, 4>>) {
    for (var depth = 0u; depth < 4u * DEPTH4; depth++) {
        let own = own_tile[place(depth, DOWN, y)];
        let other = other_tile[place(depth, ACROSS, x)];
        @unroll for (var i = 0u; i < 4u; i++) {
            (*scores)[i] = fma(vec4<f32>(own[i]), other, (*scores)[i]);
        }
    }
}

/// Stores what own rows multiply the rows of the block by, one vector for each own row.
fn store_factors(x: u32, y: u32, rows: mat4x4<f32>) {
    let columns = transpose(rows);
    @unroll for (var j = 0u; j < 4u; j++) {
        factors[place_factors(x * 4u + j, y)] = columns[j];
    }
}

/// Adds rows `first` .. `first + STEP` of the block, which are in `other_tile`, times the factors of four own rows.
fn add_rows(first: u32, x: u32, y: u32, sums: ptr<function, array<vec4<f32>, SUMS>>) {
    for (var s = 0u; s < STEP; s++) {
        let own = factors[place_factors(first + s, y)];
        @unroll for (var c = 0u; c < COLUMNS; c++) {
            let row = other_tile[s * MAX_HEAD4 + c * ACROSS + x];
            @unroll for (var i = 0u; i < 4u; i++) {
                (*sums)[i * COLUMNS + c] = fma(vec4<f32>(own[i]), row, (*sums)[i * COLUMNS + c]);
            }
        }
    }
}

/// Four values of a row; past the head zeros, and past the last token that one.
fn query(token: u32, head: u32, column: u32) -> vec4<f32> {
    let at = (min(token, params.tokens - 1u) * params.heads + head) * HEAD4 + min(column, HEAD4 - 1u);
    return select(vec4<f32>(0.0), widen(q[at]), column < HEAD4);
}

fn key(token: u32, head: u32, column: u32) -> vec4<f32> {
    let at = (min(token, params.tokens - 1u) * params.key_value_heads + head) * HEAD4 + min(column, HEAD4 - 1u);
    return select(vec4<f32>(0.0), widen(k[at]), column < HEAD4);
}

fn value(token: u32, head: u32, column: u32) -> vec4<f32> {
    let at = (min(token, params.tokens - 1u) * params.key_value_heads + head) * HEAD4 + min(column, HEAD4 - 1u);
    return select(vec4<f32>(0.0), widen(v[at]), column < HEAD4);
}

fn gradient(token: u32, head: u32, column: u32) -> vec4<f32> {
    let at = (min(token, params.tokens - 1u) * params.heads + head) * HEAD4 + min(column, HEAD4 - 1u);
    return select(vec4<f32>(0.0), d_o[at], column < HEAD4);
}

fn four_queries(token: u32, head: u32, c: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        query(token, head, c),
        query(token + 1u, head, c),
        query(token + 2u, head, c),
        query(token + 3u, head, c),
    );
}

fn four_keys(token: u32, head: u32, c: u32) -> mat4x4<f32> {
    return mat4x4<f32>(key(token, head, c), key(token + 1u, head, c), key(token + 2u, head, c), key(token + 3u, head, c));
}

fn four_values(token: u32, head: u32, c: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        value(token, head, c),
        value(token + 1u, head, c),
        value(token + 2u, head, c),
        value(token + 3u, head, c),
    );
}

fn four_gradients(token: u32, head: u32, c: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        gradient(token, head, c),
        gradient(token + 1u, head, c),
        gradient(token + 2u, head, c),
        gradient(token + 3u, head, c),
    );
}

/// Keys between which a query sees none: the completions that follow its prompt before its own.
fn gap_of(query: u32) -> vec2<u32> {
    if (BRANCHING == 1u) {
        return spans[params.tokens + query];
    }
    return vec2<u32>(0u);
}

/// The gap that all queries `first` .. `first + ROWS` share, if they do: blocks within it are skipped.
fn shared_gap(first: u32) -> vec2<u32> {
    let gap = gap_of(first);
    let last = gap_of(min(first + ROWS, params.tokens) - 1u);
    return select(vec2<u32>(0u), gap, all(gap == last));
}

/// Where the block of keys ends that begins at `block`: at the latest with its sequence, so that the next sequence begins
/// with a block, too, and its sums do not depend on what stands before it.
fn block_end(block: u32) -> u32 {
    return min(block + BLOCK, spans[block].y);
}

/// The block of keys after that which ends at `end`.
fn next_block(end: u32, gap: vec2<u32>) -> u32 {
    return select(end, gap.y, BRANCHING == 1u && end >= gap.x && end < gap.y);
}

/// Whether queries see keys; `span` is that of one of them and `others` the other ones, `gap` that of the query.
fn see(queries: vec4<u32>, keys: vec4<u32>, span: vec2<u32>, others: vec4<u32>, gap: vec2<u32>) -> vec4<bool> {
    let together = (others >= vec4<u32>(span.x)) & (others < vec4<u32>(span.y));
    let before = vec4<bool>(params.causal == 0u) | (keys <= queries);
    let window = vec4<u32>(params.window);
    let near = vec4<bool>(params.window == 0u) | ((keys + window > queries) & (queries + window > keys));
    let hidden = vec4<bool>(BRANCHING == 1u) & (keys >= vec4<u32>(gap.x)) & (keys < vec4<u32>(gap.y));
    return together & before & near & !hidden;
}

const NEXT: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);

/// Scaled scores of a lane's four queries of those from `first` on, one vector for each, with its four keys of a block.
fn scores_of_queries(first: u32, block: u32, head: u32, local: u32) -> array<vec4<f32>, 4> {
    let key_value_head = head / (params.heads / params.key_value_heads);
    let to = staged(local);
    var scores = array<vec4<f32>, 4>();
    for (var c = 0u; c < HEAD4; c += DEPTH4) {
        workgroupBarrier();
        if (to.z == 0u) {
            stage_own(to, params.scale * four_queries(first + to.y * 4u, head, c + to.x));
        } else if (to.z == 1u) {
            stage_other(to, four_keys(block + to.y * 4u, key_value_head, c + to.x));
        }
        workgroupBarrier();
        add_scores(local % ACROSS, local / ACROSS, &scores);
    }
    return scores;
}

/// Keys that any of the queries `first` .. `first + ROWS` sees: from .x up to .y.
fn key_range(first: u32) -> vec2<u32> {
    let last = min(first + ROWS, params.tokens) - 1u;
    var begin = spans[first].x;
    var to = spans[last].y;
    if (params.causal == 1u) {
        to = last + 1u;
    }
    if (params.window > 0u) {
        begin = max(begin, max(first, params.window - 1u) - (params.window - 1u));
        // The blocks of a sequence are counted from its first token, wherever a window begins.
        begin -= (begin - spans[begin].x) % BLOCK;
        to = min(to, last + params.window);
    }
    return vec2<u32>(begin, min(to, params.tokens));
}

/// Queries that see any of the keys `first` .. `first + ROWS`.
fn query_range(first: u32) -> vec2<u32> {
    let last = min(first + ROWS, params.tokens) - 1u;
    var begin = spans[first].x;
    var to = spans[last].y;
    if (BRANCHING == 1u) {
        // The last completion may end before others see the prompt.
        for (var token = first; token < last; token++) {
            to = max(to, spans[token].y);
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
/// One workgroup per ROWS queries (x) and query head (y).
/// permutations: head_32 head_64 head_128; - x_bf16 x_f16
@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first = workgroup.x * ROWS;
    let head = workgroup.y;
    if (first >= params.tokens || head >= params.heads) {
        return;
    }
    let key_value_head = head / (params.heads / params.key_value_heads);
    let x = local % ACROSS;
    let y = local / ACROSS;
    let own = first + y * 4u;
    var sums = array<vec4<f32>, SUMS>();
    var largest = vec4<f32>(-1e30);
    var total = vec4<f32>(0.0);
    let skipped = shared_gap(first);
    let range = key_range(first);
    for (var block = range.x; block < range.y; block = next_block(block_end(block), skipped)) {
        let end = block_end(block);
        var scores = scores_of_queries(first, block, head, local);
        var row_largest = vec4<f32>();
        let keys = block + x * 4u + NEXT;
        @unroll for (var i = 0u; i < 4u; i++) {
            let token = min(own + i, params.tokens - 1u);
            let seen = see(vec4<u32>(token), keys, spans[token], keys, gap_of(token));
            scores[i] = select(vec4<f32>(-2e30), scores[i], seen & (keys < vec4<u32>(end)));
            row_largest[i] = max(max(scores[i].x, scores[i].y), max(scores[i].z, scores[i].w));
        }
        workgroupBarrier();
        other_tile[local] = row_largest;
        workgroupBarrier();
        var block_largest = largest;
        for (var lane = 0u; lane < ACROSS; lane++) {
            block_largest = max(block_largest, other_tile[y * ACROSS + lane]);
        }
        let shrink = exp(largest - block_largest);
        largest = block_largest;
        total *= shrink;
        @unroll for (var i = 0u; i < 4u; i++) {
            // Hidden keys score -2e30 and largest is at least -1e30, so their weight is exactly zero.
            scores[i] = exp(scores[i] - largest[i]);
            total[i] += dot(scores[i], vec4<f32>(1.0));
            @unroll for (var c = 0u; c < COLUMNS; c++) {
                sums[i * COLUMNS + c] *= shrink[i];
            }
        }
        store_factors(x, y, mat4x4<f32>(scores[0], scores[1], scores[2], scores[3]));
        for (var row = 0u; row < BLOCK; row += STEP) {
            workgroupBarrier();
            for (var e = local; e < STEP * MAX_HEAD4; e += LANES) {
                other_tile[e] = value(block + row + e / MAX_HEAD4, key_value_head, e % MAX_HEAD4);
            }
            workgroupBarrier();
            add_rows(row, x, y, &sums);
        }
    }
    workgroupBarrier();
    other_tile[local] = total;
    workgroupBarrier();
    total = vec4<f32>(0.0);
    for (var lane = 0u; lane < ACROSS; lane++) {
        total += other_tile[y * ACROSS + lane];
    }
    @unroll for (var i = 0u; i < 4u; i++) {
        if (own + i < params.tokens) {
            let row = (own + i) * params.heads + head;
            @unroll for (var c = 0u; c < COLUMNS; c++) {
                if (c * ACROSS + x < HEAD4) {
                    o[row * HEAD4 + c * ACROSS + x] = narrow(sums[i * COLUMNS + c] / total[i]);
                }
            }
            if (x == 0u) {
                stats[row].x = largest[i] + log(total[i]);
            }
        }
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
/// One workgroup per ROWS queries (x) and query head (y).
/// permutations: head_32 head_64 head_128; - x_bf16 x_f16
@compute @workgroup_size(LANES)
fn backward_query(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first = workgroup.x * ROWS;
    let head = workgroup.y;
    if (first >= params.tokens || head >= params.heads) {
        return;
    }
    let key_value_head = head / (params.heads / params.key_value_heads);
    let x = local % ACROSS;
    let y = local / ACROSS;
    let own = first + y * 4u;
    let to = staged(local);
    var sums = array<vec4<f32>, SUMS>();
    let skipped = shared_gap(first);
    let range = key_range(first);
    for (var block = range.x; block < range.y; block = next_block(block + BLOCK, skipped)) {
        var scores = scores_of_queries(first, block, head, local);
        var products = array<vec4<f32>, 4>();
        for (var c = 0u; c < HEAD4; c += DEPTH4) {
            workgroupBarrier();
            if (to.z == 0u) {
                stage_own(to, four_gradients(first + to.y * 4u, head, c + to.x));
            } else if (to.z == 1u) {
                stage_other(to, four_values(block + to.y * 4u, key_value_head, c + to.x));
            }
            workgroupBarrier();
            add_scores(x, y, &products);
        }
        let keys = block + x * 4u + NEXT;
        @unroll for (var i = 0u; i < 4u; i++) {
            let token = min(own + i, params.tokens - 1u);
            let row_stats = stats_saved[token * params.heads + head];
            let seen = see(vec4<u32>(token), keys, spans[token], keys, gap_of(token));
            let weight = select(vec4<f32>(0.0), exp(scores[i] - row_stats.x), seen);
            scores[i] = weight * (products[i] - row_stats.y) * params.scale;
        }
        store_factors(x, y, mat4x4<f32>(scores[0], scores[1], scores[2], scores[3]));
        for (var row = 0u; row < BLOCK; row += STEP) {
            workgroupBarrier();
            for (var e = local; e < STEP * MAX_HEAD4; e += LANES) {
                other_tile[e] = key(block + row + e / MAX_HEAD4, key_value_head, e % MAX_HEAD4);
            }
            workgroupBarrier();
            add_rows(row, x, y, &sums);
        }
    }
    @unroll for (var i = 0u; i < 4u; i++) {
        @unroll for (var c = 0u; c < COLUMNS; c++) {
            if (own + i < params.tokens && c * ACROSS + x < HEAD4) {
                d_q[((own + i) * params.heads + head) * HEAD4 + c * ACROSS + x] = sums[i * COLUMNS + c];
            }
        }
    }
}

/// [tokens, key_value_heads, HEAD4]: gradient of the keys.
@group(0) @binding(7) var<storage, read_write> d_k: array<vec4<f32>>;
/// [tokens, key_value_heads, HEAD4]: gradient of the values.
@group(0) @binding(8) var<storage, read_write> d_v: array<vec4<f32>>;

/// d_v = sum of p * d_o and d_k = sum of d_s * q, over all queries of all heads that share the key/value head.
/// One workgroup per ROWS keys (x) and key/value head (y).
/// permutations: head_32 head_64 head_128; - x_bf16 x_f16
@compute @workgroup_size(LANES)
fn backward_key_value(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first = workgroup.x * ROWS;
    let key_value_head = workgroup.y;
    if (first >= params.tokens || key_value_head >= params.key_value_heads) {
        return;
    }
    let group = params.heads / params.key_value_heads;
    let x = local % ACROSS;
    let y = local / ACROSS;
    let own = first + y * 4u;
    let to = staged(local);
    var d_keys = array<vec4<f32>, SUMS>();
    var d_values = array<vec4<f32>, SUMS>();
    let range = query_range(first);
    for (var head = key_value_head * group; head < (key_value_head + 1u) * group; head++) {
        for (var block = range.x; block < range.y; block += BLOCK) {
            var scores = array<vec4<f32>, 4>();
            for (var c = 0u; c < HEAD4; c += DEPTH4) {
                workgroupBarrier();
                if (to.z == 0u) {
                    stage_own(to, params.scale * four_keys(first + to.y * 4u, key_value_head, c + to.x));
                } else if (to.z == 1u) {
                    stage_other(to, four_queries(block + to.y * 4u, head, c + to.x));
                }
                workgroupBarrier();
                add_scores(x, y, &scores);
            }
            var products = array<vec4<f32>, 4>();
            for (var c = 0u; c < HEAD4; c += DEPTH4) {
                workgroupBarrier();
                if (to.z == 0u) {
                    stage_own(to, four_values(first + to.y * 4u, key_value_head, c + to.x));
                } else if (to.z == 1u) {
                    stage_other(to, four_gradients(block + to.y * 4u, head, c + to.x));
                }
                workgroupBarrier();
                add_scores(x, y, &products);
            }
            // Log-sum-exps of four queries, and their dot(d_o, o).
            var log_sums = vec4<f32>();
            var dots = vec4<f32>();
            let queries = block + x * 4u + NEXT;
            @unroll for (var j = 0u; j < 4u; j++) {
                let row_stats = stats_saved[min(queries[j], params.tokens - 1u) * params.heads + head];
                log_sums[j] = row_stats.x;
                dots[j] = row_stats.y;
            }
            @unroll for (var i = 0u; i < 4u; i++) {
                let token = min(own + i, params.tokens - 1u);
                let keys = vec4<u32>(token);
                // What its gap hides from a query are keys of other completions, whose spans it is not in.
                let seen = see(queries, keys, spans[token], queries, vec2<u32>(0u));
                scores[i] = select(vec4<f32>(0.0), exp(scores[i] - log_sums), seen);
                products[i] = scores[i] * (products[i] - dots) * params.scale;
            }
            store_factors(x, y, mat4x4<f32>(scores[0], scores[1], scores[2], scores[3]));
            for (var row = 0u; row < BLOCK; row += STEP) {
                workgroupBarrier();
                for (var e = local; e < STEP * MAX_HEAD4; e += LANES) {
                    other_tile[e] = gradient(block + row + e / MAX_HEAD4, head, e % MAX_HEAD4);
                }
                workgroupBarrier();
                add_rows(row, x, y, &d_values);
            }
            workgroupBarrier();
            store_factors(x, y, mat4x4<f32>(products[0], products[1], products[2], products[3]));
            for (var row = 0u; row < BLOCK; row += STEP) {
                workgroupBarrier();
                for (var e = local; e < STEP * MAX_HEAD4; e += LANES) {
                    other_tile[e] = query(block + row + e / MAX_HEAD4, head, e % MAX_HEAD4);
                }
                workgroupBarrier();
                add_rows(row, x, y, &d_keys);
            }
        }
    }
    @unroll for (var i = 0u; i < 4u; i++) {
        @unroll for (var c = 0u; c < COLUMNS; c++) {
            if (own + i < params.tokens && c * ACROSS + x < HEAD4) {
                let at = ((own + i) * params.key_value_heads + key_value_head) * HEAD4 + c * ACROSS + x;
                d_k[at] = d_keys[i * COLUMNS + c];
                d_v[at] = d_values[i * COLUMNS + c];
            }
        }
    }
}
