// Four consecutive values kept as they are, in words of 32 or (`wide`) 64 bits.
@if(!wide) alias Packed = vec4<f32>;
@if(wide) alias Packed = vec2<u64>;

fn widen(packed: Packed) -> vec4<f32> {
    @if(!wide) return packed;
    @if(wide) {
        let low = vec2<u32>(packed);
        let high = vec2<u32>(packed >> vec2<u32>(32u));
        return bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y));
    }
}

fn narrow(values: vec4<f32>) -> Packed {
    @if(!wide) return values;
    @if(wide) {
        let bits = vec4<u64>(bitcast<vec4<u32>>(values));
        return vec2<u64>(bits.x | (bits.y << 32u), bits.z | (bits.w << 32u));
    }
}
