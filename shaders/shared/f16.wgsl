// Four consecutive IEEE half values. They are widened by a packing builtin that needs no feature, and narrowed by their
// bits, to nearest even: drivers round by the builtin as they like, and some make the largest finite value of what is
// infinite in f16, which would hide an overflow.
import package::shared::halves::{Packed as Words, joined, words};

alias Packed = Words;

fn widen(packed: Packed) -> vec4<f32> {
    let pairs = words(packed);
    return vec4<f32>(unpack2x16float(pairs.x), unpack2x16float(pairs.y));
}

fn narrow(values: vec4<f32>) -> Packed {
    let bits = bitcast<vec4<u32>>(values);
    let size = bits & vec4<u32>(0x7fffffffu);
    // 13 bits of the fraction go, and the exponent counts from 15 instead of 127.
    let last = (size >> vec4<u32>(13u)) & vec4<u32>(1u);
    let normal = ((size + vec4<u32>(0xfffu) + last) >> vec4<u32>(13u)) - vec4<u32>(0x1c000u);
    // Below 2^-14 values are multiples of 2^-24, as all are from 0.5 to 1 in f32: a sum rounds them. (The builtin rounds
    // ties away from zero on Mesa 22 with vectors of 512 bits.)
    let least = vec4<u32>(0x38800000u);
    let multiple = bitcast<vec4<u32>>(bitcast<vec4<f32>>(min(size, least)) + 0.5) - vec4<u32>(0x3f000000u);
    let infinite = select(vec4<u32>(0x7c00u), vec4<u32>(0x7e00u), size > vec4<u32>(0x7f800000u));
    let finite = select(normal, multiple, size < least);
    // From 65520 on.
    let rounded = select(finite, infinite, size >= vec4<u32>(0x477ff000u));
    let half = rounded | ((bits >> vec4<u32>(16u)) & vec4<u32>(0x8000u));
    return joined(half.x | (half.y << 16u), half.z | (half.w << 16u));
}
