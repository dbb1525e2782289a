//! Metrics of a step's rollouts, with TRL's names.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::pairing::{Pair, Pairing, Skipped};
use super::repetition::repetition;
use super::rollouts::Rollout;

/// Means over the rollouts of a step, or of held-out prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sampled {
    /// Mean reward.
    pub scores: f64,
    /// Standard deviation of the rewards within a prompt, mean over prompts: what best and worst are chosen from.
    pub scores_std: f64,
    /// Mean over rollouts of log π − log ref, summed over tokens: an estimate of the divergence of the policy from the
    /// reference, in nats per completion.
    pub kl: f64,
    /// Mean entropy of the policy's distributions, mean over rollouts.
    pub entropy: f64,
    /// Share of rollouts that ended before the limit.
    pub contain_eos: f64,
    /// Mean number of tokens.
    pub length: f64,
    /// Mean share of repeated phrases ([`repetition`]).
    pub repetition: f64,
}

impl Sampled {
    /// Of at least one rollout.
    pub(super) fn of(rollouts: &[Rollout]) -> Self {
        let mean = |value: &dyn Fn(&Rollout) -> f64| rollouts.iter().map(value).sum::<f64>() / rollouts.len() as f64;
        Self {
            scores: mean(&|rollout| rollout.reward),
            scores_std: deviation_within_prompts(rollouts),
            kl: mean(&|rollout| rollout.log_prob - rollout.reference_log_prob),
            entropy: mean(&|rollout| rollout.entropy),
            contain_eos: mean(&|rollout| f64::from(u8::from(rollout.ended))),
            length: mean(&|rollout| rollout.length as f64),
            repetition: mean(&|rollout| repetition(rollout.sampled())),
        }
    }

    /// Names and values.
    pub(super) fn named(&self) -> [(&'static str, f64); 7] {
        [
            ("objective/kl", self.kl),
            ("objective/scores", self.scores),
            ("objective/scores_std", self.scores_std),
            ("entropy", self.entropy),
            ("val/contain_eos_token", self.contain_eos),
            ("completions/mean_length", self.length),
            ("completions/repetition", self.repetition),
        ]
    }

    /// Reads a row of metrics back; `None` where it holds no such values.
    pub(super) fn from_row(row: &Map<String, Value>) -> Option<Self> {
        let value = |name: &str| row.get(name)?.as_f64();
        Some(Self {
            scores: value("objective/scores")?,
            scores_std: value("objective/scores_std")?,
            kl: value("objective/kl")?,
            entropy: value("entropy")?,
            contain_eos: value("val/contain_eos_token")?,
            length: value("completions/mean_length")?,
            repetition: value("completions/repetition")?,
        })
    }
}

fn deviation_within_prompts(rollouts: &[Rollout]) -> f64 {
    let mut prompts: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for rollout in rollouts {
        prompts.entry(&rollout.prompt_id).or_default().push(rollout.reward);
    }
    let deviation = |rewards: &Vec<f64>| {
        let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
        (rewards.iter().map(|reward| (reward - mean).powi(2)).sum::<f64>() / rewards.len() as f64).sqrt()
    };
    prompts.values().map(deviation).sum::<f64>() / prompts.len().max(1) as f64
}

/// Metrics of the pairs of a step, as names and values. Implicit rewards are β·(log π − log ref).
pub(super) fn preference(rollouts: &[Rollout], pairing: &Pairing, beta: f64) -> Vec<(&'static str, f64)> {
    let count = pairing.pairs.len();
    let Skipped { ties, small_margins, identical } = pairing.skipped;
    let mut values = vec![
        ("pairs", count as f64),
        ("skipped/ties", ties as f64),
        ("skipped/small_margins", small_margins as f64),
        ("skipped/identical", identical as f64),
    ];
    if count == 0 {
        return values;
    }
    let mean = |value: &dyn Fn(&Rollout, &Rollout) -> f64| {
        let of = |pair: &Pair| value(&rollouts[pair.chosen], &rollouts[pair.rejected]);
        pairing.pairs.iter().map(of).sum::<f64>() / count as f64
    };
    let implicit = |rollout: &Rollout| beta * (rollout.log_prob - rollout.reference_log_prob);
    values.extend([
        ("objective/scores_margin", mean(&|chosen, rejected| chosen.reward - rejected.reward)),
        ("rewards/chosen", mean(&|chosen, _| implicit(chosen))),
        ("rewards/rejected", mean(&|_, rejected| implicit(rejected))),
        ("rewards/accuracies", mean(&|chosen, rejected| f64::from(u8::from(implicit(chosen) > implicit(rejected))))),
        ("rewards/margins", mean(&|chosen, rejected| implicit(chosen) - implicit(rejected))),
        ("logps/chosen", mean(&|chosen, _| chosen.log_prob)),
        ("logps/rejected", mean(&|_, rejected| rejected.log_prob)),
    ]);
    values
}

#[cfg(test)]
mod tests {
    use super::super::pairing::by_prompt;
    use super::super::rollouts::tests::rollout;
    use super::*;

    #[test]
    fn means_are_over_rollouts_and_deviations_within_prompts() {
        let mut rollouts = [
            rollout("a", 0, "xxxxx", 1.0),
            rollout("a", 1, "abc", 3.0),
            rollout("b", 0, "abcd", 100.0),
            rollout("b", 1, "abce", 100.0),
        ];
        rollouts[0].ended = false;
        rollouts[1].log_prob = -7.0;
        let sampled = Sampled::of(&rollouts);
        let expected = Sampled {
            scores: 51.0,
            scores_std: 0.5,
            kl: (1.0 - 4.0 + 1.0 + 1.0) / 4.0,
            entropy: 0.5,
            contain_eos: 0.75,
            length: 4.0,
            repetition: 0.125,
        };
        assert_eq!(sampled, expected);
        let row: Map<String, Value> =
            sampled.named().into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        assert_eq!(Sampled::from_row(&row), Some(expected));
        assert_eq!(Sampled::from_row(&Map::new()), None);
        let values: BTreeMap<_, _> = preference(&rollouts, &by_prompt(&rollouts, 0.0), 0.5).into_iter().collect();
        assert_eq!((values["pairs"], values["skipped/ties"], values["objective/scores_margin"]), (1.0, 1.0, 2.0));
        assert_eq!(
            (values["rewards/chosen"], values["rewards/rejected"], values["rewards/margins"]),
            (-2.0, 0.5, -2.5)
        );
        assert_eq!((values["rewards/accuracies"], values["logps/chosen"]), (0.0, -7.0));
    }

    #[test]
    fn without_a_pair_there_is_no_margin() {
        let rollouts = [rollout("a", 0, "x", 1.0)];
        let values = preference(&rollouts, &by_prompt(&rollouts, 0.0), 0.1);
        assert!(values.len() == 4 && values.iter().all(|(_, value)| value.is_finite()));
    }
}
