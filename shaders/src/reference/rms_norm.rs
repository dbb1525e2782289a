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

/// `∂y/∂x · d_y`.
pub fn backward<T: Real>(columns: usize, d_y: &[T], x: &[T], weight: &[T], rstd: &[T]) -> Vec<T> {
    let mut d_x = vec![T::default(); x.len()];
    for (r, scale) in rstd.iter().enumerate() {
        let at = r * columns;
        let projection: T = (0..columns).map(|c| d_y[at + c] * weight[c] * x[at + c]).sum();
        let mean = projection * *scale / T::of(columns as f64);
        for c in 0..columns {
            d_x[at + c] = *scale * (d_y[at + c] * weight[c] - x[at + c] * *scale * mean);
        }
    }
    d_x
}

/// `Σ_rows d_y · x · rstd`.
pub fn backward_weight<T: Real>(columns: usize, d_y: &[T], x: &[T], rstd: &[T]) -> Vec<T> {
    let rows = rstd.len();
    (0..columns).map(|c| (0..rows).map(|r| d_y[r * columns + c] * x[r * columns + c] * rstd[r]).sum()).collect()
}
