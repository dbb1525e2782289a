//! How likely the model held a sampled token to be, and which others it held to be likely.

use super::shortlist::Shortlist;

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
    /// Of `token`, with the `count` most likely ones; `None` if the list does not tell.
    pub(super) fn of(list: &Shortlist, token: u32, count: usize) -> Option<Self> {
        if count > list.ranked.len() && !list.is_whole() {
            return None;
        }
        let top = list.ranked.iter().take(count).map(|(token, logit)| (*token, list.log_prob(*logit))).collect();
        Some(Self { sampled: list.log_prob(list.logit(token)?), top })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_are_those_of_the_softmax() {
        // Probabilities 0.3, 0.1, 0.4, 0.2, whatever is added to all logits.
        let logits = [0.3f32, 0.1, 0.4, 0.2].map(|p| p.ln() + 50.0);
        let of = |logits: &[f32], token, count| {
            TokenLogProb::of(&Shortlist::of_row(logits, 1.0), token, count).expect("a whole row tells of all")
        };
        let close = |found: f32, expected: f32| assert!((found - expected.ln()).abs() < 1e-5, "{found} {expected}");
        let found = of(&logits, 1, 3);
        close(found.sampled, 0.1);
        assert_eq!(found.top.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [2, 0, 3]);
        found.top.iter().zip([0.4, 0.3, 0.2]).for_each(|((_, found), expected)| close(*found, expected));
        assert_eq!(of(&logits, 1, 0).top, []);
        assert_eq!(of(&logits, 1, 9).top.len(), 4);
        let tied = of(&[1.0, 2.0, 1.0, 1.0], 0, 3).top;
        assert_eq!(tied.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [1, 0, 2]);
    }
}
