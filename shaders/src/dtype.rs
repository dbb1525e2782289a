//! How values are stored.

use std::fmt;

/// How values are stored; arithmetic is always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 32-bit floats.
    F32,
    /// IEEE half floats, two to a word.
    F16,
    /// bfloat16, two to a word.
    Bf16,
    /// Signed bytes, four to a word, with an f32 scale for each [`Q8_BLOCK`] of a row: weights that are read and never
    /// written.
    Q8,
    /// Unsigned integers: token ids, offsets, tables.
    U32,
}

/// Values of [`Dtype::Q8`] that share a scale.
pub const Q8_BLOCK: usize = 32;

/// Words of a row of `columns` values of [`Dtype::Q8`], a multiple of four: four values per word, the scales, and a word
/// where the number would be odd, so that views at 32 rows keep to the 256 bytes at which every adapter can bind.
pub fn q8_row_words(columns: usize) -> usize {
    (columns / 4 + columns.div_ceil(Q8_BLOCK)).next_multiple_of(2)
}

impl Dtype {
    /// The name in messages and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8 => "q8",
            Self::U32 => "u32",
        }
    }

    /// Bytes of one value, without its share of a scale.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q8 => 1,
        }
    }

    /// Bytes of a row of `columns` values, a multiple of four where they are stored in 8 bits.
    pub fn row_bytes(self, columns: usize) -> u64 {
        match self {
            Self::Q8 => 4 * q8_row_words(columns) as u64,
            _ => columns as u64 * self.bytes(),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_two_rows_of_q8_fill_whole_multiples_of_256_bytes() {
        assert!((4..400).step_by(4).all(|columns| (32 * 4 * q8_row_words(columns)).is_multiple_of(256)));
    }
}
