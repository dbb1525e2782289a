// Log-probability of one token per row, and the entropy, under a softmax over a vocabulary whose logits pass by in
// chunks of columns; and the gradient of the logits of a chunk. The logits of a row are never held together: a running
// maximum and two sums relative to it are kept, as in an online softmax (Milakov & Gimelshein 2018, arXiv 1805.02867).
// LANES lanes work on one row: 1 on software adapters, where lanes have no cheap way to meet.

import package::shared::f32::{Packed, narrow, widen};
import package::shared::grid::{Invocation, WORKGROUP, linear, row_of};
import package::shared::row_max::row_max;
import package::shared::row_sum::row_sum;

/// requires: columns <= 4 * columns4
struct Params {
    /// Rows of logits.
    rows: u32,
    /// Token id of the chunk's first column.
    first: u32,
    /// Columns of the chunk.
    columns: u32,
    /// Row stride of the chunk in groups of four values.
    columns4: u32,
    /// One over the temperature.
    scale: f32,
    /// Sequences that the rows belong to.
    sequences: u32,
}

/// Lanes that work on one row.
/// requires: WORKGROUP % LANES == 0
override LANES: u32 = 1u;

/// Below any logit; far enough from the least f32 that differences are finite.
const LOWEST: f32 = -1e30;

@group(0) @binding(0) var<uniform> params: Params;

/// [rows]: the token of each row, and the sequence that it belongs to.
@group(0) @binding(1) var<storage, read> targets: array<vec2<u32>>;
/// [max(rows, 1), columns4]: a chunk of logits.
@group(0) @binding(2) var<storage, read> logits: array<Packed>;
// Over the columns so far: the largest logit, the sum of exp(logit - largest), the same sum weighted with
// logit - largest, and the logit of the token.
/// [max(rows, 1)]: running statistics of each row.
@group(0) @binding(3) var<storage, read_write> stats: array<vec4<f32>>;

/// Which of the four columns of a group the chunk has.
fn real(column4: u32) -> vec4<bool> {
    return vec4<u32>(4u * column4) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(params.columns);
}

/// Both sums relative to a larger maximum: .x plain, .y weighted.
fn moved(sums: vec2<f32>, by: f32) -> vec2<f32> {
    return exp(by) * vec2<f32>(sums.x, sums.y + by * sums.x);
}

/// Takes a chunk of logits into the statistics of each row.
/// LANES invocations per row: grid(div_ceil(rows, WORKGROUP / LANES)).
/// permutations: - wide
@compute @workgroup_size(WORKGROUP)
fn forward(invocation: Invocation) {
    let lane = invocation.local % LANES;
    let row = row_of(invocation, LANES);
    // Lanes past the last row follow the first one to every barrier and write nothing.
    let source = select(0u, row, row < params.rows);
    var before = vec4<f32>(LOWEST, 0.0, 0.0, 0.0);
    if (params.first > 0u) {
        before = stats[source];
    }
    var largest = select(LOWEST, before.x, lane == 0u);
    var sums = select(vec2<f32>(0.0), before.yz, lane == 0u);
    for (var i = lane; i < params.columns4; i += LANES) {
        let z = select(vec4<f32>(LOWEST), params.scale * widen(logits[source * params.columns4 + i]), real(i));
        let top = max(max(z.x, z.y), max(z.z, z.w));
        if (top > largest) {
            sums = moved(sums, largest - top);
            largest = top;
        }
        let distance = z - largest;
        let weight = exp(distance);
        sums += vec2<f32>(dot(weight, vec4<f32>(1.0)), dot(weight, distance));
    }
    let all = row_max(LANES, lane, invocation.local, largest);
    sums = moved(sums, largest - all);
    let plain = row_sum(LANES, lane, invocation.local, sums.x);
    let weighted = row_sum(LANES, lane, invocation.local, sums.y);
    if (row < params.rows && lane == 0u) {
        var chosen = before.w;
        // Tokens before the chunk wrap around and so lie past its end too.
        let column = targets[row].x - params.first;
        if (column < params.columns) {
            chosen = params.scale * widen(logits[row * params.columns4 + column / 4u])[column % 4u];
        }
        stats[row] = vec4<f32>(all, plain, weighted, chosen);
    }
}

/// [max(sequences, 1) + 1]: where the rows of each sequence start, and where those of the last one end.
@group(0) @binding(1) var<storage, read> offsets: array<u32>;
/// [rows]: statistics of each row over the whole vocabulary.
@group(0) @binding(2) var<storage, read> stats_saved: array<vec4<f32>>;
/// [sequences]: the sum of the log-probabilities of each sequence, and that of its entropies.
@group(0) @binding(3) var<storage, read_write> sums: array<vec2<f32>>;

/// Adds up log-probabilities and entropies over the rows of each sequence.
/// LANES invocations per sequence: grid(div_ceil(sequences, WORKGROUP / LANES)).
@compute @workgroup_size(WORKGROUP)
fn sequences(invocation: Invocation) {
    let lane = invocation.local % LANES;
    let sequence = row_of(invocation, LANES);
    let source = select(0u, sequence, sequence < params.sequences);
    var sum = vec2<f32>(0.0);
    for (var row = offsets[source] + lane; row < min(offsets[source + 1u], params.rows); row += LANES) {
        let kept = stats_saved[row];
        let log_sum = log(kept.y);
        sum += vec2<f32>(kept.w - kept.x - log_sum, log_sum - kept.z / kept.y);
    }
    let log_prob = row_sum(LANES, lane, invocation.local, sum.x);
    let entropy = row_sum(LANES, lane, invocation.local, sum.y);
    if (sequence < params.sequences && lane == 0u) {
        sums[sequence] = vec2<f32>(log_prob, entropy);
    }
}

/// [max(sequences, 1)]: gradient of the loss by the summed log-probabilities of each sequence.
@group(0) @binding(3) var<storage, read> coefficients: array<f32>;
/// [rows, max(columns4, 1)]: the chunk of logits, which become their gradient.
@group(0) @binding(4) var<storage, read_write> d_logits: array<Packed>;

/// In place: logits become coefficient * ([column is the token] - softmax) * scale.
/// One invocation per group of four logits: grid(div_ceil(rows * columns4, WORKGROUP)).
/// permutations: - wide
@compute @workgroup_size(WORKGROUP)
fn backward(invocation: Invocation) {
    let index = linear(invocation);
    let row = index / params.columns4;
    if (row >= params.rows) {
        return;
    }
    let column4 = index % params.columns4;
    let kept = stats_saved[row];
    let softmax = exp(params.scale * widen(d_logits[index]) - kept.x) / kept.y;
    let columns = vec4<u32>(params.first + 4u * column4) + vec4<u32>(0u, 1u, 2u, 3u);
    let chosen = select(vec4<f32>(0.0), vec4<f32>(1.0), columns == vec4<u32>(targets[row].x));
    let factor = params.scale * coefficients[min(targets[row].y, max(params.sequences, 1u) - 1u)];
    d_logits[index] = narrow(select(vec4<f32>(0.0), factor * (chosen - softmax), real(column4)));
}
