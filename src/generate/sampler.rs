//! From what is known of logits to a token, by the rules of `transformers` and in its order: repetition penalty (which the
//! device applies), temperature, top-k, top-p, min-p, then one sample.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};

use super::shortlist::Shortlist;
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

    /// The token at a share of the probability that is kept, most likely first, or among all on the device. `None` if the
    /// list does not tell; a whole one does.
    pub(super) fn token(&self, list: &Shortlist, share: f64) -> Option<u32> {
        if self.temperature == 0.0 {
            return list.ranked.first().map(|(token, _)| *token);
        }
        let keeps_all = self.top_k == 0 && self.top_p == 1.0 && self.min_p == 0.0;
        if let (true, Some((token, _))) = (keeps_all, list.drawn) {
            return Some(token);
        }
        let kept = self.kept(list)?;
        let mut left = share * kept.iter().map(|(_, weight)| weight).sum::<f64>();
        for (token, weight) in &kept {
            left -= weight;
            if left < 0.0 {
                return Some(*token);
            }
        }
        // Rounding may leave a little of the last one.
        kept.last().map(|(token, _)| *token)
    }

    /// The tokens to draw from, most likely first, with their probability beside the most likely one's. `None` if there may
    /// be some outside the list.
    fn kept(&self, list: &Shortlist) -> Option<Vec<(u32, f64)>> {
        let Self { temperature, top_p, top_k, min_p, .. } = *self;
        let mut kept = list.ranked.as_slice();
        let (mut complete, mut sum) = (list.is_whole(), list.scaled_sum);
        let weight = |logit: f32| list.weight(logit, temperature);
        if top_k > 0 && (top_k < kept.len() || !complete) {
            // Ties are kept with the last one, and are on the list as it is.
            let (_, floor) = *kept.get(top_k - 1)?;
            kept = &kept[..kept.partition_point(|(_, logit)| *logit >= floor)];
            (complete, sum) = (true, kept.iter().map(|(_, logit)| weight(*logit)).sum());
        }
        if top_p < 1.0 {
            let (mut count, mut reached) = (0, 0.0);
            while reached < top_p * sum
                && let Some((_, logit)) = kept.get(count)
            {
                reached += weight(*logit);
                count += 1;
            }
            if reached < top_p * sum && !complete {
                return None;
            }
            (kept, complete) = (&kept[..count], true);
        }
        let count = kept.partition_point(|(_, logit)| weight(*logit) >= min_p);
        if count == kept.len() && !complete {
            return None;
        }
        Some(kept[..count].iter().map(|(token, logit)| (*token, weight(*logit))).collect())
    }
}

/// From 0 up to, but not including, 1.
pub(super) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::shortlist::Found;

    fn ids(sampling: &Sampling, logits: &[f32]) -> Vec<u32> {
        let kept = sampling.kept(&Shortlist::of_row(logits, sampling.temperature)).unwrap();
        let mut ids: Vec<u32> = kept.iter().map(|(token, _)| *token).collect();
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
    fn shares_give_the_tokens_by_rank() {
        let list = Shortlist::of_row(&logits(), 1.0);
        let tokens = |sampling: Sampling| {
            [0.0, 0.39, 0.41, 0.69, 0.71, 0.89, 0.91, 0.999].map(|share| sampling.token(&list, share).unwrap())
        };
        assert_eq!(tokens(Sampling::default()), [2, 2, 0, 0, 3, 3, 1, 1]);
        // Of 0.4 and 0.3 alone the first has 0.57.
        assert_eq!(tokens(Sampling { top_k: 2, ..Sampling::default() }), [2, 2, 2, 0, 0, 0, 0, 0]);
        assert_eq!(tokens(Sampling::greedy()), [2; 8]);
        assert_eq!(Sampling::greedy().token(&Shortlist::of_row(&[1.0, 3.0, 3.0], 0.0), 0.5), Some(1));
    }

    #[test]
    fn a_list_that_may_lack_a_token_to_keep_does_not_tell() {
        // Of eight tokens with 1/2, 1/4, … 1/128 and 1/128 of the probability, the first four are known.
        let probabilities: Vec<f32> = (1..8).chain([7]).map(|power| 0.5f32.powi(power).ln()).collect();
        let whole = Shortlist::of_row(&probabilities, 1.0);
        let known = || {
            let list = probabilities.iter().take(4).enumerate().map(|(token, logit)| (token as u32, *logit)).collect();
            Found {
                not_finite: None,
                largest: probabilities[0],
                sum: 2.0,
                scaled_sum: 2.0,
                drawn: (6, probabilities[6]),
                listed: Some(list),
            }
        };
        let beginning = Shortlist::of_found(known(), 8).unwrap();
        let plain = Sampling::default();
        for (sampling, tells) in [
            (Sampling { top_k: 4, ..plain }, true),
            (Sampling { top_k: 5, ..plain }, false),
            (Sampling { top_p: 0.93, ..plain }, true),
            (Sampling { top_p: 0.95, ..plain }, false),
            (Sampling { min_p: 0.2, ..plain }, true),
            // The last one known has an eighth of the first one's.
            (Sampling { min_p: 0.1, ..plain }, false),
            (Sampling { top_k: 3, min_p: 0.01, ..plain }, true),
            (Sampling { top_k: 4, top_p: 0.99, ..plain }, true),
            (Sampling::greedy(), true),
        ] {
            for share in [0.0, 0.3, 0.6, 0.8, 0.95] {
                let (found, expected) = (sampling.token(&beginning, share), sampling.token(&whole, share));
                assert!(expected.is_some());
                assert_eq!(found, if tells { expected } else { None }, "{sampling:?} at {share}");
            }
        }
        // What was drawn among all needs no list.
        let nothing = Shortlist::of_found(Found { listed: None, ..known() }, 8).unwrap();
        assert_eq!(plain.token(&nothing, 0.0), Some(6));
        assert_eq!(Sampling::greedy().token(&nothing, 0.0), None);
    }

    #[test]
    fn settings_that_mean_nothing_are_refused() {
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
