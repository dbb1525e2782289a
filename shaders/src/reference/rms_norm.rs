//! Twin of RMSNorm.

use super::Real;

/// `y = x · rstd · weight` and `rstd = 1 / √(mean(x²) + eps)`, one a row.
pub fn forward<T: Real>(columns: usize, x: &[T], weight: &[T], eps: f64) -> (Vec<T>, Vec<T>) {
    let rstd: Vec<T> = x
        .chunks_exact(columns)
        .map(|row| {
            let squares: T = row.iter().map(|v| *v * *v).sum();
            T::of(1.0) / (squares / T::of(columns as f64) + T::of(eps)).sqrt()
        })
        .collect();
    let y = x.iter().enumerate().map(|(i, v)| *v * rstd[i / columns] * weight[i % columns]).collect();
    (y, rstd)
}

/// `∂y/∂x · dy`.
pub fn backward<T: Real>(columns: usize, dy: &[T], x: &[T], weight: &[T], rstd: &[T]) -> Vec<T> {
    let mut dx = vec![T::default(); x.len()];
    for (r, scale) in rstd.iter().enumerate() {
        let at = r * columns;
        let projection: T = (0..columns).map(|c| dy[at + c] * weight[c] * x[at + c]).sum();
        let mean = projection * *scale / T::of(columns as f64);
        for c in 0..columns {
            dx[at + c] = *scale * (dy[at + c] * weight[c] - x[at + c] * *scale * mean);
        }
    }
    dx
}

/// `Σ_rows dy · x · rstd`.
pub fn backward_weight<T: Real>(columns: usize, dy: &[T], x: &[T], rstd: &[T]) -> Vec<T> {
    let rows = rstd.len();
    (0..columns).map(|c| (0..rows).map(|r| dy[r * columns + c] * x[r * columns + c] * rstd[r]).sum()).collect()
}
