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

/// `dy` at the last row of each sequence, zero elsewhere.
pub fn backward_last<T: Real>(columns: usize, offsets: &[usize], dy: &[T]) -> Vec<T> {
    let mut dx = vec![T::default(); offsets.last().map_or(0, |end| end * columns)];
    for (end, dy) in offsets[1..].iter().zip(dy.chunks_exact(columns)) {
        dx[(end - 1) * columns..end * columns].copy_from_slice(dy);
    }
    dx
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
        let (x, dy) = (values(12, 1), values(6, 2));
        assert_gradient(|x| forward_last(2, &offsets, x), &x, &dy, &backward_last(2, &offsets, &dy));
    }
}
