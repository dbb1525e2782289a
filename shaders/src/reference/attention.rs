//! Twin of attention.

use super::Real;

/// The shape of one attention layer and its packed sequences.
#[derive(Debug, Clone)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub key_value_heads: usize,
    /// Values a head.
    pub head_dim: usize,
    /// Whether a token sees only itself and what came before it.
    pub causal: bool,
    /// Keys a query sees, itself included.
    pub window: Option<usize>,
    /// Where sequences start, and the number of tokens last.
    pub offsets: Vec<usize>,
    /// Keys that each query does not see though its sequence holds them before it; empty where sequences do not branch.
    pub gaps: Vec<std::ops::Range<usize>>,
}

impl Attention {
    /// The keys that a query sees.
    fn keys(&self, query: usize) -> impl Iterator<Item = usize> {
        let sequence = self.offsets.partition_point(|start| *start <= query) - 1;
        let (start, end) = (self.offsets[sequence], self.offsets[sequence + 1]);
        let end = if self.causal { query + 1 } else { self.window.map_or(end, |w| end.min(query + w)) };
        let gap = self.gaps.get(query).cloned().unwrap_or_default();
        (self.window.map_or(start, |w| start.max((query + 1).saturating_sub(w)))..end)
            .filter(move |key| !gap.contains(key))
    }

    fn dot<T: Real>(&self, a: &[T], b: &[T]) -> T {
        (0..self.head_dim).map(|i| a[i] * b[i]).sum()
    }

    /// Softmax weights of one query over the keys it sees.
    fn weights<T: Real>(&self, q: &[T], k: &[T], query: usize, head: usize) -> Vec<(usize, T)> {
        let (d, shared) = (self.head_dim, head / (self.heads / self.key_value_heads));
        let scale = T::of(1.0 / (d as f64).sqrt());
        let row = &q[(query * self.heads + head) * d..];
        let scores: Vec<(usize, T)> = self
            .keys(query)
            .map(|key| (key, self.dot(row, &k[(key * self.key_value_heads + shared) * d..]) * scale))
            .collect();
        let largest = scores.iter().map(|(_, s)| *s).fold(scores[0].1, |a, b| if b > a { b } else { a });
        let total: T = scores.iter().map(|(_, s)| (*s - largest).exp()).sum();
        scores.into_iter().map(|(key, s)| (key, (s - largest).exp() / total)).collect()
    }

    /// `softmax(q kᵀ / √head_dim) v`.
    pub fn forward<T: Real>(&self, q: &[T], k: &[T], v: &[T]) -> Vec<T> {
        let d = self.head_dim;
        let mut o = vec![T::default(); q.len()];
        for query in 0..q.len() / (self.heads * d) {
            for head in 0..self.heads {
                let shared = head / (self.heads / self.key_value_heads);
                for (key, weight) in self.weights(q, k, query, head) {
                    for i in 0..d {
                        o[(query * self.heads + head) * d + i] +=
                            weight * v[(key * self.key_value_heads + shared) * d + i];
                    }
                }
            }
        }
        o
    }

    /// Gradients of q, k and v.
    pub fn backward<T: Real>(&self, q: &[T], k: &[T], v: &[T], d_o: &[T]) -> [Vec<T>; 3] {
        let d = self.head_dim;
        let scale = T::of(1.0 / (d as f64).sqrt());
        let mut gradients = [vec![T::default(); q.len()], vec![T::default(); k.len()], vec![T::default(); v.len()]];
        for query in 0..q.len() / (self.heads * d) {
            for head in 0..self.heads {
                let shared = head / (self.heads / self.key_value_heads);
                let at = (query * self.heads + head) * d;
                let weights = self.weights(q, k, query, head);
                let products: Vec<T> = weights
                    .iter()
                    .map(|(key, _)| self.dot(&d_o[at..], &v[(key * self.key_value_heads + shared) * d..]))
                    .collect();
                let mean: T = weights.iter().zip(&products).map(|((_, w), p)| *w * *p).sum();
                for ((key, weight), product) in weights.into_iter().zip(products) {
                    let base = (key * self.key_value_heads + shared) * d;
                    let change = weight * (product - mean) * scale;
                    for i in 0..d {
                        gradients[0][at + i] += change * k[base + i];
                        gradients[1][base + i] += change * q[at + i];
                        gradients[2][base + i] += weight * d_o[at + i];
                    }
                }
            }
        }
        gradients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_finite_differences() {
        let shape = Attention {
            heads: 4,
            key_value_heads: 2,
            head_dim: 2,
            causal: true,
            window: Some(3),
            offsets: vec![0, 1, 6],
            gaps: vec![],
        };
        let value = |i: usize| ((i * 37 % 23) as f64 - 11.0) / 9.0;
        let mut inputs = [48, 24, 24].map(|len| (0..len).map(value).collect::<Vec<f64>>());
        let d_o: Vec<f64> = (0..48).map(|i| value(i + 5)).collect();
        let loss = |[q, k, v]: &[Vec<f64>; 3]| shape.forward(q, k, v).iter().zip(&d_o).map(|(o, d)| o * d).sum::<f64>();
        let gradients = shape.backward(&inputs[0], &inputs[1], &inputs[2], &d_o);
        for tensor in 0..3 {
            for i in 0..inputs[tensor].len() {
                let kept = inputs[tensor][i];
                inputs[tensor][i] = kept + 1e-5;
                let up = loss(&inputs);
                inputs[tensor][i] = kept - 1e-5;
                let down = loss(&inputs);
                inputs[tensor][i] = kept;
                let numeric = (up - down) / 2e-5;
                assert!((numeric - gradients[tensor][i]).abs() < 1e-8, "tensor {tensor} value {i}: {numeric}");
            }
        }
    }
}
