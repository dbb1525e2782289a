// Weights of 4 to 8 bits. Which storage it is, two constants say; `src/quantized.rs` describes rows and numbers them. A
// scale belongs to 16 or 32 values of a row, so it is loaded apart from their codes. Rows are whole words of 64 bits
// (`wide`), and places in them count words of 32.
@if(!wide) alias Packed = u32;
@if(wide) alias Packed = u64;

/// `Codes` of the rows.
override CODES: u32 = 8u;
/// `Scales` of the rows.
override SCALES: u32 = 0u;

const UNEVEN: u32 = 0u;
const FIVE: u32 = 5u;
const SIX: u32 = 6u;
const EIGHT: u32 = 8u;
const SINGLE: u32 = 0u;
const HALF: u32 = 1u;
const HALF_PAIR: u32 = 2u;
const BYTES: u32 = 3u;
const SIGNED_BYTES: u32 = 4u;

/// Groups of four values that share a scale.
override SCALE4: u32 = select(8u, 4u, SCALES >= SIGNED_BYTES);
/// Words of 32 codes: low bits, and those above them.
override LOW: u32 = select(4u, 8u, CODES == EIGHT);
override HIGH: u32 = select(select(0u, 2u, CODES == SIX), 1u, CODES == FIVE);
/// The code that stands for 0 where no offset is stored.
override CENTRE: f32 = select(select(select(8.0, 16.0, CODES == FIVE), 32.0, CODES == SIX), 0.0, CODES == EIGHT || CODES == UNEVEN);

/// Words of a row of `columns4` groups of four values.
fn stride(columns4: u32) -> u32 {
    var words = blocks(columns4, 8u) * (LOW + HIGH);
    if (SCALES >= BYTES) {
        words += 5u * blocks(columns4, 64u);
    } else {
        words += (blocks(columns4, 8u) * select(2u, 1u, SCALES == HALF) + 1u) / 2u;
    }
    return (words + 1u) / 2u * 2u;
}

fn blocks(columns4: u32, size4: u32) -> u32 {
    return (columns4 + size4 - 1u) / size4;
}

/// Where the low bits of a group of four values are in its row.
fn low_place(column4: u32) -> u32 {
    return select(column4 / 2u, column4, CODES == EIGHT);
}

/// Where the bits above them are; any place where there are none.
fn high_place(columns4: u32, column4: u32) -> u32 {
    return blocks(columns4, 8u) * LOW + column4 * HIGH / 8u;
}

/// Where the words of a scale are in its row.
fn scale_places(columns4: u32, column4: u32) -> vec2<u32> {
    let first = blocks(columns4, 8u) * (LOW + HIGH);
    if (SCALES >= BYTES) {
        // The two halves of 256 values, then four words of bytes.
        let at = first + column4 / 64u * 5u;
        return vec2<u32>(at, at + 1u + column4 % 64u / 16u);
    }
    return vec2<u32>(first + select(column4 / 8u, column4 / 16u, SCALES == HALF));
}

/// What the numbers of a group of four values are multiplied by, and what is added: products of an f16 and small integers,
/// which f32 holds without rounding.
fn scale_of(halves: u32, bytes: u32, column4: u32) -> vec2<f32> {
    if (SCALES == SINGLE) {
        return vec2<f32>(bitcast<f32>(halves), 0.0);
    }
    if (SCALES == HALF_PAIR) {
        return vec2<f32>(half(halves), half(halves >> 16u));
    }
    if (SCALES == HALF) {
        let scale = half(halves >> (column4 / 8u % 2u * 16u));
        return vec2<f32>(scale, -CENTRE * scale);
    }
    if (SCALES == SIGNED_BYTES) {
        let byte = bitcast<i32>(bytes << (24u - column4 / 4u % 4u * 8u)) >> 24u;
        let scale = half(halves) * f32(byte);
        return vec2<f32>(scale, -CENTRE * scale);
    }
    var pair = vec2<u32>();
    if (SCALES == BYTES) {
        pair = (vec2<u32>(bytes >> (column4 / 8u % 2u * 16u)) >> vec2<u32>(0u, 8u)) & vec2<u32>(255u);
    } else {
        pair = (vec2<u32>(bytes >> (column4 / 4u % 4u * 8u)) >> vec2<u32>(0u, 4u)) & vec2<u32>(15u);
    }
    return vec2<f32>(half(halves), -half(halves >> 16u)) * vec2<f32>(pair);
}

/// The f16 in the lower half of a word, which is finite. Not by `unpack2x16float`, which may make 0 of subnormal numbers:
/// the scales of small weights are such. (The factor is 2^-24; WESL 0.4 misreads hexadecimal exponents.)
fn half(word: u32) -> f32 {
    let exponent = (word >> 10u) & 31u;
    let fraction = word & 1023u;
    let normal = bitcast<f32>(((exponent + 112u) << 23u) | (fraction << 13u));
    let magnitude = select(normal, f32(fraction) * 5.9604644775390625e-8, exponent == 0u);
    return select(magnitude, -magnitude, (word & 0x8000u) != 0u);
}

/// A group of four values.
fn four(low: u32, high: u32, column4: u32, scale: vec2<f32>) -> vec4<f32> {
    if (CODES == EIGHT) {
        // Shifts up and, with the sign, down again.
        let shifted = vec4<u32>(low << 24u, low << 16u, low << 8u, low);
        return scaled(bitcast<vec4<i32>>(shifted) >> vec4<u32>(24u), scale);
    }
    var codes = (vec4<u32>(low >> (column4 % 2u * 16u)) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
    if (CODES == FIVE) {
        codes |= ((vec4<u32>(high >> (column4 % 8u * 4u)) >> vec4<u32>(0u, 1u, 2u, 3u)) & vec4<u32>(1u)) << vec4<u32>(4u);
    }
    if (CODES == SIX) {
        codes |= ((vec4<u32>(high >> (column4 % 4u * 8u)) >> vec4<u32>(0u, 2u, 4u, 6u)) & vec4<u32>(3u)) << vec4<u32>(4u);
    }
    if (CODES == UNEVEN) {
        return scaled(uneven(codes), scale);
    }
    return scaled(bitcast<vec4<i32>>(codes), scale);
}

fn scaled(numbers: vec4<i32>, scale: vec2<f32>) -> vec4<f32> {
    return fma(vec4<f32>(numbers), vec4<f32>(scale.x), vec4<f32>(scale.y));
}

/// The numbers -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113, as bytes of four words.
fn uneven(codes: vec4<u32>) -> vec4<i32> {
    let is_odd = (codes & vec4<u32>(4u)) != vec4<u32>(0u);
    let negative = select(vec4<u32>(0xbfad9881u), vec4<u32>(0xf6eaddcfu), is_odd);
    let positive = select(vec4<u32>(0x26190d01u), vec4<u32>(0x71594535u), is_odd);
    let words = select(negative, positive, codes >= vec4<u32>(8u));
    return bitcast<vec4<i32>>(words << (vec4<u32>(24u) - (codes & vec4<u32>(3u)) * 8u)) >> vec4<u32>(24u);
}

/// The codes of 32 values, eight groups of four: the words of their low bits, of which 4-bit codes fill the first four, and
/// those of the bits above.
struct Block {
    first: vec4<u32>,
    second: vec4<u32>,
    high: vec2<u32>,
}

/// The values of one of the eight groups.
fn one_of(block: Block, i: u32, scale: vec2<f32>) -> vec4<f32> {
    let word = low_place(i);
    let low = select(block.first, block.second, word >= 4u)[word % 4u];
    return four(low, select(block.high.x, block.high.y, CODES == SIX && i >= 4u), i, scale);
}
