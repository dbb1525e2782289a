//! Twin of GELU, exact and approximated.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::Real;

/// The error function by its series of positive terms, `2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!!` (Abramowitz &
/// Stegun 7.1.6), exact to rounding.
pub fn erf<T: Real>(x: T) -> T {
    // 1 − erf(6) is below the precision of f64.
    if x.to_f64().abs() >= 6.0 {
        return T::of(x.to_f64().signum());
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.to_f64().abs() > 1e-18 * sum.to_f64().abs() {
        n += 1.0;
        term = term * x * x * T::of(2.0 / (2.0 * n + 1.0));
        sum += term;
    }
    T::of(2.0 / PI.sqrt()) * (-(x * x)).exp() * sum
}

fn distribution<T: Real>(x: T) -> T {
    T::of(0.5) * (T::of(1.0) + erf(x * T::of(FRAC_1_SQRT_2)))
}

/// `x · Φ(x)`.
pub fn forward_erf<T: Real>(x: &[T]) -> Vec<T> {
    x.iter().map(|x| *x * distribution(*x)).collect()
}

/// `tanh(√(2/π) · (x + 0.044715 x³))`.
fn squashed<T: Real>(x: T) -> T {
    (T::of((2.0 / PI).sqrt()) * (x + T::of(0.044715) * x * x * x)).tanh()
}

/// `x · (1 + tanh(…)) / 2`.
pub fn forward_tanh<T: Real>(x: &[T]) -> Vec<T> {
    x.iter().map(|x| T::of(0.5) * *x * (T::of(1.0) + squashed(*x))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function_agrees_with_tables() {
        // Abramowitz & Stegun, table 7.1.
        let table = [(0.0_f64, 0.0), (0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0)];
        for (x, expected) in table {
            assert!((erf(x) - expected).abs() < 1e-10, "erf({x}) = {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
        assert!((erf(5.999_f64) - 1.0).abs() < 1e-14);
    }
}
