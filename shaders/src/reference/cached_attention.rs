//! Twin of attention over a paged cache.

use super::Real;

/// The shape of one attention layer.
#[derive(Debug, Clone)]
pub struct CachedAttention {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub key_value_heads: usize,
    /// Values a head.
    pub head_dim: usize,
    /// Keys a query sees, itself included.
    pub window: Option<usize>,
    /// Tokens of a page.
    pub page: usize,
}

/// Puts row `i` of `x` into row `rows[i]` of the cache.
pub fn write<T: Real>(rows: &[usize], x: &[T], cache: &mut [T]) {
    let width = x.len() / rows.len();
    for (row, values) in rows.iter().zip(x.chunks(width)) {
        cache[row * width..][..width].copy_from_slice(values);
    }
}

impl CachedAttention {
    /// `softmax(q kᵀ / √head_dim) v`; query `t` sees the first `seen[t].1` keys of the sequence whose pages begin at
    /// `table[seen[t].0]`.
    pub fn forward<T: Real>(&self, seen: &[(usize, usize)], table: &[usize], q: &[T], k: &[T], v: &[T]) -> Vec<T> {
        let d = self.head_dim;
        let scale = T::of(1.0 / (d as f64).sqrt());
        let mut o = vec![T::default(); q.len()];
        for (token, (first, keys)) in seen.iter().enumerate() {
            let begin = self.window.map_or(0, |window| keys.saturating_sub(window));
            let rows: Vec<usize> =
                (begin..*keys).map(|key| table[first + key / self.page] * self.page + key % self.page).collect();
            for head in 0..self.heads {
                let at = (token * self.heads + head) * d;
                let shared = head / (self.heads / self.key_value_heads);
                let base = |row: usize| (row * self.key_value_heads + shared) * d;
                let dot = |row: usize| (0..d).map(|i| q[at + i] * k[base(row) + i]).sum::<T>() * scale;
                let scores: Vec<T> = rows.iter().map(|row| dot(*row)).collect();
                let largest = scores.iter().copied().fold(scores[0], |a, b| if b > a { b } else { a });
                let total: T = scores.iter().map(|score| (*score - largest).exp()).sum();
                for (row, score) in rows.iter().zip(&scores) {
                    let weight = (*score - largest).exp() / total;
                    for i in 0..d {
                        o[at + i] += weight * v[base(*row) + i];
                    }
                }
            }
        }
        o
    }
}

#[cfg(test)]
mod tests {
    use super::super::attention::Attention;
    use super::super::gradient::values;
    use super::*;

    #[test]
    fn a_cache_filled_token_by_token_gives_what_attention_over_the_sequence_gives() {
        let (heads, key_value_heads, head_dim, page, tokens) = (4, 2, 6, 4, 11);
        for window in [None, Some(5)] {
            let whole = Attention {
                heads,
                key_value_heads,
                head_dim,
                causal: true,
                window,
                offsets: vec![0, tokens],
                gaps: vec![],
            };
            let (q, k, v) = (values(tokens * heads * head_dim, 1), values(tokens * 12, 2), values(tokens * 12, 3));
            let expected = whole.forward(&q, &k, &v);
            let cached = CachedAttention { heads, key_value_heads, head_dim, window, page };
            let table = [2, 0, 3];
            let rows: Vec<usize> = (0..tokens).map(|token| table[token / page] * page + token % page).collect();
            let mut cache = [vec![9.0; 4 * page * 12], vec![9.0; 4 * page * 12]];
            for token in 0..tokens {
                for (cache, x) in cache.iter_mut().zip([&k, &v]) {
                    write(&rows[token..=token], &x[token * 12..][..12], cache);
                }
                let width = heads * head_dim;
                let o = cached.forward(&[(0, token + 1)], &table, &q[token * width..][..width], &cache[0], &cache[1]);
                for (a, e) in o.iter().zip(&expected[token * width..]) {
                    assert!((a - e).abs() < 1e-12, "{a} instead of {e}");
                }
            }
        }
    }
}
