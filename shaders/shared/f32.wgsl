// Four consecutive values kept as they are.
alias Packed = vec4<f32>;

fn widen(packed: Packed) -> vec4<f32> {
    return packed;
}

fn narrow(values: vec4<f32>) -> Packed {
    return values;
}
