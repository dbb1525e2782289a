//! Rows of quantised weights as the device holds them: from codes and scales, from values, and back. [`Quantized`] says
//! how a row is laid out.

use half::f16;
use wgr_shaders::{Codes, GROUP, Quantized, Scales};

use super::fit;

/// Appends the words of a row: its codes, whole groups of 32, and its scales in half words.
pub(crate) fn push_row(words: &mut Vec<u32>, layout: Quantized, codes: &[u8], scales: &[u16]) {
    let end = words.len() + layout.row_words(codes.len());
    let plane = |codes: &[u8], bits: u32, shift: u32| {
        let mask = (1 << bits) - 1;
        codes
            .iter()
            .enumerate()
            .fold(0, |word, (i, code)| word | (u32::from(*code) >> shift & mask) << (i as u32 * bits))
    };
    match layout.codes {
        Codes::Eight => words.extend(codes.chunks(4).map(|codes| plane(codes, 8, 0))),
        _ => words.extend(codes.chunks(8).map(|codes| plane(codes, 4, 0))),
    }
    match layout.codes {
        Codes::Five => words.extend(codes.chunks(32).map(|codes| plane(codes, 1, 4))),
        Codes::Six => words.extend(codes.chunks(16).map(|codes| plane(codes, 2, 4))),
        _ => {}
    }
    words.extend(scales.chunks(2).map(|pair| u32::from(pair[0]) | u32::from(*pair.get(1).unwrap_or(&0)) << 16));
    words.resize(end, 0);
}

/// The words of rows of `columns` values each, which are rounded to the nearest that the storage can hold.
///
/// # Errors
/// In words, if values are too large for it, or it is one that values are not rounded to.
pub(super) fn encode(layout: Quantized, values: &[f32], columns: usize) -> Result<Vec<u32>, String> {
    let quantize: fn(&[f32], &mut [u8], &mut Vec<u16>) -> bool = match layout {
        Quantized::Q8 => bytes,
        Quantized::Q4_1 => pairs,
        _ => return Err(format!("holds {}, which is copied from files and not rounded to", layout.name())),
    };
    let mut words = Vec::with_capacity(values.len() / columns.max(1) * layout.row_words(columns));
    let mut codes = vec![0; columns.next_multiple_of(GROUP)];
    let mut scales = Vec::new();
    for row in values.chunks_exact(columns.max(1)) {
        scales.clear();
        for (block, codes) in row.chunks(GROUP).zip(codes.chunks_mut(GROUP)) {
            if !quantize(block, codes, &mut scales) {
                let largest = block.iter().fold(0f32, |largest, value| largest.max(value.abs()));
                return Err(format!("holds {largest:e}, and {} holds no more than 65504", layout.name()));
            }
        }
        push_row(&mut words, layout, &codes, &scales);
    }
    Ok(words)
}

/// The values that the words of rows of `columns` values stand for.
pub(super) fn decode(layout: Quantized, words: &[u32], columns: usize) -> Vec<f32> {
    stored(layout, words, columns).map(|(code, scale, offset)| scale * layout.number(code) + offset).collect()
}

/// How far apart the numbers are between which a value was rounded, for each value of rows of `columns`.
pub(crate) fn steps(layout: Quantized, words: &[u32], columns: usize) -> impl Iterator<Item = f32> {
    stored(layout, words, columns).map(move |(code, scale, _)| scale * layout.step(code))
}

/// Code, scale and offset of each value of rows of `columns`.
fn stored(layout: Quantized, words: &[u32], columns: usize) -> impl Iterator<Item = (u8, f32, f32)> {
    let (low_words, high_words) = layout.codes.words();
    let groups = columns.div_ceil(GROUP);
    words.chunks_exact(layout.row_words(columns).max(1)).flat_map(move |row| {
        let (low, rest) = row.split_at(groups * low_words);
        let (high, scales) = rest.split_at(groups * high_words);
        let bits = |plane: &[u32], bits: usize, i: usize| plane[i * bits / 32] >> (i * bits % 32) & ((1 << bits) - 1);
        (0..columns).map(move |i| {
            let code = match layout.codes {
                Codes::Eight => bits(low, 8, i),
                Codes::Five => bits(low, 4, i) | bits(high, 1, i) << 4,
                Codes::Six => bits(low, 4, i) | bits(high, 2, i) << 4,
                Codes::Four | Codes::Uneven => bits(low, 4, i),
            };
            let (scale, offset) = scale(layout.scales, scales, i);
            (code as u8, scale, offset)
        })
    })
}

/// What the number of a value is multiplied by, and what is added.
fn scale(scales: Scales, words: &[u32], i: usize) -> (f32, f32) {
    let half_at = |at: usize| f16::from_bits((words[at / 2] >> (at % 2 * 16)) as u16).to_f32();
    let byte_at = |at: usize| (words[at / 4] >> (at % 4 * 8)) as u8;
    let (group, super_words) = (i / GROUP, i / 256 * 5);
    let super_halves = || (half_at(2 * super_words), half_at(2 * super_words + 1));
    let sixteenth = 4 * super_words + 4 + i % 256 / 16;
    match scales {
        Scales::Single => (f32::from_bits(words[group]), 0.0),
        Scales::Half => (half_at(group), 0.0),
        Scales::HalfPair => (half_at(2 * group), half_at(2 * group + 1)),
        Scales::Bytes => {
            let (scale, offset) = super_halves();
            let at = 4 * super_words + 4 + i % 256 / 32 * 2;
            (scale * f32::from(byte_at(at)), -(offset * f32::from(byte_at(at + 1))))
        }
        Scales::SignedBytes => (super_halves().0 * f32::from(byte_at(sixteenth).cast_signed()), 0.0),
        Scales::Nibbles => {
            let ((scale, offset), byte) = (super_halves(), byte_at(sixteenth));
            (scale * f32::from(byte & 15), -(offset * f32::from(byte >> 4)))
        }
    }
}

/// Bytes with an f32 scale, the largest magnitude over 127.
fn bytes(block: &[f32], codes: &mut [u8], scales: &mut Vec<u16>) -> bool {
    let scale = block.iter().fold(0.0, |largest: f32, value| largest.max(value.abs())) / 127.0;
    codes.fill(0);
    for (code, value) in codes.iter_mut().zip(block) {
        // The scale of a vanishing block has lost bits, so a value may exceed 127 times the scale; a block of zeros
        // gives 0/0, which becomes 0.
        *code = ((value / scale).round().clamp(-127.0, 127.0) as i8).cast_unsigned();
    }
    scales.extend([scale.to_bits() as u16, (scale.to_bits() >> 16) as u16]);
    true
}

/// Four bits with scale and offset in f16. False if they exceed what f16 holds.
fn pairs(block: &[f32], codes: &mut [u8], scales: &mut Vec<u16>) -> bool {
    const LARGEST: f32 = 15.0;
    if block.iter().any(|value| value.abs() > f16::MAX.to_f32()) {
        return false;
    }
    let rounded = |number: f32| f16::from_f32(number).to_f32();
    let (scale, offset) = fit::affine(block, LARGEST, false, |scale, offset| (rounded(scale), rounded(offset)));
    codes.fill(0);
    for (place, value) in codes.iter_mut().zip(block) {
        *place = fit::code(*value, LARGEST, scale, offset) as u8;
    }
    scales.extend([scale, offset].map(|number| f16::from_f32(number).to_bits()));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: f32 = f32::from_bits(1);

    fn kept(layout: Quantized, values: &[f32], columns: usize) -> Vec<f32> {
        decode(layout, &encode(layout, values, columns).unwrap(), columns)
    }

    #[test]
    fn a_value_moves_by_half_a_step_of_its_block_at_most() {
        for columns in [4, 32, 36, 64, 100] {
            let values: Vec<f32> =
                (0..3 * columns).map(|i| (i as f32 * 0.7).sin() * 1.5f32.powi(i as i32 % 9)).collect();
            let bytes = kept(Quantized::Q8, &values, columns);
            assert_eq!(bytes.len(), values.len());
            for (row, kept) in values.chunks(columns).zip(bytes.chunks(columns)) {
                for (block, kept) in row.chunks(GROUP).zip(kept.chunks(GROUP)) {
                    let half = block.iter().fold(0f32, |largest, value| largest.max(value.abs())) / 127.0 * 0.5001;
                    assert!(block.iter().zip(kept).all(|(value, kept)| (value - kept).abs() <= half), "{columns}");
                }
            }
            assert_eq!(kept(Quantized::Q8, &bytes, columns), bytes, "what is kept once is kept again");
        }
    }

    #[test]
    fn four_bits_lose_less_than_the_plain_range_of_a_block_would() {
        let values: Vec<f32> = (0..640).map(|i| (i as f32 * 0.7).sin() * (i as f32 * 0.31).cos()).collect();
        let error = |kept: &[f32]| -> f32 { values.iter().zip(kept).map(|(value, kept)| (value - kept).powi(2)).sum() };
        let plain: Vec<f32> = values
            .chunks(GROUP)
            .flat_map(|block| {
                let (low, high) = block.iter().fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
                let step = (high - low) / 15.0;
                block.iter().map(move |value| low + step * ((value - low) / step).round())
            })
            .collect();
        let fitted = error(&kept(Quantized::Q4_1, &values, 64));
        assert!(fitted > 0.0 && fitted < 0.95 * error(&plain), "{fitted} {}", error(&plain));
    }

    #[test]
    fn empty_and_vanishing_blocks_stay_finite() {
        for layout in [Quantized::Q8, Quantized::Q4_1] {
            for block in [[0.0; 32], [SMALLEST; 32], [f32::MIN_POSITIVE; 32], [-3.0; 32], [65504.0; 32]] {
                let kept = kept(layout, &block, 32);
                let is_near = |(kept, value): (&f32, &f32)| (kept - value).abs() <= value.abs() * 0.01 + 1e-37;
                assert!(kept.iter().zip(&block).all(is_near), "{kept:?}");
            }
            assert!(encode(layout, &[], 0).unwrap().is_empty() && decode(layout, &[], 0).is_empty());
        }
        assert!(kept(Quantized::Q8, &[1e38; 32], 32).iter().all(|value| value.is_finite()));
        let refused = encode(Quantized::Q4_1, &[1e5; 32], 32).unwrap_err();
        assert!(refused.contains("1e5"), "{refused}");
    }
}
