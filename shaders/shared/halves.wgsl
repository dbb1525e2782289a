// Four consecutive values of 16 bits: two words of 32 bits or (`wide`) one of 64.
@if(!wide) alias Packed = vec2<u32>;
@if(wide) alias Packed = u64;

fn words(packed: Packed) -> vec2<u32> {
    @if(!wide) return packed;
    @if(wide) return vec2<u32>(u32(packed), u32(packed >> 32u));
}

fn joined(low: u32, high: u32) -> Packed {
    @if(!wide) return vec2<u32>(low, high);
    @if(wide) return u64(low) | (u64(high) << 32u);
}
