//! Twin of the column sum.

use super::Real;

/// `Σ_rows x[rows, columns]`.
pub fn forward<T: Real>(rows: usize, columns: usize, x: &[T]) -> Vec<T> {
    (0..columns).map(|c| (0..rows).map(|r| x[r * columns + c]).sum()).collect()
}
