//! Values rounded to the quantised blocks of GGUF files: scales by least squares, then the nearest codes.

use half::f16;
use rayon::prelude::*;
use wgr_shaders::UNEVEN;

use super::pack;
use super::quantized::{E2M1_DOUBLED, GgmlType, half_power};
use crate::gpu::fit;

/// The numbers that codes stand for, before they are scaled.
#[derive(Clone, Copy)]
enum Numbers {
    /// Whole ones from the first to the second; code 0 is the first.
    Whole(i8, i8),
    /// As listed.
    Listed(&'static [i8]),
}

impl Numbers {
    fn ends(self) -> [f32; 2] {
        match self {
            Self::Whole(least, most) => [least, most],
            Self::Listed(numbers) => [numbers[0], numbers[numbers.len() - 1]],
        }
        .map(f32::from)
    }

    /// The code of the number nearest to `value`.
    fn code(self, value: f32) -> u8 {
        match self {
            Self::Whole(least, most) => {
                (value.round().clamp(f32::from(least), f32::from(most)) - f32::from(least)) as u8
            }
            Self::Listed(numbers) => {
                let away = |code: &usize| (value - f32::from(numbers[*code])).abs();
                (0..numbers.len()).min_by(|a, b| away(a).total_cmp(&away(b))).unwrap_or(0) as u8
            }
        }
    }

    fn number(self, code: u8) -> f32 {
        f32::from(match self {
            Self::Whole(least, _) => least.wrapping_add_unsigned(code),
            Self::Listed(numbers) => numbers[usize::from(code)],
        })
    }

    fn nearest(self, value: f32) -> f32 {
        self.number(self.code(value))
    }
}

impl GgmlType {
    /// The blocks nearest to `values`, of which there must be whole blocks. `Q8_0` is as in ggml, its scale the largest
    /// magnitude over 127.
    ///
    /// # Errors
    /// In words, if the blocks are not whole, or a value is not finite or exceeds what their scales hold.
    pub fn quantize(self, values: &[f32]) -> Result<Vec<u8>, String> {
        let (count, size) = self.block();
        if !values.len().is_multiple_of(count) {
            return Err(format!("holds {} values, and blocks of {self:?} hold {count}", values.len()));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(format!("holds {value}"));
        }
        let mut out = vec![0; values.len() / count * size];
        out.par_chunks_exact_mut(size).zip(values.par_chunks_exact(count)).try_for_each(|(block, values)| {
            self.fill(block, values);
            match self.halves(block).all(f16::is_finite) {
                true => Ok(()),
                false => {
                    let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
                    Err(format!("holds {largest:e}, which is too large for {self:?}"))
                }
            }
        })?;
        Ok(out)
    }

    /// Fills a block of zeros.
    fn fill(self, block: &mut [u8], values: &[f32]) {
        match self {
            Self::Q4_0 => simple(Numbers::Whole(-8, 7), values, |d, codes| {
                block[..2].copy_from_slice(&d);
                pack::nibbles(&mut block[2..], codes);
            }),
            Self::IQ4_NL => simple(Numbers::Listed(&UNEVEN), values, |d, codes| {
                block[..2].copy_from_slice(&d);
                pack::nibbles(&mut block[2..], codes);
            }),
            Self::Q5_0 => simple(Numbers::Whole(-16, 15), values, |d, codes| {
                block[..2].copy_from_slice(&d);
                pack::fifth_bits(&mut block[2..6], codes);
                pack::nibbles(&mut block[6..], codes);
            }),
            Self::Q4_1 => {
                let codes = pairs(15.0, values, block);
                pack::nibbles(&mut block[4..], &codes);
            }
            Self::Q5_1 => {
                let codes = pairs(31.0, values, block);
                pack::fifth_bits(&mut block[4..8], &codes);
                pack::nibbles(&mut block[8..], &codes);
            }
            Self::Q8_0 => {
                let d = values.iter().fold(0.0_f32, |largest, v| largest.max(v.abs())) / 127.0;
                let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
                block[..2].copy_from_slice(&half(d));
                block[2..].iter_mut().zip(values).for_each(|(q, v)| *q = ((v * inverse).round() as i8).cast_unsigned());
            }
            Self::Q3_K => {
                let (d, scales, codes) = signed_scales(Numbers::Whole(-4, 3), 16, 31.0, values);
                block[108..].copy_from_slice(&d);
                pack::q3_k_scales(&mut block[96..108], &scales);
                pack::q3_k_codes(block, &codes);
            }
            Self::Q6_K => {
                let (d, scales, codes) = signed_scales(Numbers::Whole(-32, 31), 16, 127.0, values);
                block[208..].copy_from_slice(&d);
                block[192..208].iter_mut().zip(scales).for_each(|(place, scale)| *place = scale.cast_unsigned());
                pack::q6_k_codes(block, &codes);
            }
            Self::IQ4_XS => {
                let (d, scales, codes) = signed_scales(Numbers::Listed(&UNEVEN), 32, 31.0, values);
                block[..2].copy_from_slice(&d);
                pack::iq4_xs_scales(&mut block[2..8], &scales);
                for (bytes, codes) in block[8..].chunks_exact_mut(16).zip(codes.chunks_exact(32)) {
                    pack::nibbles(bytes, codes);
                }
            }
            Self::Q2_K => {
                let (halves, pairs, codes) = scale_pairs(3.0, 16, 15.0, values);
                block[80..84].copy_from_slice(&halves);
                block[..16].iter_mut().zip(pairs).for_each(|(place, (scale, offset))| *place = scale | offset << 4);
                pack::two_bits(&mut block[16..80], &codes);
            }
            Self::Q4_K => {
                let (halves, pairs, codes) = scale_pairs(15.0, 32, 63.0, values);
                block[..4].copy_from_slice(&halves);
                pack::k_scales(&mut block[4..16], &pairs);
                pack::k_nibbles(&mut block[16..], &codes);
            }
            Self::Q5_K => {
                let (halves, pairs, codes) = scale_pairs(31.0, 32, 63.0, values);
                block[..4].copy_from_slice(&halves);
                pack::k_scales(&mut block[4..16], &pairs);
                pack::k_fifth_bits(&mut block[16..48], &codes);
                pack::k_nibbles(&mut block[48..], &codes);
            }
            Self::MXFP4 => {
                let (exponent, codes) = powers(values);
                block[0] = exponent;
                pack::nibbles(&mut block[1..], &codes);
            }
        }
    }
}

fn half(number: f32) -> [u8; 2] {
    f16::from_f32(number).to_le_bytes()
}

/// As f16 keeps it.
fn rounded(number: f32) -> f32 {
    f16::from_f32(number).to_f32()
}

/// One scale for all values, handed on with their codes.
fn simple(numbers: Numbers, values: &[f32], put: impl FnOnce([u8; 2], &[u8])) {
    let scale = fit::symmetric(values, numbers.ends(), |v| numbers.nearest(v), rounded);
    let codes: Vec<u8> = values.iter().map(|v| numbers.code(fit::quotient(*v, scale))).collect();
    put(half(scale), &codes);
}

/// One scale and one offset for all values, at the start of the block; returns the codes.
fn pairs(largest: f32, values: &[f32], block: &mut [u8]) -> Vec<u8> {
    let (scale, offset) = fit::affine(values, largest, false, |scale, offset| (rounded(scale), rounded(offset)));
    block[..2].copy_from_slice(&half(scale));
    block[2..4].copy_from_slice(&half(offset));
    values.iter().map(|v| fit::code(*v, largest, scale, offset) as u8).collect()
}

/// An f16, a signed factor of it up to `most` for each `group` values, and codes.
fn signed_scales(numbers: Numbers, group: usize, most: f32, values: &[f32]) -> ([u8; 2], Vec<i8>, Vec<u8>) {
    let fitted = |values: &[f32]| fit::symmetric(values, numbers.ends(), |v| numbers.nearest(v), |scale| scale);
    let scales: Vec<f32> = values.chunks_exact(group).map(fitted).collect();
    let d = scales.iter().fold(0f32, |largest, scale| largest.max(scale.abs())) / most;
    let kept = rounded(d);
    let factors: Vec<i8> = scales.iter().map(|s| fit::quotient(*s, kept).round().clamp(-most, most) as i8).collect();
    let code = |(i, v): (usize, &f32)| numbers.code(fit::quotient(*v, kept * f32::from(factors[i / group])));
    let codes = values.iter().enumerate().map(code).collect();
    (half(d), factors, codes)
}

/// Two f16, factors of them up to `most` for each `group` values, and codes from 0 to `largest`: the first times its factor
/// scales, the second times its factor is subtracted.
fn scale_pairs(largest: f32, group: usize, most: f32, values: &[f32]) -> ([u8; 4], Vec<(u8, u8)>, Vec<u8>) {
    let fitted = |values: &[f32]| fit::affine(values, largest, true, |scale, offset| (scale, offset));
    let pairs: Vec<(f32, f32)> = values.chunks_exact(group).map(fitted).collect();
    let d = pairs.iter().fold(0f32, |most, (scale, _)| most.max(*scale)) / most;
    let dmin = pairs.iter().fold(0f32, |most, (_, offset)| most.max(-offset)) / most;
    let factor = |number: f32, of: f32| fit::quotient(number, rounded(of)).round().clamp(0.0, most) as u8;
    let factors: Vec<(u8, u8)> =
        pairs.iter().map(|(scale, offset)| (factor(*scale, d), factor(-offset, dmin))).collect();
    let code = |(i, v): (usize, &f32)| {
        let (scale, offset) = factors[i / group];
        fit::code(*v, largest, rounded(d) * f32::from(scale), -rounded(dmin) * f32::from(offset)) as u8
    };
    let codes = values.iter().enumerate().map(code).collect();
    let [a, b] = half(d);
    let [c, e] = half(dmin);
    ([a, b, c, e], factors, codes)
}

/// The exponent of a power of two, and codes: of the powers at which the largest value is one of the larger numbers, the
/// one nearest to the values.
fn powers(values: &[f32]) -> (u8, Vec<u8>) {
    let numbers = Numbers::Listed(&E2M1_DOUBLED);
    let largest = values.iter().fold(0f32, |largest, v| largest.max(v.abs()));
    let codes = |exponent: u8| values.iter().map(move |v| numbers.code(v / half_power(exponent)));
    let error = |exponent: u8| -> f32 {
        let scale = half_power(exponent);
        values.iter().zip(codes(exponent)).map(|(v, code)| (v - scale * numbers.number(code)).powi(2)).sum()
    };
    // The scale is half of 2^(exponent - 127), and the largest number 12.
    let middle = (largest / 12.0).log2().floor().clamp(-127.0, 125.0) as i32 + 128;
    let tried = (middle - 1..=middle + 1).filter_map(|exponent| u8::try_from(exponent).ok());
    let exponent = tried.min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap_or(0);
    (exponent, codes(exponent).collect())
}

#[cfg(test)]
mod tests {
    use GgmlType::*;

    use super::super::quantized::tests::{golden, unhex};
    use super::*;

    /// Values most of which are small, times sizes that depend on their place; without those they are those of the golden
    /// errors.
    fn values(sizes: impl Fn(usize) -> f32) -> Vec<f32> {
        (0..2048)
            .map(|i| ((i * 7919 % 2003) as f32 - 1001.0) / 1001.0)
            .map(|v| v * v * v)
            .enumerate()
            .map(|(i, v)| v * sizes(i))
            .collect()
    }

    /// The root mean square of what rounding leaves, over that of the values.
    fn left(kind: GgmlType, values: &[f32]) -> f64 {
        let square = |value: f32| f64::from(value).powi(2);
        let kept = kind.dequantize(&kind.quantize(values).unwrap());
        let left: f64 = values.iter().zip(kept).map(|(a, b)| square(a - b)).sum();
        (left / values.iter().map(|value| square(*value)).sum::<f64>()).sqrt()
    }

    #[test]
    fn q8_0_is_quantised_as_by_the_gguf_package() {
        let case = &golden()["quantize Q8_0"];
        let values: Vec<_> = unhex(&case["values"]).as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        assert_eq!(Q8_0.quantize(&values).unwrap(), unhex(&case["blocks"]));
    }

    #[test]
    fn less_is_left_than_by_the_gguf_package() {
        for kind in [Q4_0, Q4_1, Q5_0, Q5_1, Q8_0] {
            let theirs = golden()["errors"][format!("{kind:?}")].as_f64().unwrap();
            let ours = left(kind, &values(|_| 1.0));
            let most = if kind == Q8_0 { 1.0001 } else { 0.99 };
            assert!(ours > 0.5 * theirs && ours < most * theirs, "{kind:?}: {ours}, and {theirs} by the package");
        }
    }

    #[test]
    fn blocks_of_sub_blocks_leave_little_of_parts_of_any_size() {
        for (kind, most) in [
            (Q2_K, 0.32),
            (Q3_K, 0.152),
            (Q4_K, 0.098),
            (Q5_K, 0.049),
            (Q6_K, 0.0162),
            (IQ4_NL, 0.083),
            (IQ4_XS, 0.084),
            (MXFP4, 0.14),
        ] {
            let error = left(kind, &values(|i| [1.0, -3.0, 0.2, 2.0, 0.7][i / 16 % 5]));
            assert!(error > 0.9 * most && error < most, "{kind:?}: {error}");
        }
    }

    #[test]
    fn what_blocks_hold_they_keep() {
        for kind in [Q4_0, Q5_0, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4, Q4_1, Q5_1] {
            for value in [0.0, 1.0, -0.25] {
                let values = vec![value; 256];
                let kept = kind.dequantize(&kind.quantize(&values).unwrap());
                assert!(kept.iter().all(|kept| (kept - value).abs() < 2e-3), "{kind:?} {value}: {}", kept[0]);
            }
        }
    }

    #[test]
    fn values_that_no_block_holds_are_refused() {
        let refused = |kind: GgmlType, value: f32| {
            let mut values = vec![0.5; 256];
            values[200] = value;
            kind.quantize(&values).unwrap_err()
        };
        assert!(Q4_K.quantize(&[0.0; 32]).unwrap_err().contains("32 values, and blocks of Q4_K hold 256"));
        assert_eq!(refused(Q6_K, f32::NAN), "holds NaN");
        for kind in [Q4_0, Q4_1, Q8_0, Q4_K, Q6_K] {
            assert!(refused(kind, 1e9).contains("holds 1e9, which is too large"), "{kind:?}");
        }
    }
}
