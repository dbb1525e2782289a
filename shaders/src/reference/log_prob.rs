//! Twin of the log-probabilities of given tokens, over whole rows of logits.

use super::Real;

/// The natural logarithm of the softmax of one row.
fn log_softmax<T: Real>(logits: &[T], scale: T) -> Vec<T> {
    let scaled: Vec<T> = logits.iter().map(|z| scale * *z).collect();
    let largest = scaled.iter().fold(scaled[0], |a, b| if *b > a { *b } else { a });
    let partition = largest + scaled.iter().map(|z| (*z - largest).exp()).sum::<T>().ln();
    scaled.into_iter().map(|z| z - partition).collect()
}

/// Of each row of `logits[rows, vocabulary]`, multiplied by `scale`: the log-probability of its target, and the entropy.
pub fn forward<T: Real>(vocabulary: usize, targets: &[usize], scale: T, logits: &[T]) -> Vec<(T, T)> {
    let rows = logits.chunks_exact(vocabulary).zip(targets);
    rows.map(|(logits, target)| {
        let log_probs = log_softmax(logits, scale);
        let entropy = log_probs.iter().map(|l| -(l.exp() * *l)).sum();
        (log_probs[*target], entropy)
    })
    .collect()
}

/// Sums of both values over the rows `offsets[s]..offsets[s + 1]` of each sequence, in order.
pub fn sequences<T: Real>(offsets: &[usize], rows: &[(T, T)]) -> Vec<(T, T)> {
    let sum = |rows: &[(T, T)]| (rows.iter().map(|row| row.0).sum(), rows.iter().map(|row| row.1).sum());
    offsets.windows(2).map(|span| sum(&rows[span[0]..span[1]])).collect()
}

/// Gradient by the logits of `Σ coefficient · log-probability` over the rows, one coefficient a row.
pub fn backward<T: Real>(vocabulary: usize, targets: &[usize], scale: T, coefficients: &[T], logits: &[T]) -> Vec<T> {
    let rows = logits.chunks_exact(vocabulary).zip(targets.iter().zip(coefficients));
    rows.flat_map(|(logits, (target, coefficient))| {
        let log_probs = log_softmax(logits, scale);
        log_probs.into_iter().enumerate().map(move |(token, log_prob)| {
            let chosen = if token == *target { T::of(1.0) } else { T::default() };
            scale * *coefficient * (chosen - log_prob.exp())
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::gradient::{assert_gradient, values};
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_function() {
        let (logits, coefficients, targets) = (values(15, 1), values(3, 2), [4, 0, 2]);
        let log_probs = |z: &[f64]| forward(5, &targets, 0.7, z).into_iter().map(|row| row.0).collect();
        assert_gradient(log_probs, &logits, &coefficients, &backward(5, &targets, 0.7, &coefficients, &logits));
    }

    #[test]
    fn uniform_logits_give_the_logarithm_of_their_number() {
        for (log_prob, entropy) in forward(8, &[3], 1.0, &[700.0f64; 8]) {
            assert!((log_prob + 8f64.ln()).abs() < 1e-12 && (entropy - 8f64.ln()).abs() < 1e-12);
        }
    }
}
