// AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) on f32 master weights, one lane a group of four values, in
// PyTorch's order: decay, moments, step. The copy that the model computes with is rounded in the same pass.

import package::shared::grid::linear;
import package::shared::step::{Clip, Step};
@if(copy_bf16) import package::shared::bf16::{Packed, narrow};
@if(copy_f16) import package::shared::f16::{Packed, narrow};

struct Params {
    groups: u32,
    /// First group of the master weights and of their copy, whose shards are cut elsewhere.
    first: u32,
    copy_first: u32,
    /// 1 where the weight decays, 0 where it does not.
    decays: f32,
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step_in: Step;
@group(0) @binding(2) var<storage, read> clip: Clip;
@group(0) @binding(3) var<storage, read> gradient: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> first_moment: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> second_moment: array<vec4<f32>>;
@if(copy_bf16 || copy_f16) @group(0) @binding(7) var<storage, read_write> low: array<Packed>;

@compute @workgroup_size(WORKGROUP)
fn update(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = linear(workgroup, workgroups) * WORKGROUP + local;
    if (group >= params.groups || clip.finite == 0.0) {
        return;
    }
    let at = params.first + group;
    let g = gradient[at] * clip.coefficient;
    let m = mix(first_moment[at], g, step_in.rate1);
    let v = second_moment[at] * step_in.beta2 + g * g * step_in.rate2;
    let before = weight[at];
    let decayed = before - before * (step_in.decay * params.decays);
    let w = decayed - step_in.step_size * m / (sqrt(v) * step_in.correction2 + step_in.eps);
    first_moment[at] = m;
    second_moment[at] = v;
    weight[at] = w;
    @if(copy_bf16 || copy_f16) {
        low[params.copy_first + group] = narrow(w);
    }
}
