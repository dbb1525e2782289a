// Losses over pairs of completions and their gradients, one lane per pair. Sequences are chosen, rejected, chosen,
// rejected, …; every loss is a function of their summed log-probabilities under the policy and under a reference, and
// of their numbers of tokens. The loss of a pair is written to its place, the gradients by the two sums to those of its
// sequences. The sources of the losses are named in `kernels::preference`.

import package::shared::grid::{Invocation, WORKGROUP, linear};
import package::shared::logistic::{sigmoid as sigmoids, softplus as softplusses};

/// requires: 0 < pairs
struct Params {
    /// Pairs of the micro-batch.
    pairs: u32,
    /// Factor of the log-probability ratios.
    beta: f32,
    /// Share of pairs assumed to be labeled the wrong way round.
    label_smoothing: f32,
    /// Target margin of SimPO.
    gamma: f32,
    /// Weight of the token-mean negative log-likelihood of the chosen completion.
    sft_weight: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// [2 * pairs + 1]: where the predicted tokens of each sequence start, and where those of the last one end.
@group(0) @binding(1) var<storage, read> offsets: array<u32>;
/// [2 * pairs]: the summed log-probability of each sequence under the policy (.x).
@group(0) @binding(2) var<storage, read> sums: array<vec2<f32>>;
/// [2 * pairs]: the same under the reference.
@group(0) @binding(3) var<storage, read> references: array<f32>;
// Many replays share the number of pairs: it is not known when they are recorded.
/// [1]: one over the number of pairs of the optimizer step.
@group(0) @binding(4) var<storage, read> scale: array<f32>;
/// [pairs]: the loss of each pair.
@group(0) @binding(5) var<storage, read_write> losses: array<f32>;
/// [2 * pairs]: gradient of the loss by the log-probability of each sequence.
@group(0) @binding(6) var<storage, read_write> coefficients: array<f32>;

struct Pair {
    /// Log-probabilities of chosen (.x) and rejected (.y) under the policy.
    log_probs: vec2<f32>,
    /// The same less those under the reference.
    ratios: vec2<f32>,
    /// Numbers of tokens.
    lengths: vec2<f32>,
}

/// A loss and its gradient by the log-probabilities of chosen and rejected.
struct Term {
    loss: f32,
    gradient: vec2<f32>,
}

fn softplus(u: f32) -> f32 {
    return softplusses(vec4<f32>(u)).x;
}

fn logistic(u: f32) -> f32 {
    return sigmoids(vec4<f32>(u)).x;
}

fn load(pair: u32) -> Pair {
    let at = 2u * min(pair, params.pairs - 1u);
    let log_probs = vec2<f32>(sums[at].x, sums[at + 1u].x);
    let ends = vec3<u32>(offsets[at], offsets[at + 1u], offsets[at + 2u]);
    let lengths = vec2<f32>(max(ends.yz - ends.xy, vec2<u32>(1u)));
    return Pair(log_probs, log_probs - vec2<f32>(references[at], references[at + 1u]), lengths);
}

/// Adds the likelihood of the chosen completion and writes loss and gradients, scaled.
fn store(pair: u32, given: Pair, term: Term) {
    if (pair >= params.pairs) {
        return;
    }
    let share = params.sft_weight / given.lengths.x;
    losses[pair] = scale[0] * (term.loss - share * given.log_probs.x);
    coefficients[2u * pair] = scale[0] * (term.gradient.x - share);
    coefficients[2u * pair + 1u] = scale[0] * term.gradient.y;
}

/// A function of `x`, a multiple of chosen less rejected, with its derivative by `x`.
fn of_difference(loss: f32, slope: f32, factors: vec2<f32>) -> Term {
    return Term(loss, slope * vec2<f32>(factors.x, -factors.y));
}

/// DPO: -log sigmoid(beta * delta).
/// One invocation per pair: grid(div_ceil(pairs, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn sigmoid(invocation: Invocation) {
    let pair = linear(invocation);
    let given = load(pair);
    let x = params.beta * (given.ratios.x - given.ratios.y);
    store(pair, given, of_difference(softplus(-x), -logistic(-x), vec2<f32>(params.beta)));
}

/// Conservative DPO: -(1 - e) * log sigmoid(beta * delta) - e * log sigmoid(-beta * delta).
/// One invocation per pair: grid(div_ceil(pairs, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn cdpo(invocation: Invocation) {
    let pair = linear(invocation);
    let given = load(pair);
    let x = params.beta * (given.ratios.x - given.ratios.y);
    let wrong = params.label_smoothing;
    let loss = (1.0 - wrong) * softplus(-x) + wrong * softplus(x);
    let slope = wrong * logistic(x) - (1.0 - wrong) * logistic(-x);
    store(pair, given, of_difference(loss, slope, vec2<f32>(params.beta)));
}

/// Robust DPO: (-(1 - e) * log sigmoid(beta * delta) + e * log sigmoid(-beta * delta)) / (1 - 2e).
/// One invocation per pair: grid(div_ceil(pairs, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn robust(invocation: Invocation) {
    let pair = linear(invocation);
    let given = load(pair);
    let x = params.beta * (given.ratios.x - given.ratios.y);
    let wrong = params.label_smoothing;
    let loss = (1.0 - wrong) * softplus(-x) - wrong * softplus(x);
    let slope = -(1.0 - wrong) * logistic(-x) - wrong * logistic(x);
    let share = 1.0 / (1.0 - 2.0 * wrong);
    store(pair, given, of_difference(share * loss, share * slope, vec2<f32>(params.beta)));
}

/// max(0, 1 - beta * delta).
/// One invocation per pair: grid(div_ceil(pairs, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn hinge(invocation: Invocation) {
    let pair = linear(invocation);
    let given = load(pair);
    let x = params.beta * (given.ratios.x - given.ratios.y);
    store(pair, given, of_difference(max(0.0, 1.0 - x), select(0.0, -1.0, x < 1.0), vec2<f32>(params.beta)));
}

/// IPO: the squared distance of the difference of token means from 1 / (2 * beta).
/// One invocation per pair: grid(div_ceil(pairs, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn ipo(invocation: Invocation) {
    let pair = linear(invocation);
    let given = load(pair);
    let means = given.ratios / given.lengths;
    let error = means.x - means.y - 0.5 / params.beta;
    store(pair, given, of_difference(error * error, 2.0 * error, 1.0 / given.lengths));
}

/// SimPO: -log sigmoid(beta * difference of token means - gamma), without a reference.
/// One invocation per pair: grid(div_ceil(pairs, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn simpo(invocation: Invocation) {
    let pair = linear(invocation);
    let given = load(pair);
    let means = given.log_probs / given.lengths;
    let x = params.beta * (means.x - means.y) - params.gamma;
    store(pair, given, of_difference(softplus(-x), -logistic(-x), params.beta / given.lengths));
}

/// 1 - e^l for l <= 0, without cancellation near zero, and never less than a rounding of one: a completion that is as
/// good as certain has infinite odds.
fn complement(l: f32) -> f32 {
    let series = -l * (1.0 + l * (0.5 + l * (1.0 / 6.0 + l * (1.0 / 24.0 + l / 120.0))));
    return max(select(1.0 - exp(l), series, l > -0.1), 5.9604645e-8);
}

/// ORPO: -token mean of the chosen - beta * log sigmoid(log-odds of the token means), without a reference.
/// One invocation per pair: grid(div_ceil(pairs, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn orpo(invocation: Invocation) {
    let pair = linear(invocation);
    let given = load(pair);
    let means = given.log_probs / given.lengths;
    let rest = vec2<f32>(complement(means.x), complement(means.y));
    let odds = means.x - means.y - log(rest.x) + log(rest.y);
    let slope = -params.beta * logistic(-odds);
    let gradient = (vec2<f32>(slope, -slope) / rest - vec2<f32>(1.0, 0.0)) / given.lengths;
    store(pair, given, Term(params.beta * softplus(-odds) - means.x, gradient));
}

/// APO-zero: 1 - sigmoid(c) + sigmoid(r), with c and r the ratios of chosen and rejected times beta.
/// One invocation per pair: grid(div_ceil(pairs, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn apo_zero(invocation: Invocation) {
    let pair = linear(invocation);
    let given = load(pair);
    let c = params.beta * given.ratios.x;
    let r = params.beta * given.ratios.y;
    let gradient = vec2<f32>(-logistic(c) * logistic(-c), logistic(r) * logistic(-r));
    store(pair, given, Term(logistic(-c) + logistic(r), params.beta * gradient));
}

/// NCA: -log sigmoid(c) - log sigmoid(-c) / 2 - log sigmoid(-r) / 2, with c and r as in `apo_zero`.
/// One invocation per pair: grid(div_ceil(pairs, WORKGROUP)).
@compute @workgroup_size(WORKGROUP)
fn nca_pair(invocation: Invocation) {
    let pair = linear(invocation);
    let given = load(pair);
    let c = params.beta * given.ratios.x;
    let r = params.beta * given.ratios.y;
    let gradient = vec2<f32>(0.5 * logistic(c) - logistic(-c), 0.5 * logistic(r));
    store(pair, given, Term(softplus(-c) + 0.5 * softplus(c) + 0.5 * softplus(r), params.beta * gradient));
}
