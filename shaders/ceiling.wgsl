// What an adapter can do at most, for `wgr bench` to compare kernels with: multiply-adds in registers, and groups of values
// copied or read. Models use none of this.

import package::shared::f32::{Packed, widen};
import package::shared::grid::{Invocation, WORKGROUP, linear, workgroup_of};

@if(f16) enable f16;

struct Params {
    /// Workgroups; what the grid has in excess does nothing.
    workgroups: u32,
    /// Passes of multiply_add through its loop.
    passes: u32,
    /// What every value is multiplied with.
    factor: f32,
    /// What is then added.
    term: f32,
    /// Whether neighbouring invocations access neighbouring groups, as GPUs like it, instead of each a range of its own,
    /// which is faster where the lanes of a vector unit fetch one after the other.
    interleaved: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

@if(!f16) alias Value = f32;
@if(f16) alias Value = f16;

/// Twelve independent values: with fewer, a multiply-add waits for the one before; more do not fit into the sixteen
/// registers of a CPU's vector unit, beside factor and term.
struct Chains {
    a: vec4<Value>,
    b: vec4<Value>,
    c: vec4<Value>,
}

fn multiplied_added(x: vec4<Value>) -> vec4<Value> {
    let factor = vec4<Value>(Value(params.factor));
    let term = vec4<Value>(Value(params.term));
    @if(!fma) return x * factor + term;
    @if(fma) return fma(x, factor, term);
}

fn next(x: Chains) -> Chains {
    return Chains(multiplied_added(x.a), multiplied_added(x.b), multiplied_added(x.c));
}

/// [workgroups, WORKGROUP]: the sum of each invocation's chains.
@group(0) @binding(1) var<storage, read_write> sums: array<vec4<f32>>;

/// Eight multiply-adds a pass for each chain, which begin at the place in the workgroup / 64, plus 0, 1 and 2.
/// One invocation per sum: grid(workgroups).
/// permutations: - fma; - f16
@compute @workgroup_size(WORKGROUP)
fn multiply_add(invocation: Invocation) {
    if (workgroup_of(invocation) >= params.workgroups) {
        return;
    }
    let first = vec4<Value>(Value(invocation.local) * 0.015625);
    var x = Chains(first, first + 1.0, first + 2.0);
    for (var i = 0u; i < params.passes; i++) {
        x = next(x);
        x = next(x);
        x = next(x);
        x = next(x);
        x = next(x);
        x = next(x);
        x = next(x);
        x = next(x);
    }
    sums[linear(invocation)] = vec4<f32>(x.a) + vec4<f32>(x.b) + vec4<f32>(x.c);
}

/// Groups of four values that an invocation copies or reads.
const CHUNK: u32 = 32u;

/// Where the groups of an invocation begin, and how far they are apart.
fn range(invocation: Invocation) -> vec2<u32> {
    let chunk = workgroup_of(invocation) * WORKGROUP * CHUNK;
    if (params.interleaved != 0u) {
        return vec2<u32>(chunk + invocation.local, WORKGROUP);
    }
    return vec2<u32>(chunk + invocation.local * CHUNK, 1u);
}

/// [workgroups, WORKGROUP, CHUNK]: what is copied or read.
@group(0) @binding(1) var<storage, read> x: array<Packed>;
/// [workgroups, WORKGROUP, CHUNK]: the copy.
@group(0) @binding(2) var<storage, read_write> y: array<Packed>;

/// y = x.
/// One invocation per CHUNK groups of four values: grid(workgroups).
/// permutations: - wide
@compute @workgroup_size(WORKGROUP)
fn copy(invocation: Invocation) {
    if (workgroup_of(invocation) >= params.workgroups) {
        return;
    }
    let place = range(invocation);
    for (var i = 0u; i < CHUNK; i++) {
        y[place.x + i * place.y] = x[place.x + i * place.y];
    }
}

/// [workgroups, WORKGROUP]: the sum of each invocation's groups.
@group(0) @binding(2) var<storage, read_write> totals: array<vec4<f32>>;

/// One invocation per CHUNK groups of four values: grid(workgroups).
/// permutations: - wide
@compute @workgroup_size(WORKGROUP)
fn total(invocation: Invocation) {
    if (workgroup_of(invocation) >= params.workgroups) {
        return;
    }
    let place = range(invocation);
    var sum = vec4<f32>(0.0);
    for (var i = 0u; i < CHUNK; i++) {
        sum += widen(x[place.x + i * place.y]);
    }
    totals[linear(invocation)] = sum;
}
