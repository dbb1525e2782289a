//! Twin of the sum in place.

use super::Real;

/// `y + x`.
pub fn forward<T: Real>(x: &[T], y: &[T]) -> Vec<T> {
    x.iter().zip(y).map(|(x, y)| *y + *x).collect()
}
