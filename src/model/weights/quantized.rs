//! The quantized blocks of GGUF files.
//!
//! Layouts: `ggml-common.h` and `ggml-quants.c` of ggml. A block of 32 values (256 for the K kinds and `IQ4_XS`) shares
//! an f16 scale `d`, for some kinds an f16 offset `m`, and for the kinds of 256 values scales of sub-blocks.

use half::f16;
use wgr_shaders::UNEVEN;

/// The quantised number formats that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "the names everybody uses for them")]
pub enum GgmlType {
    /// 4 bits and a scale.
    Q4_0,
    /// 4 bits, a scale and an offset.
    Q4_1,
    /// 5 bits and a scale.
    Q5_0,
    /// 5 bits, a scale and an offset.
    Q5_1,
    /// 8 bits and a scale.
    Q8_0,
    /// 2 bits, scales and offsets of sub-blocks of 16.
    Q2_K,
    /// 3 bits and scales of sub-blocks of 16.
    Q3_K,
    /// 4 bits, scales and offsets of sub-blocks of 32.
    Q4_K,
    /// 5 bits, scales and offsets of sub-blocks of 32.
    Q5_K,
    /// 6 bits and scales of sub-blocks of 16.
    Q6_K,
    /// 4 bits that stand for unevenly spaced numbers, and a scale.
    IQ4_NL,
    /// As `IQ4_NL`, with scales of sub-blocks of 32.
    IQ4_XS,
    /// 4-bit floats and a power of two.
    MXFP4,
}

/// The values of the 4 bits of `MXFP4` (one sign, two exponent, one mantissa), doubled so that all are whole.
pub(super) const E2M1_DOUBLED: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

impl GgmlType {
    /// Values and bytes of a block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::Q4_0 | Self::IQ4_NL => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q2_K => (256, 84),
            Self::Q3_K => (256, 110),
            Self::Q4_K => (256, 144),
            Self::Q5_K => (256, 176),
            Self::Q6_K => (256, 210),
            Self::IQ4_XS => (256, 136),
            Self::MXFP4 => (32, 17),
        }
    }

    /// The values of whole blocks; bytes of a last incomplete block are left out.
    pub fn dequantize(self, bytes: &[u8]) -> Vec<f32> {
        let (values, size) = self.block();
        let blocks = bytes.chunks_exact(size);
        let mut out = vec![0.0; blocks.len() * values];
        for (block, out) in blocks.zip(out.chunks_exact_mut(values)) {
            match self {
                Self::Q4_0 => {
                    let d = half_at(block, 0);
                    nibbles(&block[2..], |i, q| out[i] = d * (q as f32 - 8.0));
                }
                Self::Q4_1 => {
                    let (d, m) = (half_at(block, 0), half_at(block, 2));
                    nibbles(&block[4..], |i, q| out[i] = d * q as f32 + m);
                }
                Self::Q5_0 => {
                    let (d, high) = (half_at(block, 0), &block[2..6]);
                    nibbles(&block[6..], |i, q| out[i] = d * ((q | fifth_bit(high, i)) as f32 - 16.0));
                }
                Self::Q5_1 => {
                    let (d, m, high) = (half_at(block, 0), half_at(block, 2), &block[4..8]);
                    nibbles(&block[8..], |i, q| out[i] = d * (q | fifth_bit(high, i)) as f32 + m);
                }
                Self::Q8_0 => {
                    let d = half_at(block, 0);
                    for (out, q) in out.iter_mut().zip(&block[2..]) {
                        *out = d * f32::from(*q as i8);
                    }
                }
                Self::Q2_K => q2_k_block(block, out),
                Self::Q3_K => q3_k_block(block, out),
                Self::Q4_K => k_block(block, &[0; 32], &block[16..], out),
                Self::Q5_K => k_block(block, &block[16..48], &block[48..], out),
                Self::Q6_K => q6_k_block(block, out),
                Self::IQ4_NL => {
                    let d = half_at(block, 0);
                    nibbles(&block[2..], |i, q| out[i] = d * f32::from(UNEVEN[usize::from(q)]));
                }
                Self::IQ4_XS => iq4_xs_block(block, out),
                Self::MXFP4 => {
                    let d = half_power(block[0]);
                    nibbles(&block[1..], |i, q| out[i] = d * f32::from(E2M1_DOUBLED[usize::from(q)]));
                }
            }
        }
        out
    }
}

pub(super) fn half_at(block: &[u8], offset: usize) -> f32 {
    f16::from_le_bytes([block[offset], block[offset + 1]]).to_f32()
}

/// The 32 four-bit numbers of 16 bytes: the low halves come first.
pub(super) fn nibbles(bytes: &[u8], mut each: impl FnMut(usize, u8)) {
    for (i, byte) in bytes.iter().enumerate().take(16) {
        each(i, byte & 15);
        each(i + 16, byte >> 4);
    }
}

pub(super) fn fifth_bit(high: &[u8], i: usize) -> u8 {
    (high[i / 8] >> (i % 8) & 1) << 4
}

/// Half of 2^(exponent − 127), the scale of a block of doubled numbers; the two smallest are subnormal.
pub(super) fn half_power(exponent: u8) -> f32 {
    f32::from_bits(if exponent < 2 { 0x20_0000 << exponent } else { (u32::from(exponent) - 1) << 23 })
}

/// `Q2_K`: 16 sub-blocks of 16, each with a 4-bit scale and a 4-bit offset in one byte.
fn q2_k_block(block: &[u8], out: &mut [f32]) {
    let (scales, low, d, dmin) = (&block[..16], &block[16..80], half_at(block, 80), half_at(block, 82));
    for (i, out) in out.iter_mut().enumerate() {
        let (scale, offset) = (d * f32::from(scales[i / 16] & 15), dmin * f32::from(scales[i / 16] >> 4));
        *out = scale * f32::from(two_bits(low, i)) - offset;
    }
}

/// `Q3_K`: 16 sub-blocks of 16 with 6-bit scales packed into 12 bytes; two low bits per value and, separately, the bit
/// that is clear where 4 is subtracted.
fn q3_k_block(block: &[u8], out: &mut [f32]) {
    let (third, low, packed, d) = (&block[..32], &block[32..96], &block[96..108], half_at(block, 108));
    for (i, out) in out.iter_mut().enumerate() {
        let scale = q3_k_scale(packed, i / 16);
        let lowered = if third[i % 32] >> (i / 32) & 1 == 0 { 4.0 } else { 0.0 };
        *out = d * (f32::from(scale) - 32.0) * (f32::from(two_bits(low, i)) - lowered);
    }
}

/// The scale of a sub-block plus 32: four bits, and two kept apart.
pub(super) fn q3_k_scale(packed: &[u8], j: usize) -> u8 {
    packed[j % 8] >> (j / 8 * 4) & 15 | (packed[8 + j % 4] >> (j / 4 * 2) & 3) << 4
}

/// The i-th of 256 two-bit numbers, of which a byte holds four that are 32 apart.
pub(super) fn two_bits(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3
}

/// `IQ4_XS`: eight sub-blocks of 32 with 6-bit scales, four low and two high bits kept apart.
fn iq4_xs_block(block: &[u8], out: &mut [f32]) {
    let (d, high, low) = (half_at(block, 0), u16::from_le_bytes([block[2], block[3]]), &block[4..8]);
    for (j, (out, bytes)) in out.chunks_exact_mut(32).zip(block[8..].chunks_exact(16)).enumerate() {
        let scale = d * (f32::from(iq4_xs_scale(high, low, j)) - 32.0);
        nibbles(bytes, |i, q| out[i] = scale * f32::from(UNEVEN[usize::from(q)]));
    }
}

/// The scale of a sub-block plus 32.
pub(super) fn iq4_xs_scale(high: u16, low: &[u8], j: usize) -> u8 {
    low[j / 2] >> (j % 2 * 4) & 15 | ((high >> (j * 2) & 3) as u8) << 4
}

/// `Q4_K` and `Q5_K`: eight sub-blocks of 32, each with a 6-bit scale and a 6-bit offset packed into 12 bytes.
fn k_block(block: &[u8], fifth_bits: &[u8], low: &[u8], out: &mut [f32]) {
    let (d, dmin, packed) = (half_at(block, 0), half_at(block, 2), &block[4..16]);
    for (j, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, offset) = k_scales(packed, j);
        let (scale, offset) = (d * f32::from(scale), dmin * f32::from(offset));
        for (l, out) in out.iter_mut().enumerate() {
            *out = scale * f32::from(k_code(fifth_bits, low, j * 32 + l)) - offset;
        }
    }
}

/// The scale and the offset of a sub-block, in 6 bits each.
pub(super) fn k_scales(packed: &[u8], j: usize) -> (u8, u8) {
    if j < 4 {
        return (packed[j] & 63, packed[j + 4] & 63);
    }
    let shared = packed[j + 4];
    (shared & 15 | packed[j - 4] >> 2 & 48, shared >> 4 | packed[j] >> 2 & 48)
}

/// The i-th of 256 numbers of four bits, and a fifth that is kept apart.
pub(super) fn k_code(fifth_bits: &[u8], low: &[u8], i: usize) -> u8 {
    let (j, l) = (i / 32, i % 32);
    low[j / 2 * 32 + l] >> (j % 2 * 4) & 15 | (fifth_bits[l] >> j & 1) << 4
}

/// `Q6_K`: 16 sub-blocks of 16 with 8-bit scales; four low bits and two high bits per value, kept apart.
fn q6_k_block(block: &[u8], out: &mut [f32]) {
    let (low, high, scales, d) = (&block[..128], &block[128..192], &block[192..208], half_at(block, 208));
    for (i, out) in out.iter_mut().enumerate() {
        *out = d * f32::from(scales[i / 16] as i8) * (f32::from(q6_k_code(low, high, i)) - 32.0);
    }
}

/// The i-th of 256 numbers of four bits, and two that are kept apart.
pub(super) fn q6_k_code(low: &[u8], high: &[u8], i: usize) -> u8 {
    let (half, quarter, l) = (i / 128, i / 32 % 4, i % 32);
    let low = low[half * 64 + quarter % 2 * 32 + l] >> (quarter / 2 * 4) & 15;
    low | (high[half * 32 + l] >> (quarter * 2) & 3) << 4
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::Value;

    use super::*;

    pub(in crate::model::weights) fn unhex(text: &Value) -> Vec<u8> {
        let text = text.as_str().unwrap();
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    pub(in crate::model::weights) fn golden() -> Value {
        serde_json::from_str(include_str!("../../../tests/golden/quantized.json")).unwrap()
    }

    #[test]
    fn every_kind_equals_the_gguf_package_bit_for_bit() {
        use GgmlType::*;
        let golden = golden();
        let kinds = [Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4];
        for kind in kinds {
            let case = &golden[format!("{kind:?}")];
            let found: Vec<_> = kind.dequantize(&unhex(&case["blocks"])).into_iter().map(f32::to_bits).collect();
            let expected: Vec<_> =
                unhex(&case["values"]).as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
            assert!(!expected.is_empty());
            assert_eq!(found, expected, "{kind:?}");
        }
        assert_eq!(golden.as_object().unwrap().len(), kinds.len() + 2, "every case is compared");
    }
}
