// Norm over all gradients, in a fixed order: `slots` squares and sums runs of one gradient, `tensors` adds the slots
// of each tensor, `finish` adds the tensors and decides how much to clip. No sum is longer than a few thousand terms,
// so f32 is enough.

import package::shared::f32::{Packed, widen};
import package::shared::grid::{Invocation, WORKGROUP, row_of, workgroup_of};
import package::shared::step::{Clip, Step};

struct Params {
    /// Groups of four values of the gradient, for `slots`.
    groups: u32,
    /// First slot of the gradient, for `slots`.
    first_slot: u32,
    /// Number of tensors, for the other passes.
    tensors: u32,
}

/// Lanes that share a sum: 1 on software adapters for `slots`, the whole workgroup otherwise.
/// requires: WORKGROUP % LANES == 0
override LANES: u32 = 64u;
/// Groups of four values in a slot.
const RUN: u32 = 2048u;

@group(0) @binding(0) var<uniform> params: Params;

var<workgroup> partial: array<f32, WORKGROUP>;

/// Sum over LANES lanes, for the first of them.
fn lanes_sum(lane: u32, local: u32, value: f32) -> f32 {
    if (LANES == 1u) {
        return value;
    }
    partial[local] = value;
    workgroupBarrier();
    for (var step = LANES / 2u; step > 0u; step /= 2u) {
        if (lane < step) {
            partial[local] += partial[local + step];
        }
        workgroupBarrier();
    }
    return partial[local];
}

/// [groups]: a shard of one gradient.
@group(0) @binding(1) var<storage, read> gradient: array<Packed>;
/// [first_slot + div_ceil(groups, RUN)]: the slots of all gradients.
@group(0) @binding(2) var<storage, read_write> slots_out: array<f32>;

/// Sums the squares of runs of a gradient.
/// LANES invocations per slot: grid(div_ceil(div_ceil(groups, RUN), WORKGROUP / LANES)).
/// permutations: - wide
@compute @workgroup_size(WORKGROUP)
fn slots(invocation: Invocation) {
    let lane = invocation.local % LANES;
    let slot = row_of(invocation, LANES);
    let first = slot * RUN;
    var squares = vec4<f32>(0.0);
    for (var i = first + lane; i < min(first + RUN, params.groups); i += LANES) {
        let value = widen(gradient[i]);
        squares += value * value;
    }
    let sum = lanes_sum(lane, invocation.local, dot(squares, vec4<f32>(1.0)));
    if (lane == 0u && slot < (params.groups + RUN - 1u) / RUN) {
        slots_out[params.first_slot + slot] = sum;
    }
}

/// [1]: the slots of all gradients, as many as are bound: `first_slots` cannot lead past their end.
@group(0) @binding(1) var<storage, read> slots_in: array<f32>;
/// [max(tensors, 1) + 1]: tensor i owns the slots from first_slots[i] to first_slots[i + 1].
@group(0) @binding(2) var<storage, read> first_slots: array<u32>;
/// [tensors]: the sum of the squares of each tensor.
@group(0) @binding(3) var<storage, read_write> squares_out: array<f32>;

/// Adds the slots of each tensor.
/// One workgroup per tensor: grid(tensors).
@compute @workgroup_size(WORKGROUP)
fn tensors(invocation: Invocation) {
    let tensor = workgroup_of(invocation);
    // Workgroups past the last tensor follow the first one and write nothing.
    let source = select(0u, tensor, tensor < params.tensors);
    var partial_sum = 0.0;
    let end = min(first_slots[source + 1u], arrayLength(&slots_in));
    for (var i = first_slots[source] + invocation.local; i < end; i += WORKGROUP) {
        partial_sum += slots_in[i];
    }
    let sum = lanes_sum(invocation.local, invocation.local, partial_sum);
    if (invocation.local == 0u && tensor < params.tensors) {
        squares_out[tensor] = sum;
    }
}

/// [tensors]: the sum of the squares of each tensor.
@group(0) @binding(1) var<storage, read> squares_in: array<f32>;
/// [1]: settings of the optimizer step.
@group(0) @binding(2) var<storage, read> step_in: Step;
/// [1]: the norm, and how much to clip.
@group(0) @binding(3) var<storage, read_write> clip: Clip;

/// Adds the tensors and decides how much to clip.
/// A single workgroup.
@compute @workgroup_size(WORKGROUP)
fn finish(@builtin(local_invocation_index) local: u32) {
    var partial_sum = 0.0;
    for (var i = local; i < params.tensors; i += WORKGROUP) {
        partial_sum += squares_in[i];
    }
    let total = lanes_sum(local, local, partial_sum);
    if (local != 0u) {
        return;
    }
    let norm = sqrt(total) * step_in.unscale;
    // By the bits: compilers may assume that floats are finite.
    let finite = (bitcast<u32>(total) & 0x7f800000u) != 0x7f800000u;
    let clipped = min(1.0, step_in.max_norm / (norm + 1e-6));
    clip.coefficient = step_in.unscale * select(1.0, clipped, step_in.max_norm > 0.0);
    clip.finite = select(0.0, 1.0, finite);
    clip.norm = norm;
}
