//! The CPU twin of every kernel: same name, same loop order, generic over f32 and f64.
//!
//! Twins are written to be read, and to be right in f64; tests hold every shader against them. They take plain
//! row-major slices without padding.

pub mod adamw;
pub mod add;
pub mod attention;
pub mod cached_attention;
pub mod ceiling;
pub mod column_sum;
pub mod dropout;
pub mod embedding;
pub mod gather;
pub mod gelu;
pub mod global_norm;
#[cfg(test)]
mod gradient;
pub mod l2_norm;
pub mod layer_norm;
pub mod log_prob;
pub mod narrow;
pub mod objective;
pub mod pooling;
pub mod preference;
pub mod product;
pub mod quantized;
pub mod rms_norm;
pub mod rope;
pub mod shortlist;
pub mod swiglu;

use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// f32 or f64.
pub trait Real:
    Copy
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + Sum
{
    /// The nearest value.
    fn of(value: f64) -> Self;
    /// Widened.
    fn to_f64(self) -> f64;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Exponential.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Sine and cosine.
    fn sin_cos(self) -> (Self, Self);
}

macro_rules! real {
    ($type:ty) => {
        impl Real for $type {
            fn of(value: f64) -> Self {
                value as $type
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            fn exp(self) -> Self {
                self.exp()
            }
            fn ln(self) -> Self {
                self.ln()
            }
            fn tanh(self) -> Self {
                self.tanh()
            }
            fn sin_cos(self) -> (Self, Self) {
                self.sin_cos()
            }
        }
    };
}
real!(f32);
real!(f64);
