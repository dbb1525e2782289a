//! Quantised blocks of GGUF files, re-arranged for the device without loss: the values are those of
//! [`GgmlType::dequantize`].

use half::f16;

use super::quantized::{
    E2M1_DOUBLED, GgmlType, fifth_bit, half_power, iq4_xs_scale, k_code, k_scales, nibbles, q3_k_scale, q6_k_code,
    two_bits,
};
use crate::gpu::{Quantized, push_row, steps};

impl GgmlType {
    /// The storage that holds the same values.
    pub fn layout(self) -> Quantized {
        match self {
            Self::Q4_0 => Quantized::Q4_0,
            Self::Q4_1 => Quantized::Q4_1,
            Self::Q5_0 => Quantized::Q5_0,
            Self::Q5_1 => Quantized::Q5_1,
            Self::Q8_0 => Quantized::Q8_0,
            Self::Q2_K => Quantized::Q2_K,
            Self::Q3_K => Quantized::Q3_K,
            Self::Q4_K => Quantized::Q4_K,
            Self::Q5_K => Quantized::Q5_K,
            Self::Q6_K => Quantized::Q6_K,
            Self::IQ4_NL => Quantized::IQ4_NL,
            Self::IQ4_XS => Quantized::IQ4_XS,
            // Its scales are powers of two beyond the range of f16.
            Self::MXFP4 => Quantized::Q8,
        }
    }

    /// The words of rows of `columns` values, whole blocks, in [`Self::layout`].
    ///
    /// # Errors
    /// In words, if a scale is not a finite number or rows are not whole blocks.
    pub fn arrange(self, bytes: &[u8], columns: usize) -> Result<Vec<u32>, String> {
        let (values, size) = self.block();
        if !columns.is_multiple_of(values) {
            return Err(format!("has rows of {columns} values, and blocks of {self:?} hold {values}"));
        }
        let row_bytes = columns / values * size;
        let layout = self.layout();
        let mut words = Vec::with_capacity(bytes.len() / row_bytes.max(1) * layout.row_words(columns));
        let mut codes = vec![0; columns];
        let mut scales = Vec::new();
        for (row, line) in bytes.chunks_exact(row_bytes.max(1)).enumerate() {
            scales.clear();
            for (i, (block, codes)) in line.chunks_exact(size).zip(codes.chunks_exact_mut(values)).enumerate() {
                self.codes(block, codes);
                self.scales(block, &mut scales);
                if let Some(scale) = self.halves(block).find(|scale| !scale.is_finite()) {
                    return Err(format!("block {i} of row {row} has the scale {scale}"));
                }
            }
            push_row(&mut words, layout, &codes, &scales);
        }
        Ok(words)
    }

    /// The sum of squares that rounding to these blocks is expected to have cost: a twelfth of the square of the step
    /// between neighbouring numbers, for each value of rows of `columns`. `None` for `MXFP4`, whose steps differ, and where
    /// [`Self::arrange`] fails.
    pub(super) fn rounding(self, bytes: &[u8], columns: usize) -> Option<f64> {
        if self == Self::MXFP4 {
            return None;
        }
        let words = self.arrange(bytes, columns).ok()?;
        Some(steps(self.layout(), &words, columns).map(|step| f64::from(step).powi(2) / 12.0).sum())
    }

    /// The codes of a block, as the layout numbers them.
    fn codes(self, block: &[u8], codes: &mut [u8]) {
        let each = |codes: &mut [u8], code: &dyn Fn(usize) -> u8| {
            codes.iter_mut().enumerate().for_each(|(i, place)| *place = code(i));
        };
        match self {
            Self::Q4_0 | Self::IQ4_NL => nibbles(&block[2..], |i, q| codes[i] = q),
            Self::Q4_1 => nibbles(&block[4..], |i, q| codes[i] = q),
            Self::Q5_0 => nibbles(&block[6..], |i, q| codes[i] = q | fifth_bit(&block[2..6], i)),
            Self::Q5_1 => nibbles(&block[8..], |i, q| codes[i] = q | fifth_bit(&block[4..8], i)),
            Self::Q8_0 => codes.copy_from_slice(&block[2..]),
            Self::Q2_K => each(codes, &|i| two_bits(&block[16..80], i)),
            // 8 stands for 0.
            Self::Q3_K => each(codes, &|i| two_bits(&block[32..96], i) + 4 + 4 * (block[i % 32] >> (i / 32) & 1)),
            Self::Q4_K => each(codes, &|i| k_code(&[0; 32], &block[16..], i)),
            Self::Q5_K => each(codes, &|i| k_code(&block[16..48], &block[48..], i)),
            Self::Q6_K => each(codes, &|i| q6_k_code(&block[..128], &block[128..192], i)),
            Self::IQ4_XS => {
                for (codes, bytes) in codes.chunks_exact_mut(32).zip(block[8..].chunks_exact(16)) {
                    nibbles(bytes, |i, q| codes[i] = q);
                }
            }
            Self::MXFP4 => nibbles(&block[1..], |i, q| codes[i] = E2M1_DOUBLED[usize::from(q)].cast_unsigned()),
        }
    }

    /// Appends the half words of a block's scales.
    fn scales(self, block: &[u8], scales: &mut Vec<u16>) {
        scales.extend(self.halves(block).map(f16::to_bits));
        let pair = |low: u8, high: u8| u16::from_le_bytes([low, high]);
        match self {
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 | Self::IQ4_NL => {}
            Self::Q2_K => scales.extend(block[..16].as_chunks().0.iter().map(|b| u16::from_le_bytes(*b))),
            Self::Q4_K | Self::Q5_K => scales.extend((0..8).map(|j| {
                let (scale, offset) = k_scales(&block[4..16], j);
                pair(scale, offset)
            })),
            Self::Q3_K | Self::Q6_K | Self::IQ4_XS => {
                let byte = |j: usize| match self {
                    Self::Q3_K => q3_k_scale(&block[96..108], j).wrapping_sub(32),
                    Self::Q6_K => block[192 + j],
                    // Each of these holds for 32 values.
                    _ => iq4_xs_scale(u16::from_le_bytes([block[2], block[3]]), &block[4..8], j / 2).wrapping_sub(32),
                };
                // The place of an offset.
                scales.push(0);
                scales.extend((0..8).map(|j| pair(byte(2 * j), byte(2 * j + 1))));
            }
            Self::MXFP4 => {
                let bits = half_power(block[0]).to_bits();
                scales.extend([bits as u16, (bits >> 16) as u16]);
            }
        }
    }

    /// The f16 numbers of a block: its scale and, for some kinds, its offset.
    pub(super) fn halves(self, block: &[u8]) -> impl Iterator<Item = f16> {
        let places: &[usize] = match self {
            Self::Q4_0 | Self::Q5_0 | Self::Q8_0 | Self::IQ4_NL | Self::IQ4_XS => &[0],
            Self::Q4_1 | Self::Q5_1 | Self::Q4_K | Self::Q5_K => &[0, 2],
            Self::Q2_K => &[80, 82],
            Self::Q3_K => &[108],
            Self::Q6_K => &[208],
            Self::MXFP4 => &[],
        };
        places.iter().map(|at| f16::from_le_bytes([block[*at], block[*at + 1]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_no_whole_blocks_and_scales_that_are_no_numbers_are_refused() {
        let refused = |bytes: &[u8], columns| GgmlType::Q4_0.arrange(bytes, columns).unwrap_err();
        assert!(refused(&[0; 27], 48).contains("rows of 48 values, and blocks of Q4_0 hold 32"));
        let mut blocks = [0; 72];
        assert!(GgmlType::Q4_0.arrange(&blocks, 64).is_ok());
        blocks[55] = 0x7c;
        assert!(refused(&blocks, 64).contains("block 1 of row 1 has the scale inf"), "{}", refused(&blocks, 64));
    }
}
