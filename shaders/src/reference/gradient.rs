//! Central differences, which hold the gradients of twins: a twin and its shader could share a mistake.

/// Asserts that `gradient` is that of `Σ f(x) · cotangent`, value by value.
#[track_caller]
pub(super) fn assert_gradient(f: impl Fn(&[f64]) -> Vec<f64>, x: &[f64], cotangent: &[f64], gradient: &[f64]) {
    const STEP: f64 = 1e-5;
    assert_eq!(x.len(), gradient.len());
    let loss = |x: &[f64]| f(x).iter().zip(cotangent).map(|(y, d_y)| y * d_y).sum::<f64>();
    for (i, actual) in gradient.iter().enumerate() {
        let at = |step: f64| {
            let mut moved = x.to_vec();
            moved[i] += step;
            loss(&moved)
        };
        let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        assert!((actual - expected).abs() < 1e-7 * (1.0 + expected.abs()), "{i}: {actual} instead of {expected}");
    }
}

/// Different values between −2 and 2.
pub(super) fn values(len: usize, seed: usize) -> Vec<f64> {
    (0..len).map(|i| 2.0 * ((i + 31 * seed + 1) as f64).powi(2).sin()).collect()
}
