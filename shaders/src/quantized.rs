//! How weights of 4 to 8 bits are stored: a row is its codes, then the scales that make values of them.
//!
//! ```text
//! value = scale · number(code) + offset
//! ```
//!
//! Rows are whole words. The four low bits of all codes come first, eight to a word (bytes: four), then what codes of 5
//! and 6 bits have above them, then the scales, then a word to make the number even. A row is filled up to whole groups
//! of 32 with codes whose scale is 0. `shared/quantized.wgsl` reads it.

/// Values of a group, which share at least one word of each plane.
pub const GROUP: usize = 32;
/// Values whose scales share an f16.
pub const SUPERGROUP: usize = 256;

/// A storage of quantised weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quantized {
    /// How a value's code is stored, and what number it stands for.
    pub codes: Codes,
    /// What numbers are multiplied by, and what is added.
    pub scales: Scales,
}

/// How codes are stored. The number is the constant `CODES` of shaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codes {
    /// Places in [`UNEVEN`], in 4 bits.
    Uneven = 0,
    /// 4 bits.
    Four = 4,
    /// 5 bits.
    Five = 5,
    /// 6 bits.
    Six = 6,
    /// Signed bytes.
    Eight = 8,
}

/// How scales are stored. The number is the constant `SCALES` of shaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scales {
    /// An f32 for each 32 values.
    Single = 0,
    /// An f16 for each 32 values.
    Half = 1,
    /// An f16 and an f16 to add for each 32 values.
    HalfPair = 2,
    /// Two f16 for each 256 values, and two bytes for each 32: factors of a scale, and of what is subtracted.
    Bytes = 3,
    /// An f16 for each 256 values, and a signed byte for each 16: factor of a scale.
    SignedBytes = 4,
    /// Two f16 for each 256 values, and two times 4 bits for each 16: factors of a scale, and of what is subtracted.
    Nibbles = 5,
}

/// The numbers of [`Codes::Uneven`] (`kvalues_iq4nl` of ggml-common.h in ggml).
pub const UNEVEN: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

#[allow(non_upper_case_globals, reason = "the names everybody uses for them")]
impl Quantized {
    /// Signed bytes with f32 scales.
    pub const Q8: Self = Self::of(Codes::Eight, Scales::Single);
    /// GGUF's Q8_0.
    pub const Q8_0: Self = Self::of(Codes::Eight, Scales::Half);
    /// GGUF's Q4_0.
    pub const Q4_0: Self = Self::of(Codes::Four, Scales::Half);
    /// GGUF's Q4_1.
    pub const Q4_1: Self = Self::of(Codes::Four, Scales::HalfPair);
    /// GGUF's Q5_0.
    pub const Q5_0: Self = Self::of(Codes::Five, Scales::Half);
    /// GGUF's Q5_1.
    pub const Q5_1: Self = Self::of(Codes::Five, Scales::HalfPair);
    /// GGUF's Q2_K.
    pub const Q2_K: Self = Self::of(Codes::Four, Scales::Nibbles);
    /// GGUF's Q3_K.
    pub const Q3_K: Self = Self::of(Codes::Four, Scales::SignedBytes);
    /// GGUF's Q4_K.
    pub const Q4_K: Self = Self::of(Codes::Four, Scales::Bytes);
    /// GGUF's Q5_K.
    pub const Q5_K: Self = Self::of(Codes::Five, Scales::Bytes);
    /// GGUF's Q6_K.
    pub const Q6_K: Self = Self::of(Codes::Six, Scales::SignedBytes);
    /// GGUF's IQ4_NL.
    pub const IQ4_NL: Self = Self::of(Codes::Uneven, Scales::Half);
    /// GGUF's IQ4_XS.
    pub const IQ4_XS: Self = Self::of(Codes::Uneven, Scales::SignedBytes);

    /// All that have a name.
    pub const ALL: [(Self, &str); 13] = [
        (Self::Q8, "q8"),
        (Self::Q8_0, "q8_0"),
        (Self::Q4_0, "q4_0"),
        (Self::Q4_1, "q4_1"),
        (Self::Q5_0, "q5_0"),
        (Self::Q5_1, "q5_1"),
        (Self::Q2_K, "q2_k"),
        (Self::Q3_K, "q3_k"),
        (Self::Q4_K, "q4_k"),
        (Self::Q5_K, "q5_k"),
        (Self::Q6_K, "q6_k"),
        (Self::IQ4_NL, "iq4_nl"),
        (Self::IQ4_XS, "iq4_xs"),
    ];

    const fn of(codes: Codes, scales: Scales) -> Self {
        Self { codes, scales }
    }

    /// The name in messages and in JSON.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(layout, _)| *layout == self).map_or("quantised", |(_, name)| name)
    }

    /// Words of a row of `columns` values, a multiple of two: views at 32 rows keep to the 256 bytes at which every
    /// adapter can bind.
    pub fn row_words(self, columns: usize) -> usize {
        let (low, high) = self.codes.words();
        let groups = columns.div_ceil(GROUP);
        let scales = (self.scales.halves(columns)).div_ceil(2);
        (groups * (low + high) + scales).next_multiple_of(2)
    }

    /// The number that a code stands for.
    pub fn number(self, code: u8) -> f32 {
        match self.codes {
            Codes::Uneven => f32::from(UNEVEN[usize::from(code & 15)]),
            Codes::Eight => f32::from(code.cast_signed()),
            _ => f32::from(code) - self.centre(),
        }
    }

    /// The mean distance of the number of a code from its neighbours.
    pub fn step(self, code: u8) -> f32 {
        let Codes::Uneven = self.codes else { return 1.0 };
        let (below, above) = (code.saturating_sub(1), (code + 1).min(15));
        (self.number(above) - self.number(below)) / f32::from(above - below)
    }

    /// The code that stands for 0, where scales are without offsets.
    fn centre(self) -> f32 {
        match (self.scales, self.codes) {
            (Scales::HalfPair | Scales::Bytes | Scales::Nibbles, _) | (_, Codes::Uneven | Codes::Eight) => 0.0,
            (_, Codes::Four) => 8.0,
            (_, Codes::Five) => 16.0,
            (_, Codes::Six) => 32.0,
        }
    }
}

impl Codes {
    /// Words of a group, for low bits and for those above them.
    pub fn words(self) -> (usize, usize) {
        match self {
            Self::Uneven | Self::Four => (4, 0),
            Self::Five => (4, 1),
            Self::Six => (4, 2),
            Self::Eight => (8, 0),
        }
    }
}

impl Scales {
    /// Half words of a row's scales.
    pub fn halves(self, columns: usize) -> usize {
        match self {
            Self::Half => columns.div_ceil(GROUP),
            Self::Single | Self::HalfPair => 2 * columns.div_ceil(GROUP),
            Self::Bytes | Self::SignedBytes | Self::Nibbles => 10 * columns.div_ceil(SUPERGROUP),
        }
    }

    /// Values that share a scale.
    pub fn group(self) -> usize {
        match self {
            Self::SignedBytes | Self::Nibbles => 16,
            _ => 32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_two_rows_fill_whole_multiples_of_256_bytes() {
        for (layout, name) in Quantized::ALL {
            assert!(
                (4..800).step_by(4).all(|columns| (32 * 4 * layout.row_words(columns)).is_multiple_of(256)),
                "{name}"
            );
        }
    }

    #[test]
    fn bits_of_a_value_in_long_rows() {
        for (layout, bits) in [
            (Quantized::Q4_0, 4.5),
            (Quantized::Q4_1, 5.0),
            (Quantized::Q4_K, 4.625),
            (Quantized::Q5_K, 5.625),
            (Quantized::Q6_K, 6.625),
            (Quantized::Q8_0, 8.5),
            (Quantized::Q8, 9.0),
        ] {
            assert_eq!(32.0 * layout.row_words(4096) as f64 / 4096.0, bits, "{}", layout.name());
        }
    }
}
