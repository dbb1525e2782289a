// Four consecutive IEEE half values in two words, through the packing builtins that need no feature.
alias Packed = vec2<u32>;

fn widen(packed: Packed) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(packed.x), unpack2x16float(packed.y));
}

fn narrow(values: vec4<f32>) -> Packed {
    return vec2<u32>(pack2x16float(values.xy), pack2x16float(values.zw));
}
