//! Twin of the embedding.

use super::Real;

/// `y[t] = table[ids[t]]`.
pub fn forward<T: Real>(columns: usize, ids: &[u32], table: &[T]) -> Vec<T> {
    ids.iter().flat_map(|id| table[*id as usize * columns..][..columns].iter().copied()).collect()
}

/// `dtable[i] = Σ dy[t]` over the tokens with id `i`.
pub fn backward<T: Real>(vocabulary: usize, columns: usize, ids: &[u32], dy: &[T]) -> Vec<T> {
    let mut dtable = vec![T::default(); vocabulary * columns];
    for (id, dy) in ids.iter().zip(dy.chunks_exact(columns)) {
        for (sum, value) in dtable[*id as usize * columns..].iter_mut().zip(dy) {
            *sum += *value;
        }
    }
    dtable
}

#[cfg(test)]
mod tests {
    use super::super::gradient::{assert_gradient, values};
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_function() {
        let (ids, table, dy) = ([2, 0, 2, 3], values(12, 1), values(12, 2));
        assert_gradient(|table| forward(3, &ids, table), &table, &dy, &backward(4, 3, &ids, &dy));
    }
}
