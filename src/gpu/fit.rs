//! The scales and offsets with which small whole numbers come nearest to a block of values, by least squares.

/// By how many codes the range of a block may exceed that of its codes, half of it at either end.
const RANGES: [f32; 6] = [-0.4, 0.0, 0.4, 0.8, 1.3, 1.9];

/// Scale and offset of codes from 0 to `largest`: of some ranges about that of the values, the one whose codes, fitted by
/// least squares, come nearest to them as `stored` rounds scale and offset. With `is_below` the offset is not above 0. The
/// scale is infinite where none is small enough to be stored.
pub(crate) fn affine(
    block: &[f32],
    largest: f32,
    is_below: bool,
    stored: impl Fn(f32, f32) -> (f32, f32),
) -> (f32, f32) {
    let (low, high) = block.iter().fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
    let (low, high) = if is_below { (low.min(0.0), high.max(0.0)) } else { (low, high) };
    let mut best = (f32::MAX, f32::INFINITY, 0.0);
    for trim in RANGES {
        let step = (high - low) / (largest + trim);
        let least = low + 0.5 * trim * step;
        let (scale, offset) = match fitted(block, largest, step, least) {
            (_, offset) if is_below && offset > 0.0 => (proportional(block, |v| code(v, largest, step, 0.0)), 0.0),
            both => both,
        };
        let (scale, offset) = stored(scale, offset);
        let error = block.iter().map(|v| (v - (scale * code(*v, largest, scale, offset) + offset)).powi(2)).sum();
        if error < best.0 {
            best = (error, scale, offset);
        }
    }
    (best.1, best.2)
}

/// The scale of numbers of which `nearest` gives that nearest to a value over the scale: of some at which the largest value
/// comes to lie near one of both `ends` of the numbers, the one nearest to the values as `stored` rounds scales; infinite where none is
/// small enough for that.
pub(crate) fn symmetric(
    block: &[f32],
    ends: [f32; 2],
    nearest: impl Fn(f32) -> f32,
    stored: impl Fn(f32) -> f32,
) -> f32 {
    let largest = block.iter().fold(0f32, |largest, v| if v.abs() > largest.abs() { *v } else { largest });
    let mut best = (f32::MAX, f32::INFINITY);
    for end in ends {
        for trim in RANGES {
            let first = largest / (end + end.signum() * 0.5 * trim);
            let scale = stored(proportional(block, |v| nearest(quotient(v, first))));
            let error = block.iter().map(|v| (v - scale * nearest(quotient(*v, scale))).powi(2)).sum();
            if error < best.0 {
                best = (error, scale);
            }
        }
    }
    best.1
}

/// The code from 0 to `largest` nearest to a value.
pub(crate) fn code(value: f32, largest: f32, step: f32, least: f32) -> f32 {
    // Without a step the code does not matter; 0/0 becomes 0.
    ((value - least) / step).round().clamp(0.0, largest).max(0.0)
}

/// A value over a scale; without a scale any number does.
pub(crate) fn quotient(value: f32, scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { value / scale }
}

/// The scale and offset with which the codes of a block come nearest to it.
fn fitted(block: &[f32], largest: f32, step: f32, least: f32) -> (f32, f32) {
    let count = block.len() as f32;
    let [mut codes, mut squares, mut values, mut products] = [0f32; 4];
    for value in block {
        let code = code(*value, largest, step, least);
        codes += code;
        squares += code * code;
        values += value;
        products += code * value;
    }
    let spread = count * squares - codes * codes;
    if spread <= 0.0 {
        return (0.0, values / count);
    }
    let scale = (count * products - codes * values) / spread;
    (scale, (values - scale * codes) / count)
}

/// The scale with which the numbers of a block come nearest to it.
fn proportional(block: &[f32], number: impl Fn(f32) -> f32) -> f32 {
    let (mut squares, mut products) = (0f32, 0f32);
    for value in block {
        let number = number(*value);
        squares += number * number;
        products += number * value;
    }
    if squares == 0.0 { 0.0 } else { products / squares }
}
