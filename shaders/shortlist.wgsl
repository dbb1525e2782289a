// What sampling needs of the logits of each row, so that a few words return to the host instead of a vocabulary: the most
// likely tokens, the largest logit, the sums of the softmax as it is and at a temperature, and one token drawn at the
// temperature from all of them.
//
// A workgroup works on a row, and each lane on every LANES-th column. As many lanes as CERTAIN have a largest logit that
// reaches the CERTAIN-th largest of these; all logits that reach it are listed, so that none outside the list is larger
// than one within. Of random logits that is about 74, whatever the vocabulary.

import package::shared::grid::{Invocation, workgroup_of};

/// requires: 0 < rows
/// requires: columns <= stride
struct Params {
    /// Rows of logits.
    rows: u32,
    /// Tokens of the vocabulary.
    columns: u32,
    /// Row stride of the logits.
    stride: u32,
}

/// Lanes that work on one row.
const LANES: u32 = 256u;
/// Tokens that are listed at least, where the vocabulary has them.
const CERTAIN: u32 = 64u;
/// Tokens that a list has room for.
const ROOM: u32 = 124u;
/// Pairs of values before the list.
const HEAD: u32 = 4u;
/// Below any logit.
const LOWEST: f32 = -3.4028234e38;

@group(0) @binding(0) var<uniform> params: Params;

/// [max(rows, 1), stride]: the logits.
@group(0) @binding(1) var<storage, read> logits: array<f32>;
/// [rows]: one over the temperature, the share of the probability up to the token to draw, and the repetition penalty.
@group(0) @binding(2) var<storage, read> draws: array<vec4<f32>>;
// Of each row: the number of tokens that belong on the list, and one more than the first token whose logit is not finite, or
// 0; the largest logit; the sum of exp(logit - largest) as they are and at the temperature; the token drawn and its logit;
// and the list of tokens with their logits, in no particular order. Integers are exact up to 2^24.
/// [rows, HEAD + ROOM]: what was found, in pairs.
@group(0) @binding(3) var<storage, read_write> found: array<vec2<f32>>;

var<workgroup> lane_largest: array<f32, LANES>;
var<workgroup> lane_plain: array<f32, LANES>;
var<workgroup> lane_scaled: array<f32, LANES>;
var<workgroup> bound: f32;
var<workgroup> top: f32;
var<workgroup> not_finite: atomic<u32>;
var<workgroup> listed: atomic<u32>;
/// The lane that has the token drawn, and the probability that is left up to it there.
var<workgroup> owner: u32;
var<workgroup> share_left: f32;

fn logit(row: u32, column: u32) -> f32 {
    return logits[row * params.stride + column];
}

/// Fills one row of `found`.
/// One workgroup per row: grid(rows).
@compute @workgroup_size(LANES)
fn forward(invocation: Invocation) {
    let local = invocation.local;
    let row = workgroup_of(invocation);
    let writes = row < params.rows;
    // Workgroups past the last row follow the first one to every barrier and write nothing.
    let source = select(0u, row, writes);
    let base = source * (HEAD + ROOM);
    if (local == 0u) {
        atomicStore(&not_finite, 0xffffffffu);
        atomicStore(&listed, 0u);
    }
    workgroupBarrier();

    var mine = LOWEST;
    for (var column = local; column < params.columns; column += LANES) {
        let z = logit(source, column);
        // By the bits: compilers may assume that floats are finite.
        if ((bitcast<u32>(z) & 0x7f800000u) == 0x7f800000u) {
            atomicMin(&not_finite, column);
        }
        mine = max(mine, z);
    }
    lane_largest[local] = mine;
    workgroupBarrier();
    var before = 0u;
    for (var lane = 0u; lane < LANES; lane++) {
        let other = lane_largest[lane];
        if (other > mine || (other == mine && lane < local)) {
            before++;
        }
    }
    if (before == 0u) {
        top = mine;
    }
    if (before == CERTAIN - 1u) {
        bound = mine;
    }
    workgroupBarrier();

    let scale = draws[source].x;
    var plain = 0.0;
    var scaled = 0.0;
    for (var column = local; column < params.columns; column += LANES) {
        let z = logit(source, column);
        plain += exp(z - top);
        scaled += exp(scale * (z - top));
        if (z >= bound) {
            let place = atomicAdd(&listed, 1u);
            if (place < ROOM && writes) {
                found[base + HEAD + place] = vec2<f32>(f32(column), z);
            }
        }
    }
    lane_plain[local] = plain;
    lane_scaled[local] = scaled;
    workgroupBarrier();

    if (local == 0u) {
        var sums = vec2<f32>(0.0);
        for (var lane = 0u; lane < LANES; lane++) {
            sums += vec2<f32>(lane_plain[lane], lane_scaled[lane]);
        }
        // Rounding may leave a little of the last lane.
        var left = draws[source].y * sums.y;
        owner = 0u;
        for (var lane = 0u; lane < LANES; lane++) {
            if (lane_scaled[lane] > 0.0) {
                owner = lane;
                share_left = left;
                if (left < lane_scaled[lane]) {
                    break;
                }
                left -= lane_scaled[lane];
            }
        }
        if (writes) {
            let bad = atomicLoad(&not_finite);
            found[base] = vec2<f32>(f32(atomicLoad(&listed)), select(f32(bad + 1u), 0.0, bad == 0xffffffffu));
            found[base + 1u] = vec2<f32>(top, 0.0);
            found[base + 2u] = sums;
        }
    }
    workgroupBarrier();
    if (local == owner && writes) {
        var left = share_left;
        var drawn = local;
        for (var column = local; column < params.columns; column += LANES) {
            let weight = exp(scale * (logit(source, column) - top));
            if (weight > 0.0) {
                drawn = column;
                if (left < weight) {
                    break;
                }
                left -= weight;
            }
        }
        found[base + 3u] = vec2<f32>(f32(drawn), logit(source, drawn));
    }
}

/// [max(rows, 1) + 1]: where the tokens of each row start, and where those of the last one end.
@group(0) @binding(1) var<storage, read> offsets: array<u32>;
/// [1]: the tokens that each row has had, each once; as many as are bound.
@group(0) @binding(2) var<storage, read> seen: array<u32>;
/// [rows]: as above.
@group(0) @binding(3) var<storage, read> penalties: array<vec4<f32>>;
/// [rows, stride]: the logits, which are penalised in place.
@group(0) @binding(4) var<storage, read_write> penalised: array<f32>;

/// Divides the logits of tokens that were there before by the penalty if they are positive, and multiplies them if they are
/// negative (Keskar et al. 2019, arXiv 1909.05858; the sign as `transformers` has it).
/// One workgroup per row: grid(rows).
@compute @workgroup_size(LANES)
fn penalise(invocation: Invocation) {
    let row = workgroup_of(invocation);
    if (row >= params.rows) {
        return;
    }
    let penalty = penalties[row].z;
    let end = min(offsets[row + 1u], arrayLength(&seen));
    for (var i = offsets[row] + invocation.local; i < end; i += LANES) {
        let column = seen[i];
        if (column < params.columns) {
            let z = penalised[row * params.stride + column];
            penalised[row * params.stride + column] = select(z / penalty, z * penalty, z < 0.0);
        }
    }
}
