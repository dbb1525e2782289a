//! Twin of dropout.

use super::Real;

/// The hash that the shader mixes with.
fn mix(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// Whether the value at `place` is kept. Places count the padding of rows, as the shader sees it.
pub fn keeps(key: [u32; 2], salt: u32, probability: f32, place: u32) -> bool {
    let start = mix(mix(mix(key[0]) ^ key[1]) ^ salt);
    mix(start ^ place) >= (f64::from(probability) * 4_294_967_296.0) as u32
}

/// `x · mask / (1 − probability)` of rows of `columns` values that lie `stride` places apart; its own gradient.
pub fn forward<T: Real>(columns: usize, stride: usize, key: [u32; 2], salt: u32, probability: f32, x: &[T]) -> Vec<T> {
    let scale = T::of(1.0 / (1.0 - f64::from(probability)));
    let kept = |i: usize| keeps(key, salt, probability, (i / columns * stride + i % columns) as u32);
    x.iter().enumerate().map(|(i, value)| if kept(i) { *value * scale } else { T::default() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_is_kept_is_that_asked_for_and_keys_and_salts_differ() {
        let mask = |key, salt| (0..20_000).map(|i| keeps(key, salt, 0.3, i)).collect::<Vec<bool>>();
        let masks = [mask([1, 2], 3), mask([1, 3], 3), mask([2, 2], 3), mask([1, 2], 4)];
        for (i, one) in masks.iter().enumerate() {
            let share = one.iter().filter(|kept| **kept).count() as f64 / 20_000.0;
            assert!((share - 0.7).abs() < 0.015, "{share}");
            for other in &masks[..i] {
                // Two that have nothing to do with each other agree on 0.7² + 0.3² of the places.
                let agree = one.iter().zip(other).filter(|(a, b)| a == b).count() as f64 / 20_000.0;
                assert!((agree - 0.58).abs() < 0.02, "{agree}");
            }
        }
    }
}
