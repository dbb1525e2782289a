// Losses of a reward head and their gradients, one lane per sequence. Labels are levels 1, 2, … as f32.
//
// Binary cross-entropy with logits has one form for both targets: with u = z for target 0 and u = -z for target 1 it is
// softplus(u), and its gradient is sigmoid(u) with the same sign. Nothing cancels, however sure the model is.

import package::shared::grid::{Invocation, WORKGROUP, linear};
import package::shared::logistic::{sigmoid, softplus};

struct Params {
    /// Sequences of the micro-batch.
    sequences: u32,
    /// Number of thresholds.
    thresholds: u32,
    /// Groups of four values that hold them.
    thresholds4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// [sequences]: the level of each sequence, or the margin of each pair in the place of its chosen one.
@group(0) @binding(1) var<storage, read> labels: array<f32>;
// Many replays share the denominator: it is not known when they are recorded.
/// [1]: one over the denominator of the optimizer step.
@group(0) @binding(2) var<storage, read> scale: array<f32>;
/// [sequences, thresholds4]: one logit per threshold.
@group(0) @binding(3) var<storage, read> logits: array<vec4<f32>>;
/// [sequences]: the loss of each sequence.
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;
/// [sequences, thresholds4]: gradient of the logits.
@group(0) @binding(5) var<storage, read_write> d_logits: array<vec4<f32>>;

struct Term {
    loss: f32,
    gradient: vec4<f32>,
}

/// Cross-entropy of four thresholds with the targets [label > k], over the first `tasks` thresholds.
fn cross_entropy(z: vec4<f32>, group: u32, label: f32, tasks: f32) -> Term {
    let k = vec4<f32>(f32(4u * group)) + vec4<f32>(1.0, 2.0, 3.0, 4.0);
    let sign = select(vec4<f32>(1.0), vec4<f32>(-1.0), vec4<f32>(label) > k);
    let weight = select(vec4<f32>(0.0), vec4<f32>(scale[0]), k <= vec4<f32>(tasks));
    let u = sign * z;
    return Term(dot(weight, softplus(u)), weight * sign * sigmoid(u));
}

fn independent(row: u32, tasks: f32) {
    var loss = 0.0;
    for (var i = 0u; i < params.thresholds4; i++) {
        let at = row * params.thresholds4 + i;
        let term = cross_entropy(logits[at], i, labels[row], tasks);
        loss += term.loss;
        d_logits[at] = term.gradient;
    }
    losses[row] = loss;
}

/// Cross-entropy of independent thresholds.
/// One invocation per sequence: grid(div_ceil(sequences, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn ordinal(invocation: Invocation) {
    let row = linear(invocation);
    if (row < params.sequences) {
        independent(row, f32(params.thresholds));
    }
}

/// Cross-entropy where task k asks "above k?" of the rows that are above k - 1 only.
/// One invocation per sequence: grid(div_ceil(sequences, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn corn(invocation: Invocation) {
    let row = linear(invocation);
    if (row < params.sequences) {
        independent(row, min(f32(params.thresholds), labels[row]));
    }
}

// One logit s per sequence, z_k = s + bias_k.
/// [sequences]: the one logit of each sequence, in .x.
@group(0) @binding(3) var<storage, read> scores: array<vec4<f32>>;
/// [sequences]: gradient of the one logit.
@group(0) @binding(5) var<storage, read_write> d_scores: array<vec4<f32>>;
/// [thresholds4]: the bias of each threshold.
@group(0) @binding(6) var<storage, read> biases: array<vec4<f32>>;
/// [sequences, thresholds4]: gradient of the logit of each threshold.
@group(0) @binding(7) var<storage, read_write> d_z: array<vec4<f32>>;

/// Cross-entropy of z_k = s + bias_k, with one logit s per sequence.
/// One invocation per sequence: grid(div_ceil(sequences, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn coral(invocation: Invocation) {
    let row = linear(invocation);
    if (row >= params.sequences) {
        return;
    }
    let score = scores[row].x;
    var loss = 0.0;
    var slope = 0.0;
    for (var i = 0u; i < params.thresholds4; i++) {
        let term = cross_entropy(score + biases[i], i, labels[row], f32(params.thresholds));
        loss += term.loss;
        slope += dot(term.gradient, vec4<f32>(1.0));
        d_z[row * params.thresholds4 + i] = term.gradient;
    }
    losses[row] = loss;
    d_scores[row] = vec4<f32>(slope, 0.0, 0.0, 0.0);
}

/// -log sigmoid(chosen - rejected - margin). Sequences are chosen, rejected, chosen, rejected, …; the label of the
/// chosen one is the margin of the pair, and the loss of the pair is written to its row.
/// One invocation per pair: grid(div_ceil(sequences, WORKGROUP)), of which the second half has no pair.
@compute @workgroup_size(WORKGROUP)
fn pairwise(invocation: Invocation) {
    let pair = linear(invocation);
    let chosen = 2u * pair;
    if (chosen + 1u >= params.sequences) {
        return;
    }
    let u = vec4<f32>(scores[chosen + 1u].x - scores[chosen].x + labels[chosen]);
    let slope = scale[0] * sigmoid(u).x;
    losses[chosen] = scale[0] * softplus(u).x;
    losses[chosen + 1u] = 0.0;
    d_scores[chosen] = vec4<f32>(-slope, 0.0, 0.0, 0.0);
    d_scores[chosen + 1u] = vec4<f32>(slope, 0.0, 0.0, 0.0);
}

/// Squared error of the one logit against the label.
/// One invocation per sequence: grid(div_ceil(sequences, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn regression(invocation: Invocation) {
    let row = linear(invocation);
    if (row >= params.sequences) {
        return;
    }
    let error = scores[row].x - labels[row];
    losses[row] = scale[0] * error * error;
    d_scores[row] = vec4<f32>(2.0 * scale[0] * error, 0.0, 0.0, 0.0);
}
