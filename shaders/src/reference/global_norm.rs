//! Twin of the global norm.

use super::Real;

/// The norm over all gradients and the coefficient that clips it to `max_norm`; 0 clips nothing.
pub fn forward<T: Real>(gradients: &[&[T]], max_norm: T) -> (T, T) {
    let norm = gradients.iter().map(|gradient| gradient.iter().map(|g| *g * *g).sum::<T>()).sum::<T>().sqrt();
    let (none, clipped) = (T::of(1.0), max_norm / (norm + T::of(1e-6)));
    (norm, if max_norm > T::of(0.0) && clipped < none { clipped } else { none })
}
