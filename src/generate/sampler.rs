//! From logits to a token, by the rules of `transformers` and in its order: repetition penalty, temperature, top-k,
//! top-p, min-p, then one sample.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How tokens are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sampling {
    /// Logits are divided by it; 0 takes the most likely token and draws nothing.
    pub temperature: f64,
    /// Tokens are kept, most likely first, until their probabilities reach this sum.
    pub top_p: f64,
    /// Tokens kept at most; 0 keeps all.
    pub top_k: usize,
    /// Tokens are kept whose probability is at least this share of the most likely one's.
    pub min_p: f64,
    /// Logits of tokens that were there before, prompt included, are divided by it if positive, and multiplied if negative.
    pub repetition_penalty: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_p: 1.0, top_k: 0, min_p: 0.0, repetition_penalty: 1.0 }
    }
}

impl Sampling {
    /// The most likely token, always.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Refuses values that mean nothing; the error names the setting.
    ///
    /// # Errors
    /// The first value that means nothing, by the name of its setting.
    pub fn validate(&self) -> Result<()> {
        let Self { temperature, top_p, min_p, repetition_penalty, .. } = *self;
        for (setting, value, allowed, hint) in [
            (
                "`.temperature`",
                temperature,
                temperature >= 0.0 && temperature.is_finite(),
                "it must be 0 (greedy) or above",
            ),
            ("`.top_p`", top_p, top_p > 0.0 && top_p <= 1.0, "it must be above 0 and at most 1"),
            ("`.min_p`", min_p, (0.0..=1.0).contains(&min_p), "it must be between 0 and 1"),
            (
                "`.repetition_penalty`",
                repetition_penalty,
                repetition_penalty > 0.0 && repetition_penalty.is_finite(),
                "it must be above 0; 1 is no penalty",
            ),
        ] {
            if !allowed {
                return Err(Error::input(setting, format!("cannot be {value}"), hint));
            }
        }
        Ok(())
    }

    /// The next token of a sequence whose tokens so far are `seen`, in any order.
    ///
    /// # Errors
    /// A logit is not a number.
    pub fn token(&self, mut logits: Vec<f32>, seen: &[u32], rng: &mut ChaCha8Rng) -> Result<u32> {
        if let Some(id) = logits.iter().position(|logit| !logit.is_finite()) {
            let problem = format!("the logit of token {id} is {}", logits[id]);
            return Err(Error::run(problem, "the model's weights are damaged"));
        }
        self.penalise(&mut logits, seen);
        if self.temperature == 0.0 {
            return Ok(most_likely(&logits));
        }
        let kept = self.kept(&logits);
        let total: f64 = kept.iter().map(|candidate| candidate.probability).sum();
        let mut left = uniform(rng) * total;
        for candidate in &kept {
            left -= candidate.probability;
            if left < 0.0 {
                return Ok(candidate.id);
            }
        }
        // Rounding may leave a little of the last one.
        Ok(kept.last().map_or(0, |candidate| candidate.id))
    }

    fn penalise(&self, logits: &mut [f32], seen: &[u32]) {
        if self.repetition_penalty == 1.0 {
            return;
        }
        let mut seen = seen.to_vec();
        seen.sort_unstable();
        seen.dedup();
        let penalty = self.repetition_penalty as f32;
        for id in seen {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
            }
        }
    }

    /// The tokens to draw from, with probabilities that need not sum to one.
    fn kept(&self, logits: &[f32]) -> Vec<Candidate> {
        let largest = f64::from(logits[most_likely(logits) as usize]);
        let floor = self.kth(logits);
        let candidate = |(id, logit): (u32, &f32)| Candidate {
            probability: ((f64::from(*logit) - largest) / self.temperature).exp(),
            id,
        };
        let kept = (0..).zip(logits).filter(|(_, logit)| **logit >= floor).map(candidate);
        let kept: Vec<Candidate> = match self.top_p < 1.0 {
            true => nucleus(kept.collect(), self.top_p),
            false => kept.collect(),
        };
        // The most likely token has the probability 1 before they are normalised.
        kept.into_iter().filter(|candidate| candidate.probability >= self.min_p).collect()
    }

    /// The smallest logit that top-k keeps; ties are kept with it.
    fn kth(&self, logits: &[f32]) -> f32 {
        if self.top_k == 0 || self.top_k >= logits.len() {
            return f32::NEG_INFINITY;
        }
        let mut sorted = logits.to_vec();
        *sorted.select_nth_unstable_by(self.top_k - 1, |a, b| b.total_cmp(a)).1
    }
}

/// A token that may be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    probability: f64,
    id: u32,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    /// By probability; among equal ones the earlier token counts as larger.
    fn cmp(&self, other: &Self) -> Ordering {
        self.probability.total_cmp(&other.probability).then(other.id.cmp(&self.id))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The most likely tokens, until they have this share of all probability; at least one. A heap, because a vocabulary is
/// long and few tokens are kept.
fn nucleus(candidates: Vec<Candidate>, share: f64) -> Vec<Candidate> {
    let wanted = share * candidates.iter().map(|candidate| candidate.probability).sum::<f64>();
    let mut heap = BinaryHeap::from(candidates);
    let (mut kept, mut sum) = (vec![], 0.0);
    while sum < wanted
        && let Some(candidate) = heap.pop()
    {
        sum += candidate.probability;
        kept.push(candidate);
    }
    kept
}

/// The first of the largest logits.
fn most_likely(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    best as u32
}

/// From 0 up to, but not including, 1.
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn ids(sampling: &Sampling, logits: &[f32]) -> Vec<u32> {
        let mut ids: Vec<u32> = sampling.kept(logits).iter().map(|candidate| candidate.id).collect();
        ids.sort_unstable();
        ids
    }

    /// Probabilities 0.4, 0.3, 0.2, 0.1 for tokens 2, 0, 3, 1.
    fn logits() -> Vec<f32> {
        [0.3f32, 0.1, 0.4, 0.2].map(f32::ln).to_vec()
    }

    #[test]
    fn filters_keep_what_transformers_keeps() {
        let plain = Sampling::default();
        for (sampling, expected) in [
            (plain, vec![0, 1, 2, 3]),
            (Sampling { top_k: 2, ..plain }, vec![0, 2]),
            (Sampling { top_k: 9, ..plain }, vec![0, 1, 2, 3]),
            (Sampling { top_p: 0.39, ..plain }, vec![2]),
            (Sampling { top_p: 0.41, ..plain }, vec![0, 2]),
            (Sampling { top_p: 1e-9, ..plain }, vec![2]),
            (Sampling { min_p: 0.45, ..plain }, vec![0, 2, 3]),
            (Sampling { min_p: 1.0, ..plain }, vec![2]),
            // The larger of the two that top-k keeps has 0.57 of the probability alone.
            (Sampling { top_k: 2, top_p: 0.5, ..plain }, vec![2]),
            // At half the temperature the probabilities are 0.53, 0.3, 0.13, 0.03.
            (Sampling { temperature: 0.5, top_p: 0.5, ..plain }, vec![2]),
        ] {
            assert_eq!(ids(&sampling, &logits()), expected, "{sampling:?}");
        }
        assert_eq!(ids(&Sampling { top_k: 1, ..plain }, &[1.0, 1.0, 0.0]), [0, 1], "ties stay together");
    }

    #[test]
    fn draws_have_the_probabilities() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut counts = [0usize; 4];
        for _ in 0..20_000 {
            counts[Sampling::default().token(logits(), &[], &mut rng).unwrap() as usize] += 1;
        }
        for (count, expected) in counts.iter().zip([0.3, 0.1, 0.4, 0.2]) {
            assert!((*count as f64 / 20_000.0 - expected).abs() < 0.015, "{counts:?}");
        }
    }

    #[test]
    fn greedy_takes_the_first_of_the_best_and_the_penalty_counts_once() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let greedy = Sampling::greedy();
        assert_eq!(greedy.token(vec![1.0, 3.0, 3.0], &[], &mut rng).unwrap(), 1);
        let penalised = Sampling { repetition_penalty: 2.0, ..greedy };
        // 3 / 2 stays above 1; a second division would not.
        assert_eq!(penalised.token(vec![1.0, 3.0, 0.0], &[1, 1, 1], &mut rng).unwrap(), 1);
        assert_eq!(penalised.token(vec![2.0, 3.0, 0.0], &[1], &mut rng).unwrap(), 0);
        // A negative logit is moved away from zero.
        assert_eq!(penalised.token(vec![-1.0, -1.5, -9.0], &[0], &mut rng).unwrap(), 1);
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(Sampling::default().token(vec![0.0, bad], &[], &mut rng).is_err());
        }
        for (setting, sampling) in [
            ("`.temperature`", Sampling { temperature: -1.0, ..Sampling::default() }),
            ("`.temperature`", Sampling { temperature: f64::NAN, ..Sampling::default() }),
            ("`.top_p`", Sampling { top_p: 0.0, ..Sampling::default() }),
            ("`.min_p`", Sampling { min_p: 1.1, ..Sampling::default() }),
            ("`.repetition_penalty`", Sampling { repetition_penalty: 0.0, ..Sampling::default() }),
        ] {
            assert!(sampling.validate().unwrap_err().to_string().contains(setting));
        }
    }
}
