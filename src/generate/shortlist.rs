//! What is known of the logits after a sequence: the most likely tokens and the sums of the softmax, which mostly is enough
//! to draw the next token by; or all of them.

use crate::kernels::shortlist::Found;
use crate::{Error, Result};

/// The beginning of the ranking of all tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Shortlist {
    /// The most likely tokens with their logits, most likely first, among equals the earlier one.
    pub(super) ranked: Vec<(u32, f32)>,
    /// Tokens of the vocabulary.
    vocabulary: usize,
    /// The largest logit.
    largest: f64,
    /// The sum of `exp(logit - largest)`.
    sum: f64,
    /// The sum of `exp((logit - largest) / temperature)`.
    pub(super) scaled_sum: f64,
    /// A token that was drawn on the device among all, and its logit.
    pub(super) drawn: Option<(u32, f32)>,
}

impl Shortlist {
    /// From what the device found among the logits of a vocabulary.
    ///
    /// # Errors
    /// A logit is not finite.
    pub(super) fn of_found(found: Found, vocabulary: usize) -> Result<Self> {
        let Found { not_finite, largest, sum, scaled_sum, drawn, listed } = found;
        if let Some(token) = not_finite {
            let problem = format!("the logit of token {token} is not finite");
            return Err(Error::run(problem, "the model's weights are damaged"));
        }
        let mut ranked = listed.unwrap_or_default();
        rank(&mut ranked);
        let [largest, sum, scaled_sum] = [largest, sum, scaled_sum].map(f64::from);
        Ok(Self { ranked, vocabulary, largest, sum, scaled_sum, drawn: Some(drawn) })
    }

    /// From all logits of a row, which are finite.
    pub(super) fn of_row(logits: &[f32], temperature: f64) -> Self {
        let mut ranked: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).collect();
        rank(&mut ranked);
        let largest = ranked.first().map_or(0.0, |(_, logit)| f64::from(*logit));
        let sum = |temperature: f64| {
            ranked.iter().map(|(_, logit)| ((f64::from(*logit) - largest) / temperature).exp()).sum::<f64>()
        };
        let (plain, scaled_sum) = (sum(1.0), sum(temperature));
        Self { vocabulary: ranked.len(), largest, sum: plain, scaled_sum, drawn: None, ranked }
    }

    /// Whether it has all tokens.
    pub(super) fn is_whole(&self) -> bool {
        self.ranked.len() == self.vocabulary
    }

    /// How likely a logit is beside the largest one, at a temperature.
    pub(super) fn weight(&self, logit: f32, temperature: f64) -> f64 {
        ((f64::from(logit) - self.largest) / temperature).exp()
    }

    /// The logarithm of the probability of a logit.
    pub(super) fn log_prob(&self, logit: f32) -> f32 {
        (f64::from(logit) - self.largest - self.sum.ln()) as f32
    }

    /// The logit of a token, if it is known.
    pub(super) fn logit(&self, token: u32) -> Option<f32> {
        self.ranked.iter().chain(&self.drawn).find(|known| known.0 == token).map(|known| known.1)
    }
}

fn rank(tokens: &mut [(u32, f32)]) {
    tokens.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
}
