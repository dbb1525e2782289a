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

/// `dx[rows, inner] = dy[rows, out] · w[out, inner]`.
pub fn nn<T: Real>(rows: usize, out: usize, inner: usize, dy: &[T], w: &[T]) -> Vec<T> {
    let mut dx = vec![T::default(); rows * inner];
    for r in 0..rows {
        for i in 0..inner {
            dx[r * inner + i] = (0..out).map(|k| dy[r * out + k] * w[k * inner + i]).sum();
        }
    }
    dx
}

/// `dw[out, inner] = dy[rows, out]ᵀ · x[rows, inner]`.
pub fn tn<T: Real>(rows: usize, out: usize, inner: usize, dy: &[T], x: &[T]) -> Vec<T> {
    let mut dw = vec![T::default(); out * inner];
    for o in 0..out {
        for i in 0..inner {
            dw[o * inner + i] = (0..rows).map(|k| dy[k * out + o] * x[k * inner + i]).sum();
        }
    }
    dw
}
