//! Twin of LayerNorm.

use super::Real;

/// `y = (x − mean) · rstd · weight + bias` with `rstd = 1 / √(variance + eps)` of each row.
pub fn forward<T: Real>(x: &[T], weight: &[T], bias: &[T], eps: f64) -> Vec<T> {
    let columns = weight.len();
    let mean_of = |values: T| values / T::of(columns as f64);
    let mut y = Vec::with_capacity(x.len());
    for row in x.chunks_exact(columns) {
        let mean = mean_of(row.iter().copied().sum());
        let variance = mean_of(row.iter().map(|v| (*v - mean) * (*v - mean)).sum());
        let rstd = T::of(1.0) / (variance + T::of(eps)).sqrt();
        y.extend((0..columns).map(|c| (row[c] - mean) * rstd * weight[c] + bias[c]));
    }
    y
}
