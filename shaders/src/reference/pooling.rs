//! Twin of the pooling of packed sequences.

use super::Real;

/// The first row of each sequence `offsets[s]..offsets[s + 1]` of `x`.
pub fn forward_first<T: Real>(columns: usize, offsets: &[usize], x: &[T]) -> Vec<T> {
    let starts = &offsets[..offsets.len() - 1];
    starts.iter().flat_map(|start| x[start * columns..(start + 1) * columns].iter().copied()).collect()
}

/// The last row of each sequence `offsets[s]..offsets[s + 1]` of `x`.
pub fn forward_last<T: Real>(columns: usize, offsets: &[usize], x: &[T]) -> Vec<T> {
    offsets[1..].iter().flat_map(|end| x[(end - 1) * columns..end * columns].iter().copied()).collect()
}

/// `d_y` at the last row of each sequence, zero elsewhere.
pub fn backward_last<T: Real>(columns: usize, offsets: &[usize], d_y: &[T]) -> Vec<T> {
    let mut d_x = vec![T::default(); offsets.last().map_or(0, |end| end * columns)];
    for (end, d_y) in offsets[1..].iter().zip(d_y.chunks_exact(columns)) {
        d_x[(end - 1) * columns..end * columns].copy_from_slice(d_y);
    }
    d_x
}

/// The mean of the rows of each sequence.
pub fn forward_mean<T: Real>(columns: usize, offsets: &[usize], x: &[T]) -> Vec<T> {
    let mean = |span: &[usize], c: usize| {
        let sum: T = (span[0]..span[1]).map(|t| x[t * columns + c]).sum();
        sum / T::of((span[1] - span[0]) as f64)
    };
    offsets.windows(2).flat_map(|span| (0..columns).map(move |c| mean(span, c))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::gradient::{assert_gradient, values};
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_function() {
        let offsets = [0, 3, 4, 6];
        let (x, d_y) = (values(12, 1), values(6, 2));
        assert_gradient(|x| forward_last(2, &offsets, x), &x, &d_y, &backward_last(2, &offsets, &d_y));
    }
}
