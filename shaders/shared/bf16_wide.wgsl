// Four consecutive bfloat16 values in a word of 64 bits, for adapters that load a word at a time whatever its size.
import package::shared::bf16::widen as widen_halves;

alias Packed = u64;

fn widen(packed: Packed) -> vec4<f32> {
    return widen_halves(vec2<u32>(u32(packed), u32(packed >> 32u)));
}
