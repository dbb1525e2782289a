//! Twin of the gathering of rows.

use super::Real;

/// The rows `sources` of `x`.
pub fn forward<T: Real>(columns: usize, sources: &[usize], x: &[T]) -> Vec<T> {
    sources.iter().flat_map(|row| x[row * columns..(row + 1) * columns].iter().copied()).collect()
}

/// The gradient of `x[rows, columns]`.
pub fn backward<T: Real>(columns: usize, rows: usize, sources: &[usize], d_y: &[T]) -> Vec<T> {
    let mut d_x = vec![T::default(); rows * columns];
    for (row, d_y) in sources.iter().zip(d_y.chunks_exact(columns)) {
        for (sum, value) in d_x[row * columns..].iter_mut().zip(d_y) {
            *sum += *value;
        }
    }
    d_x
}

#[cfg(test)]
mod tests {
    use super::super::gradient::{assert_gradient, values};
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_function() {
        let (sources, x, d_y) = ([2, 0, 2], values(8, 1), values(6, 2));
        assert_gradient(|x| forward(2, &sources, x), &x, &d_y, &backward(2, 4, &sources, &d_y));
    }
}
