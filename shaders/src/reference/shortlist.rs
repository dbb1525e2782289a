//! Twin of the shortlist: what sampling needs of a row of logits.

use super::Real;

/// Lanes of the shader, each of which takes every so many-th token.
const LANES: usize = 256;
/// Tokens that are listed at least.
const CERTAIN: usize = 64;

/// What is told of a row of logits.
#[derive(Debug, Clone, PartialEq)]
pub struct Shortlist<T> {
    /// The largest logit.
    pub largest: T,
    /// The sum of `exp(logit - largest)`.
    pub sum: T,
    /// The sum of `exp(scale * (logit - largest))`.
    pub scaled_sum: T,
    /// The token at the given share of the scaled sum, lane by lane.
    pub drawn: usize,
    /// The most likely tokens, most likely first, among equals the earlier one.
    pub tokens: Vec<usize>,
}

/// Of the tokens in the order in which the shader adds them up: lane by lane.
fn by_lane(tokens: usize) -> impl Iterator<Item = usize> {
    (0..LANES).flat_map(move |lane| (lane..tokens).step_by(LANES))
}

/// The larger of two values.
fn larger<T: Real>(a: T, b: T) -> T {
    if b > a { b } else { a }
}

/// Of finite `logits`, with one over the temperature and the share of the probability up to the token drawn.
pub fn forward<T: Real>(logits: &[T], scale: T, share: T) -> Shortlist<T> {
    let largest = logits.iter().copied().fold(logits[0], larger);
    let weight = |token: usize| (scale * (logits[token] - largest)).exp();
    let sum = by_lane(logits.len()).map(|token| (logits[token] - largest).exp()).sum();
    let scaled_sum: T = by_lane(logits.len()).map(weight).sum();
    let (mut left, mut drawn) = (share * scaled_sum, 0);
    for token in by_lane(logits.len()).filter(|token| weight(*token) > T::default()) {
        drawn = token;
        if left < weight(token) {
            break;
        }
        left = left - weight(token);
    }

    let lane = |lane: usize| logits.iter().skip(lane).step_by(LANES).copied().reduce(larger);
    let mut lanes: Vec<T> = (0..LANES).filter_map(lane).collect();
    lanes.sort_by(|a, b| b.to_f64().total_cmp(&a.to_f64()));
    let reaches = |token: &usize| lanes.get(CERTAIN - 1).is_none_or(|bound| logits[*token] >= *bound);
    let mut tokens: Vec<usize> = (0..logits.len()).filter(reaches).collect();
    tokens.sort_by(|a, b| logits[*b].to_f64().total_cmp(&logits[*a].to_f64()));
    Shortlist { largest, sum, scaled_sum, drawn, tokens }
}

/// Divides the logits of tokens that were `seen`, each once, by `penalty` if they are positive, and multiplies them if they
/// are negative.
pub fn penalise<T: Real>(logits: &mut [T], seen: &[usize], penalty: T) {
    for token in seen {
        let logit = &mut logits[*token];
        *logit = if *logit < T::default() { *logit * penalty } else { *logit / penalty };
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient::values;
    use super::*;

    #[test]
    fn the_list_is_the_beginning_of_the_ranking() {
        let logits = values(3000, 4);
        let Shortlist { largest, tokens, sum, scaled_sum, .. } = forward(&logits, 1.0, 0.0);
        let mut ranked: Vec<usize> = (0..3000).collect();
        ranked.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        assert!(tokens.len() >= CERTAIN && tokens.len() < 124, "{}", tokens.len());
        assert_eq!(tokens, ranked[..tokens.len()]);
        assert_eq!(largest, logits[ranked[0]]);
        assert_eq!(sum, scaled_sum);
        assert_eq!(forward(&logits[..40], 1.0, 0.0).tokens.len(), 40, "a short vocabulary is listed whole");
    }

    #[test]
    fn shares_of_the_probability_give_tokens_as_often_as_their_probability() {
        // Probabilities 0.3, 0.1, 0.4, 0.2; each token has a lane of its own, so they are drawn in their order.
        let logits = [0.3f64, 0.1, 0.4, 0.2].map(f64::ln);
        let drawn = |share| forward(&logits, 1.0, share).drawn;
        assert_eq!([0.0, 0.29, 0.31, 0.39, 0.41, 0.79, 0.81, 0.999].map(drawn), [0, 0, 1, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn the_penalty_moves_logits_away_from_likely() {
        let mut logits = [2.0, -1.0, 3.0];
        penalise(&mut logits, &[0, 1], 2.0);
        assert_eq!(logits, [1.0, -2.0, 3.0]);
    }
}
