//! Twin of the copies between storage types. It rounds by arithmetic, where the shader works on bits.

/// The value nearest to `value` with `mantissa` explicit bits of mantissa and exponents from `min_exponent` on; halfway
/// cases go to the even one. bf16 has 7 bits from 2⁻¹²⁶ on, f16 has 10 bits from 2⁻¹⁴ on; below, steps stay equal.
pub fn round(value: f32, mantissa: i32, min_exponent: i32) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value.into();
    }
    let exponent = (f64::from(value).abs().log2().floor() as i32).max(min_exponent);
    let step = 2f64.powi(exponent - mantissa);
    (f64::from(value) / step).round_ties_even() * step
}
