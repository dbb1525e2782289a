// Rows of a table by token id, and the sum of their gradients back into the table. The table may be sharded by rows:
// a dispatch sees one shard and leaves the ids of other shards to theirs.

import package::shared::grid::{Invocation, WORKGROUP, linear};
@if(!w_bf16 && !w_f16 && !w_quantized) import package::shared::f32::{Packed, widen};
@if(w_bf16) import package::shared::bf16::{Packed, widen};
@if(w_f16) import package::shared::f16::{Packed, widen};
@if(w_quantized) import package::shared::quantized::{Packed, four, high_place, low_place, scale_of, scale_places, stride};

/// requires: 0 < columns4
struct Params {
    /// Tokens of the batch.
    tokens: u32,
    /// Groups of four values in a row.
    columns4: u32,
    /// Id of the shard's first row.
    first_row: u32,
    /// Rows of the shard.
    shard_rows: u32,
    /// Groups of tokens, in `backward`.
    groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

/// [tokens]: the id of each token.
@group(0) @binding(1) var<storage, read> ids: array<u32>;
/// [shard_rows, stride(columns4)]: a shard of the table.
@group(0) @binding(2) var<storage, read> table: array<Packed>;
/// [tokens, columns4]: the row of each token whose id the shard has.
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

/// y = table[ids].
/// One invocation per group of four values of y: grid(div_ceil(tokens * columns4, WORKGROUP)).
/// permutations: - w_bf16 w_f16 w_quantized
@compute @workgroup_size(WORKGROUP)
fn forward(invocation: Invocation) {
    let index = linear(invocation);
    let token = index / params.columns4;
    if (token >= params.tokens) {
        return;
    }
    // Ids before the shard wrap around and so lie past its end too.
    let row = ids[token] - params.first_row;
    if (row < params.shard_rows) {
        let column4 = index % params.columns4;
        @if(w_quantized) {
            let first = row * stride(params.columns4);
            let places = first + scale_places(params.columns4, column4);
            let scale = scale_of(table[places.x], table[places.y], column4);
            let high = table[first + high_place(params.columns4, column4)];
            y[index] = four(table[first + low_place(column4)], high, column4, scale);
        }
        @if(!w_quantized) {
            y[index] = widen(table[row * params.columns4 + column4]);
        }
    }
}

// Tokens come grouped by id, so that a row of the table belongs to one group and needs no atomics: group g has the id
// unique[g] and the tokens rows[starts[g]..starts[g + 1]].
/// [groups]: the id of each group.
@group(0) @binding(1) var<storage, read> unique: array<u32>;
/// [groups + 1]: where each group starts in `rows`, and where the last one ends.
@group(0) @binding(2) var<storage, read> starts: array<u32>;
/// [tokens]: places of tokens, group after group.
@group(0) @binding(3) var<storage, read> rows: array<u32>;
/// [tokens, columns4]: gradient of the row of each token.
@group(0) @binding(4) var<storage, read> d_y: array<vec4<f32>>;
/// [shard_rows, columns4]: gradient of the shard, added to.
@group(0) @binding(5) var<storage, read_write> d_table: array<vec4<f32>>;

/// d_table[unique[g]] += sum of d_y over the tokens of group g, in their order.
/// One invocation per group of tokens and of four columns: grid(div_ceil(groups * columns4, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn backward(invocation: Invocation) {
    let index = linear(invocation);
    let group = index / params.columns4;
    if (group >= params.groups) {
        return;
    }
    let column = index % params.columns4;
    let row = unique[group] - params.first_row;
    let first = starts[group];
    let end = min(starts[group + 1u], params.tokens);
    // An empty group has no id of its own and must not touch the row of another group.
    if (row >= params.shard_rows || first >= end) {
        return;
    }
    var sum = vec4<f32>(0.0);
    for (var i = first; i < end; i++) {
        sum += d_y[min(rows[i], params.tokens - 1u) * params.columns4 + column];
    }
    d_table[row * params.columns4 + column] += sum;
}
