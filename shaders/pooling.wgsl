// One row per sequence: the mean over its tokens, or its first or last token, which is the mean over a window of one.

import package::shared::grid::{Invocation, WORKGROUP, linear};

/// requires: 0 < columns4
struct Params {
    /// Tokens of the packed batch.
    tokens: u32,
    /// Sequences of the packed batch.
    sequences: u32,
    /// Groups of four values in a row.
    columns4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// [sequences + 1]: where each sequence starts, and where the last one ends.
@group(0) @binding(1) var<storage, read> offsets: array<u32>;

/// First token and end of the window over which a sequence is pooled.
fn window(sequence: u32) -> vec2<u32> {
    let end = min(offsets[sequence + 1u], params.tokens);
    @if(first) return vec2<u32>(offsets[sequence], min(offsets[sequence] + 1u, end));
    @if(last) return vec2<u32>(max(end, 1u) - 1u, end);
    @if(mean) return vec2<u32>(offsets[sequence], end);
}

/// [tokens, columns4]: one row per token.
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
/// [sequences, columns4]: one row per sequence.
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

/// One invocation per group of four values of y: grid(div_ceil(sequences * columns4, WORKGROUP)).
/// permutations: first last mean
@compute @workgroup_size(WORKGROUP)
fn forward(invocation: Invocation) {
    let index = linear(invocation);
    let sequence = index / params.columns4;
    if (sequence >= params.sequences) {
        return;
    }
    let tokens = window(sequence);
    var sum = vec4<f32>(0.0);
    for (var token = tokens.x; token < tokens.y; token++) {
        sum += x[token * params.columns4 + index % params.columns4];
    }
    y[index] = sum / f32(tokens.y - tokens.x);
}

/// [sequences, columns4]: gradient of the row of each sequence.
@group(0) @binding(2) var<storage, read> d_y: array<vec4<f32>>;
/// [tokens, columns4]: gradient of the row of each token.
@group(0) @binding(3) var<storage, read_write> d_x: array<vec4<f32>>;

/// The gradient where the last token was pooled, which gets d_y; other tokens of the sequence get zeros. The other
/// poolings are those of encoders, which are not trained.
/// One invocation per group of four values of d_y: grid(div_ceil(sequences * columns4, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn backward(invocation: Invocation) {
    let index = linear(invocation);
    let sequence = index / params.columns4;
    if (sequence >= params.sequences) {
        return;
    }
    let end = min(offsets[sequence + 1u], params.tokens);
    for (var token = offsets[sequence]; token < end; token++) {
        d_x[token * params.columns4 + index % params.columns4] = select(vec4<f32>(0.0), d_y[index], token + 1u == end);
    }
}
