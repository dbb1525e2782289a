//! Twin of the product kernels.

use super::Real;

/// `y[rows, out] = x[rows, inner] · w[out, inner]ᵀ`.
pub fn nt<T: Real>(rows: usize, inner: usize, out: usize, x: &[T], w: &[T]) -> Vec<T> {
    let mut y = vec![T::default(); rows * out];
    for r in 0..rows {
        for o in 0..out {
            y[r * out + o] = (0..inner).map(|k| x[r * inner + k] * w[o * inner + k]).sum();
        }
    }
    y
}

/// `d_x[rows, inner] = d_y[rows, out] · w[out, inner]`.
pub fn nn<T: Real>(rows: usize, out: usize, inner: usize, d_y: &[T], w: &[T]) -> Vec<T> {
    let mut d_x = vec![T::default(); rows * inner];
    for r in 0..rows {
        for i in 0..inner {
            d_x[r * inner + i] = (0..out).map(|k| d_y[r * out + k] * w[k * inner + i]).sum();
        }
    }
    d_x
}

/// `d_w[out, inner] = d_y[rows, out]ᵀ · x[rows, inner]`.
pub fn tn<T: Real>(rows: usize, out: usize, inner: usize, d_y: &[T], x: &[T]) -> Vec<T> {
    let mut d_w = vec![T::default(); out * inner];
    for o in 0..out {
        for i in 0..inner {
            d_w[o * inner + i] = (0..rows).map(|k| d_y[k * out + o] * x[k * inner + i]).sum();
        }
    }
    d_w
}
