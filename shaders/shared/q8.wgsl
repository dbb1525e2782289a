// Four consecutive values in the signed bytes of a word. A row is its words, then the f32 scale of each block of eight
// words, then a word to make the number even, so that 32 rows begin at a multiple of 256 bytes.
alias Packed = u32;

const BLOCK4: u32 = 8u;

/// Words of a row of `columns4` groups of four values.
fn stride(columns4: u32) -> u32 {
    return (columns4 + (columns4 + BLOCK4 - 1u) / BLOCK4 + 1u) / 2u * 2u;
}

/// Where the scale of a group lies in its row.
fn scale_place(columns4: u32, column4: u32) -> u32 {
    return columns4 + column4 / BLOCK4;
}

fn widen(packed: Packed, scale: u32) -> vec4<f32> {
    // Shifts up and, with the sign, down again.
    let shifted = vec4<u32>(packed << 24u, packed << 16u, packed << 8u, packed);
    return bitcast<f32>(scale) * vec4<f32>(bitcast<vec4<i32>>(shifted) >> vec4<u32>(24u));
}
