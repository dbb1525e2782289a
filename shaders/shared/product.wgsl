// Operands and epilogue shared by every tiling of the matrix product. All sizes and strides count groups of four
// columns; `m` and `k` count rows or values.
//
//   nt   C[m, n] = A[m, k]  * B[n, k]^T
//   nn   C[m, n] = A[m, k]  * B[k, n]
//   tn   C[m, n] = A[k, m]^T * B[k, n]      (k is a number of tokens and need not be a multiple of four)

@if(a_f32) import package::shared::f32::{Packed as A, widen as widen_a};
@if(a_bf16) import package::shared::bf16::{Packed as A, widen as widen_a};
@if(a_f16) import package::shared::f16::{Packed as A, widen as widen_a};
@if(b_f32) import package::shared::f32::{Packed as B, widen as widen_b};
@if(b_bf16) import package::shared::bf16::{Packed as B, widen as widen_b};
@if(b_f16) import package::shared::f16::{Packed as B, widen as widen_b};
@if(b_quantized) import package::shared::quantized::{
    Block, CODES, EIGHT, Packed as B, SCALE4, SIX, four, high_place, low_place, scale_of, scale_places, stride,
};
@if(c_f32) import package::shared::f32::{Packed as C, widen as widen_c, narrow as narrow_c};
@if(c_bf16) import package::shared::bf16::{Packed as C, widen as widen_c, narrow as narrow_c};
@if(c_f16) import package::shared::f16::{Packed as C, widen as widen_c, narrow as narrow_c};

/// requires: 0 < m
/// requires: 0 < n4
/// requires: c_offset4 + n4 <= c_stride4
/// @if(!tn) requires: k % 4 == 0
/// @if(!tn) requires: a_offset4 + k / 4 <= a_stride4
/// @if(!nn && !tn) requires: k / 4 <= b_stride4
/// @if(nn || tn) requires: n4 <= b_stride4
/// @if(tn) requires: m % 4 == 0
/// @if(tn) requires: a_offset4 + m / 4 <= a_stride4
struct Params {
    /// Rows of C.
    m: u32,
    /// Columns of C that this dispatch computes, in groups of four.
    n4: u32,
    /// Values that each value of C sums over.
    k: u32,
    /// Row stride of A.
    a_stride4: u32,
    /// First column group of A: where the rows of a shard of B, or of C in tn, start.
    a_offset4: u32,
    /// Row stride of B.
    b_stride4: u32,
    /// Row stride of C.
    c_stride4: u32,
    /// First column group of C: where the rows of a shard of B end up.
    c_offset4: u32,
    /// 1: add to C, 0: overwrite it.
    accumulate: u32,
    /// Factor of the product, not of what it is added to.
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// @if(!tn) [m, a_stride4]: left operand.
/// @if(tn) [k, a_stride4]: left operand, one row per token.
@group(0) @binding(1) var<storage, read> a: array<A>;
/// @if(b_quantized && wide && nn) [k, stride(b_stride4) / 2]: right operand.
/// @if(b_quantized && wide) [4 * n4, stride(b_stride4) / 2]: right operand, one row per column of C.
/// @if(!nn && !tn) [4 * n4, stride(b_stride4)]: right operand, one row per column of C.
/// @if(nn || tn) [k, stride(b_stride4)]: right operand.
@group(0) @binding(2) var<storage, read> b: array<B>;
/// [m, c_stride4]: the result.
@group(0) @binding(3) var<storage, read_write> c: array<C>;
/// [c_offset4 + n4]: added to every row of the result.
@if(bias) @group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
/// [m, c_stride4]: added to the result.
@if(residual && !bias) @group(0) @binding(4) var<storage, read> residual: array<vec4<f32>>;
/// [m, c_stride4]: added to the result.
@if(residual && bias) @group(0) @binding(5) var<storage, read> residual: array<vec4<f32>>;

fn load_a(row: u32, column4: u32) -> vec4<f32> {
    return widen_a(a[row * params.a_stride4 + params.a_offset4 + column4]);
}

/// Four rows of C in A, at a token; zeros past the last one.
@if(tn) fn token_of_a(token: u32, row4: u32) -> vec4<f32> {
    return select(vec4<f32>(0.0), load_a(min(token, params.k - 1u), row4), token < params.k);
}

fn load_b(row: u32, column4: u32) -> vec4<f32> {
    @if(b_quantized) {
        return load_scaled_b(row, column4, scale_b(row, column4));
    }
    @if(!b_quantized) {
        return widen_b(b[row * params.b_stride4 + column4]);
    }
}

/// Four columns of C in B, over four values of k, for `weighed`. In tn, copies of the last token follow it.
@if(!b_quantized || nn) fn fragment_b(column4: u32, group: u32) -> mat4x4<f32> {
    @if(!nn && !tn) return transpose(mat4x4<f32>(
        load_b(column4 * 4u, group),
        load_b(column4 * 4u + 1u, group),
        load_b(column4 * 4u + 2u, group),
        load_b(column4 * 4u + 3u, group),
    ));
    @if(nn || tn) let first = group * 4u;
    @if(nn) return mat4x4<f32>(
        load_b(first, column4),
        load_b(first + 1u, column4),
        load_b(first + 2u, column4),
        load_b(first + 3u, column4),
    );
    @if(tn) let last = params.k - 1u;
    @if(tn) return mat4x4<f32>(
        load_b(min(first, last), column4),
        load_b(min(first + 1u, last), column4),
        load_b(min(first + 2u, last), column4),
        load_b(min(first + 3u, last), column4),
    );
}

/// What the codes of a group of four columns, and of its neighbours, are multiplied by, and what is added.
@if(b_quantized) fn scale_b(row: u32, column4: u32) -> vec2<f32> {
    let places = row * stride(params.b_stride4) + scale_places(params.b_stride4, column4);
    return scale_of(word_b(places.x), word_b(places.y), column4);
}

/// Whether a group of four columns has another scale than the one before it.
@if(b_quantized) fn starts_scale(column4: u32) -> bool {
    return column4 % SCALE4 == 0u;
}

/// `load_b` where the scale is known.
@if(b_quantized) fn load_scaled_b(row: u32, column4: u32, scale: vec2<f32>) -> vec4<f32> {
    let first = row * stride(params.b_stride4);
    let high = word_b(first + high_place(params.b_stride4, column4));
    return four(word_b(first + low_place(column4)), high, column4, scale);
}

/// The codes of the eight groups that begin at a multiple of eight; they may end past the columns.
@if(b_quantized) fn load_block_b(row: u32, column4: u32) -> Block {
    let first = row * stride(params.b_stride4);
    let low = first + low_place(column4);
    let high = first + high_place(params.b_stride4, column4);
    var block = Block(four_words_b(low), vec4<u32>(0u), vec2<u32>(word_b(high)));
    // Branches on constants: a load that is not needed must not be there.
    if (CODES == EIGHT) {
        block.second = four_words_b(low + 4u);
    }
    if (CODES == SIX) {
        block.high.y = word_b(high + 1u);
    }
    return block;
}

@if(b_quantized) fn word_b(at: u32) -> u32 {
    @if(!wide) return b[at];
    @if(wide) return u32(b[at / 2u] >> (at % 2u * 32u));
}

/// Four words from an even place on.
@if(b_quantized) fn four_words_b(at: u32) -> vec4<u32> {
    @if(!wide) return vec4<u32>(b[at], b[at + 1u], b[at + 2u], b[at + 3u]);
    @if(wide) {
        let pair = vec2<u64>(b[at / 2u], b[at / 2u + 1u]);
        let low = vec2<u32>(pair);
        let high = vec2<u32>(pair >> vec2<u32>(32u));
        return vec4<u32>(low.x, high.x, low.y, high.y);
    }
}

/// Scales the product, adds bias, residual and previous values, and stores four columns of a row; nothing outside C.
fn store_c(row: u32, column4: u32, product: vec4<f32>) {
    if (row >= params.m || column4 >= params.n4) {
        return;
    }
    let at = row * params.c_stride4 + params.c_offset4 + column4;
    var value = params.scale * product;
    @if(bias) {
        value += bias[params.c_offset4 + column4];
    }
    @if(residual) {
        value += residual[at];
    }
    if (params.accumulate == 1u) {
        value += widen_c(c[at]);
    }
    c[at] = narrow_c(value);
}
