//! Twin of the embedding.

use super::Real;

/// `y[t] = table[ids[t]]`.
pub fn forward<T: Real>(columns: usize, ids: &[u32], table: &[T]) -> Vec<T> {
    ids.iter().flat_map(|id| table[*id as usize * columns..][..columns].iter().copied()).collect()
}

/// `d_table[i] = Σ d_y[t]` over the tokens with id `i`.
pub fn backward<T: Real>(vocabulary: usize, columns: usize, ids: &[u32], d_y: &[T]) -> Vec<T> {
    let mut d_table = vec![T::default(); vocabulary * columns];
    for (id, d_y) in ids.iter().zip(d_y.chunks_exact(columns)) {
        for (sum, value) in d_table[*id as usize * columns..].iter_mut().zip(d_y) {
            *sum += *value;
        }
    }
    d_table
}

#[cfg(test)]
mod tests {
    use super::super::gradient::{assert_gradient, values};
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_function() {
        let (ids, table, d_y) = ([2, 0, 2, 3], values(12, 1), values(12, 2));
        assert_gradient(|table| forward(3, &ids, table), &table, &d_y, &backward(4, 3, &ids, &d_y));
    }
}
