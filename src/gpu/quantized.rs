//! Storage with 8 bits per value: signed bytes and a scale for each block of 32 consecutive values of a row, as in GGUF's
//! Q8_0 except for the scale, which is f32, and its place, which is after the row.

use wgr_shaders::{Q8_BLOCK as BLOCK, q8_row_words as row_words};

/// The words of rows of `columns` finite values each. A block is scaled by its largest magnitude over 127, and each
/// value is rounded to the nearest byte.
pub(super) fn encode(values: &[f32], columns: usize) -> Vec<u32> {
    let mut words = Vec::with_capacity(values.len() / columns.max(1) * row_words(columns));
    for row in values.chunks_exact(columns.max(1)) {
        let end = words.len() + row_words(columns);
        let scales: Vec<f32> = row.chunks(BLOCK).map(scale).collect();
        for (block, scale) in row.chunks(BLOCK).zip(&scales) {
            words.extend(
                block
                    .chunks_exact(4)
                    .map(|four| u32::from_le_bytes(std::array::from_fn(|i| quantize(four[i], *scale).cast_unsigned()))),
            );
        }
        words.extend(scales.into_iter().map(f32::to_bits));
        words.resize(end, 0);
    }
    words
}

/// The values that the words of rows of `columns` values stand for.
pub(super) fn decode(words: &[u32], columns: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(words.len() / row_words(columns).max(1) * columns);
    for row in words.chunks_exact(row_words(columns).max(1)) {
        let (bytes, scales) = row.split_at(columns / 4);
        for (block, scale) in bytes.chunks(BLOCK / 4).zip(scales) {
            let bytes = block.iter().flat_map(|word| word.to_le_bytes());
            values.extend(bytes.map(|byte| f32::from_bits(*scale) * f32::from(byte.cast_signed())));
        }
    }
    values
}

fn scale(block: &[f32]) -> f32 {
    block.iter().fold(0.0, |largest: f32, value| largest.max(value.abs())) / 127.0
}

fn quantize(value: f32, scale: f32) -> i8 {
    // The scale of a vanishing block has lost bits, so a value may exceed 127 times the scale; a block of zeros gives
    // 0/0, which becomes 0.
    (value / scale).round().clamp(-127.0, 127.0) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_moves_by_half_a_step_of_its_block_at_most() {
        for columns in [4, 32, 36, 64, 100] {
            let values: Vec<f32> =
                (0..3 * columns).map(|i| (i as f32 * 0.7).sin() * 1.5f32.powi(i as i32 % 9)).collect();
            let kept = decode(&encode(&values, columns), columns);
            assert_eq!(kept.len(), values.len());
            for (row, kept) in values.chunks(columns).zip(kept.chunks(columns)) {
                for (block, kept) in row.chunks(BLOCK).zip(kept.chunks(BLOCK)) {
                    let half = scale(block) * 0.5001;
                    assert!(block.iter().zip(kept).all(|(value, kept)| (value - kept).abs() <= half), "{columns}");
                }
            }
            assert_eq!(decode(&encode(&kept, columns), columns), kept, "what is kept once is kept again");
        }
    }

    #[test]
    fn empty_and_vanishing_blocks_stay_finite() {
        let smallest = f32::from_bits(1);
        for block in [[0.0; 32], [smallest; 32], [f32::MIN_POSITIVE; 32], [1e38; 32]] {
            let kept = decode(&encode(&block, 32), 32);
            assert!(
                kept.iter().zip(&block).all(|(kept, value)| (kept - value).abs() <= value * 0.01 + 1e-37),
                "{kept:?}"
            );
        }
        assert!(encode(&[], 0).is_empty() && decode(&[], 0).is_empty());
    }
}
