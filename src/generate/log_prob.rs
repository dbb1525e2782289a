//! How likely the model held a sampled token to be, and which others it held to be likely.

/// The log-probability of a sampled token under the model's own distribution: that of the logits as they are, before
/// temperature, penalties and filters.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogProb {
    /// Of the token sampled.
    pub sampled: f32,
    /// The most likely tokens with theirs, the most likely one first; as many as asked for.
    pub top: Vec<(u32, f32)>,
}

impl TokenLogProb {
    /// Of `token` among finite `logits`, with the `count` most likely ones; among equals the earlier token comes first.
    pub(super) fn of(logits: &[f32], token: u32, count: usize) -> Self {
        let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).sum();
        let of = |token: u32| (f64::from(logits[token as usize]) - largest - sum.ln()) as f32;
        let mut tokens: Vec<u32> = if count > 0 { (0..logits.len() as u32).collect() } else { vec![] };
        let by_rank = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        if count < tokens.len() {
            tokens.select_nth_unstable_by(count, by_rank);
            tokens.truncate(count);
        }
        tokens.sort_unstable_by(by_rank);
        Self { sampled: of(token), top: tokens.into_iter().map(|token| (token, of(token))).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_are_those_of_the_softmax() {
        // Probabilities 0.3, 0.1, 0.4, 0.2, whatever is added to all logits.
        let logits = [0.3f32, 0.1, 0.4, 0.2].map(|p| p.ln() + 50.0);
        let close = |found: f32, expected: f32| assert!((found - expected.ln()).abs() < 1e-5, "{found} {expected}");
        let found = TokenLogProb::of(&logits, 1, 3);
        close(found.sampled, 0.1);
        assert_eq!(found.top.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [2, 0, 3]);
        found.top.iter().zip([0.4, 0.3, 0.2]).for_each(|((_, found), expected)| close(*found, expected));
        assert_eq!(TokenLogProb::of(&logits, 1, 0).top, []);
        assert_eq!(TokenLogProb::of(&logits, 1, 9).top.len(), 4);
        let tied = TokenLogProb::of(&[1.0, 2.0, 1.0, 1.0], 0, 3).top;
        assert_eq!(tied.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [1, 0, 2]);
    }
}
