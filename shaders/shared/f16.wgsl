// Four consecutive IEEE half values, through the packing builtins that need no feature.
import package::shared::halves::{Packed as Words, joined, words};

alias Packed = Words;

fn widen(packed: Packed) -> vec4<f32> {
    let pairs = words(packed);
    return vec4<f32>(unpack2x16float(pairs.x), unpack2x16float(pairs.y));
}

fn narrow(values: vec4<f32>) -> Packed {
    return joined(pack2x16float(values.xy), pack2x16float(values.zw));
}
