//! Twin of the L2 norm.

use super::Real;

/// `x / max(‖x‖₂, 1e-12)`, row by row.
pub fn forward<T: Real>(columns: usize, x: &[T]) -> Vec<T> {
    let shortest = T::of(1e-12);
    let normalised = |row: &[T]| {
        let length = row.iter().map(|v| *v * *v).sum::<T>().sqrt();
        let length = if length > shortest { length } else { shortest };
        row.iter().map(|v| *v / length).collect::<Vec<T>>()
    };
    x.chunks_exact(columns).flat_map(normalised).collect()
}
