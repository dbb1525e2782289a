// Four consecutive bfloat16 values in two words. WGSL has no bf16: it is the upper half of an f32, so widening is a
// shift and exact; narrowing rounds to nearest even, and keeps NaN a NaN.
alias Packed = vec2<u32>;

fn widen(packed: Packed) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(packed.x << 16u, packed.x & 0xffff0000u, packed.y << 16u, packed.y & 0xffff0000u));
}

fn narrow(values: vec4<f32>) -> Packed {
    let bits = bitcast<vec4<u32>>(values);
    let rounded = (bits + 0x7fffu + ((bits >> vec4<u32>(16u)) & vec4<u32>(1u))) >> vec4<u32>(16u);
    let quiet = (bits >> vec4<u32>(16u)) | vec4<u32>(0x40u);
    let is_nan = (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
    let half = select(rounded, quiet, is_nan);
    return vec2<u32>(half.x | (half.y << 16u), half.z | (half.w << 16u));
}
