//! Codes and scales as the bytes of GGUF blocks, each function the reverse of a reader in `quantized.rs`. Bits are added, so
//! blocks must be zero.

/// 32 codes of four bits, low halves first; what they have above these bits is left out, here and below.
pub(super) fn nibbles(bytes: &mut [u8], codes: &[u8]) {
    for (i, byte) in bytes.iter_mut().enumerate().take(16) {
        *byte = codes[i] & 15 | codes[i + 16] << 4;
    }
}

/// The fifth bits of 32 codes.
pub(super) fn fifth_bits(high: &mut [u8], codes: &[u8]) {
    codes.iter().enumerate().for_each(|(i, code)| high[i / 8] |= (code >> 4 & 1) << (i % 8));
}

/// The two low bits of 256 codes.
pub(super) fn two_bits(bytes: &mut [u8], codes: &[u8]) {
    codes.iter().enumerate().for_each(|(i, code)| bytes[i / 128 * 32 + i % 32] |= (code & 3) << (i / 32 % 4 * 2));
}

/// The scales and offsets of eight sub-blocks, in 6 bits each.
pub(super) fn k_scales(packed: &mut [u8], pairs: &[(u8, u8)]) {
    for j in 0..4 {
        let ((scale, offset), (later_scale, later_offset)) = (pairs[j], pairs[j + 4]);
        packed[j] = scale | later_scale >> 4 << 6;
        packed[j + 4] = offset | later_offset >> 4 << 6;
        packed[j + 8] = later_scale & 15 | later_offset << 4;
    }
}

/// The four low bits of 256 codes.
pub(super) fn k_nibbles(bytes: &mut [u8], codes: &[u8]) {
    codes.iter().enumerate().for_each(|(i, code)| bytes[i / 64 * 32 + i % 32] |= (code & 15) << (i / 32 % 2 * 4));
}

/// The fifth bits of 256 codes.
pub(super) fn k_fifth_bits(high: &mut [u8], codes: &[u8]) {
    codes.iter().enumerate().for_each(|(i, code)| high[i % 32] |= (code >> 4 & 1) << (i / 32));
}

/// Sixteen scales from -32 to 31, in 6 bits each.
pub(super) fn q3_k_scales(packed: &mut [u8], scales: &[i8]) {
    for (j, scale) in scales.iter().enumerate() {
        let scale = (scale + 32).cast_unsigned();
        packed[j % 8] |= (scale & 15) << (j / 8 * 4);
        packed[8 + j % 4] |= scale >> 4 << (j / 4 * 2);
    }
}

/// 256 codes of three bits.
pub(super) fn q3_k_codes(block: &mut [u8], codes: &[u8]) {
    codes.iter().enumerate().for_each(|(i, code)| block[i % 32] |= (code >> 2) << (i / 32));
    two_bits(&mut block[32..96], codes);
}

/// 256 codes of six bits.
pub(super) fn q6_k_codes(block: &mut [u8], codes: &[u8]) {
    for (i, code) in codes.iter().enumerate() {
        let (half, quarter, l) = (i / 128, i / 32 % 4, i % 32);
        block[half * 64 + quarter % 2 * 32 + l] |= (code & 15) << (quarter / 2 * 4);
        block[128 + half * 32 + l] |= code >> 4 << (quarter * 2);
    }
}

/// Eight scales from -32 to 31, in 6 bits each: the two high bits of all, then the low ones.
pub(super) fn iq4_xs_scales(packed: &mut [u8], scales: &[i8]) {
    for (j, scale) in scales.iter().enumerate() {
        let scale = (scale + 32).cast_unsigned();
        packed[j / 4] |= scale >> 4 << (j % 4 * 2);
        packed[2 + j / 2] |= (scale & 15) << (j % 2 * 4);
    }
}
