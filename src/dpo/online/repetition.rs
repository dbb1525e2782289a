//! Repetition within a completion.

use std::collections::HashSet;

/// Tokens that make a phrase.
const PHRASE: usize = 4;

/// The share of a completion's four-token phrases that occurred earlier in it: seq-rep-4 of Welleck et al. 2020 (arXiv
/// 1908.04319). 0 if there are no phrases.
pub(super) fn repetition(tokens: &[u32]) -> f64 {
    let phrases = tokens.len().saturating_sub(PHRASE - 1);
    if phrases == 0 {
        return 0.0;
    }
    let distinct = tokens.windows(PHRASE).collect::<HashSet<_>>().len();
    (phrases - distinct) as f64 / phrases as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_repeat_and_prose_does_not() {
        assert_eq!(repetition(&[]), 0.0);
        assert_eq!(repetition(&[7, 7, 7]), 0.0);
        assert_eq!(repetition(&[1, 2, 3, 4, 5, 6]), 0.0);
        assert_eq!(repetition(&[7; 13]), 0.9);
        assert_eq!(repetition(&[1, 2, 3, 4, 1, 2, 3, 4]), 0.2);
    }
}
