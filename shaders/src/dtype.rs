//! How values are stored.

use std::fmt;

use crate::quantized::Quantized;

/// How values are stored; arithmetic is always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 32-bit floats.
    F32,
    /// IEEE half floats, two to a word.
    F16,
    /// bfloat16, two to a word.
    Bf16,
    /// Codes of 4 to 8 bits with scales: weights that are read and never written.
    Quantized(Quantized),
    /// Unsigned integers: token ids, offsets, tables.
    U32,
}

/// How a shader declares the values of a binding: all quantised storages are one, told apart by constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Storage {
    /// [`Dtype::F32`].
    F32,
    /// [`Dtype::F16`].
    F16,
    /// [`Dtype::Bf16`].
    Bf16,
    /// Any [`Dtype::Quantized`].
    Quantized,
    /// [`Dtype::U32`].
    U32,
}

impl Dtype {
    /// The storage that `q8` stands for: bytes, with an f32 for each 32.
    pub const Q8: Self = Self::Quantized(Quantized::Q8);
    /// What `q4` stands for: 4 bits, with two f16 for each 32.
    pub const Q4: Self = Self::Quantized(Quantized::Q4_1);

    /// The name in messages and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Quantized(layout) => layout.name(),
            Self::U32 => "u32",
        }
    }

    /// What a shader declares that reads it.
    pub fn storage(self) -> Storage {
        match self {
            Self::F32 => Storage::F32,
            Self::F16 => Storage::F16,
            Self::Bf16 => Storage::Bf16,
            Self::Quantized(_) => Storage::Quantized,
            Self::U32 => Storage::U32,
        }
    }

    /// Bytes of one value; of a quantised one at most, without its share of a scale.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Quantized(_) => 1,
        }
    }

    /// Bytes of a row of `columns` values.
    pub fn row_bytes(self, columns: usize) -> u64 {
        match self {
            Self::Quantized(layout) => 4 * layout.row_words(columns) as u64,
            _ => columns as u64 * self.bytes(),
        }
    }
}

impl Storage {
    /// The name in messages and on pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Quantized => "quantized",
            Self::U32 => "u32",
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}
