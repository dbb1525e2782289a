// AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) on f32 master weights, in PyTorch's order: decay, moments, step.
// The copy that the model computes with is rounded in the same pass. A lane updates a few groups of four values, so
// that it loads only once what they share.

import package::shared::f32::{Packed, narrow, widen};
import package::shared::grid::{Invocation, WORKGROUP, workgroup_of};
import package::shared::step::{Clip, Step};
@if(copy_bf16) import package::shared::bf16::{Packed as Copy, narrow as narrow_copy};
@if(copy_f16) import package::shared::f16::{Packed as Copy, narrow as narrow_copy};

struct Params {
    /// Groups of four values to update.
    groups: u32,
    /// First group in the shards of weight, gradient and moments.
    first: u32,
    /// First group in the shard of the copy, whose shards are cut at other rows.
    copy_first: u32,
    /// 1 where the weight decays, 0 where it does not.
    decays: f32,
}

/// Groups of four values a lane updates.
const RUN: u32 = 4u;

@group(0) @binding(0) var<uniform> params: Params;
/// [1]: settings of the optimizer step.
@group(0) @binding(1) var<storage, read> step_in: Step;
/// [1]: how much to clip, and whether all gradients are finite.
@group(0) @binding(2) var<storage, read> clip: Clip;
/// [first + groups]: gradient, before clipping.
@group(0) @binding(3) var<storage, read> gradient: array<Packed>;
/// [first + groups]: master weight.
@group(0) @binding(4) var<storage, read_write> weight: array<Packed>;
/// [first + groups]: running mean of the gradient.
@group(0) @binding(5) var<storage, read_write> first_moment: array<Packed>;
/// [first + groups]: running mean of the squared gradient.
@group(0) @binding(6) var<storage, read_write> second_moment: array<Packed>;
/// [copy_first + groups]: copy of the weight in low precision.
@if(copy_bf16 || copy_f16) @group(0) @binding(7) var<storage, read_write> low: array<Copy>;

/// Updates weight, moments and copy.
/// One invocation per RUN groups of four values: grid(div_ceil(groups, RUN * WORKGROUP)).
/// permutations: - wide; - copy_bf16 copy_f16
@compute @workgroup_size(WORKGROUP)
fn update(invocation: Invocation) {
    if (clip.finite == 0.0) {
        return;
    }
    let coefficient = clip.coefficient;
    let step = step_in;
    let first = workgroup_of(invocation) * WORKGROUP * RUN + invocation.local;
    for (var i = 0u; i < RUN; i++) {
        let group = first + i * WORKGROUP;
        if (group >= params.groups) {
            return;
        }
        let at = params.first + group;
        let g = widen(gradient[at]) * coefficient;
        let m = mix(widen(first_moment[at]), g, step.rate1);
        let v = widen(second_moment[at]) * step.beta2 + g * g * step.rate2;
        let before = widen(weight[at]);
        let decayed = before - before * (step.decay * params.decays);
        let w = decayed - step.step_size * m / (sqrt(v) * step.correction2 + step.eps);
        first_moment[at] = narrow(m);
        second_moment[at] = narrow(v);
        weight[at] = narrow(w);
        @if(copy_bf16 || copy_f16) {
            low[params.copy_first + group] = narrow_copy(w);
        }
    }
}
