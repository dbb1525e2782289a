// Four consecutive bfloat16 values. WGSL has no bf16: it is the upper half of an f32, so widening is a shift and exact;
// narrowing rounds to nearest even, and keeps NaN a NaN.
import package::shared::halves::{Packed as Words, joined, words};

alias Packed = Words;

fn widen(packed: Packed) -> vec4<f32> {
    let pairs = words(packed);
    return bitcast<vec4<f32>>(vec4<u32>(pairs.x << 16u, pairs.x & 0xffff0000u, pairs.y << 16u, pairs.y & 0xffff0000u));
}

fn narrow(values: vec4<f32>) -> Packed {
    let bits = bitcast<vec4<u32>>(values);
    let rounded = (bits + 0x7fffu + ((bits >> vec4<u32>(16u)) & vec4<u32>(1u))) >> vec4<u32>(16u);
    let quiet = (bits >> vec4<u32>(16u)) | vec4<u32>(0x40u);
    let is_nan = (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
    let half = select(rounded, quiet, is_nan);
    return joined(half.x | (half.y << 16u), half.z | (half.w << 16u));
}
