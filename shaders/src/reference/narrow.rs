//! Twin of the rounding to f16.

/// The nearest values of f16, ties to even; infinite beyond its range.
pub fn forward(x: &[f32]) -> Vec<f32> {
    x.iter().copied().map(rounded).collect()
}

fn rounded(x: f32) -> f32 {
    // Half of the last place beyond 65504.
    if x.abs() >= 65520.0 {
        return f32::INFINITY.copysign(x);
    }
    // Ten bits after the first; below 2⁻¹⁴ their places stay.
    let exponent = ((x.to_bits() >> 23 & 0xff) as i32 - 127).max(-14);
    let place = 2f32.powi(exponent - 10);
    (x / place).round_ties_even() * place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_ieee_754() {
        let tiny = 2f32.powi(-24);
        let of = [
            1.0 + 1.0 / 2048.0,
            1.0 + 3.0 / 2048.0,
            65504.0,
            65519.9,
            65520.0,
            -7e4,
            1.5 * tiny,
            0.5 * tiny,
            0.7 * tiny,
        ];
        let expected =
            [1.0, 1.0 + 2.0 / 1024.0, 65504.0, 65504.0, f32::INFINITY, f32::NEG_INFINITY, 2.0 * tiny, 0.0, tiny];
        assert_eq!(forward(&of), expected);
        assert!(rounded(f32::NAN).is_nan());
    }
}
