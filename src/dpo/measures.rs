//! Metrics of the pairs of a step or an evaluation, with TRL's names.

use crate::model::policy::LogProb;

use super::step::Rated;

/// Metrics of the policy, as means over pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measures {
    /// β·(log π − log ref) of the chosen completions.
    pub chosen_reward: f64,
    /// The same of the rejected ones.
    pub rejected_reward: f64,
    /// Share of pairs whose chosen completion has the higher reward.
    pub accuracy: f64,
    /// Reward of the chosen completion less that of the rejected one.
    pub margin: f64,
    /// Summed log-probability of the chosen completions.
    pub chosen_log_prob: f64,
    /// The same of the rejected ones.
    pub rejected_log_prob: f64,
    /// Entropy of the distributions that the tokens of completions are drawn from, a token.
    pub entropy: f64,
}

impl Measures {
    /// The metrics of the pairs of a step; zeros if there are none.
    pub fn of(pairs: &[[Rated; 2]]) -> Self {
        let mean =
            |value: &dyn Fn(&[Rated; 2]) -> f64| pairs.iter().map(value).sum::<f64>() / pairs.len().max(1) as f64;
        let total =
            |value: &dyn Fn(&LogProb) -> f64| pairs.iter().flatten().map(|rated| value(&rated.policy)).sum::<f64>();
        Self {
            chosen_reward: mean(&|[chosen, _]| chosen.reward),
            rejected_reward: mean(&|[_, rejected]| rejected.reward),
            accuracy: mean(&|[chosen, rejected]| f64::from(u8::from(chosen.reward > rejected.reward))),
            margin: mean(&|[chosen, rejected]| chosen.reward - rejected.reward),
            chosen_log_prob: mean(&|[chosen, _]| f64::from(chosen.policy.log_prob)),
            rejected_log_prob: mean(&|[_, rejected]| f64::from(rejected.policy.log_prob)),
            entropy: total(&|side| f64::from(side.entropy)) / total(&|side| side.tokens as f64).max(1.0),
        }
    }

    /// The measures with their names.
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("rewards/chosen", self.chosen_reward),
            ("rewards/rejected", self.rejected_reward),
            ("rewards/accuracies", self.accuracy),
            ("rewards/margins", self.margin),
            ("logps/chosen", self.chosen_log_prob),
            ("logps/rejected", self.rejected_log_prob),
            ("entropy", self.entropy),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_means_over_pairs_and_entropy_over_tokens() {
        let rated = |log_prob, entropy, tokens, reward| Rated { policy: LogProb { log_prob, entropy, tokens }, reward };
        let pairs = [
            [rated(-3.0, 2.0, 2, 0.5), rated(-5.0, 6.0, 3, -0.5)],
            [rated(-7.0, 1.0, 1, 0.25), rated(-1.0, 1.0, 4, 0.25)],
        ];
        let expected = [
            ("rewards/chosen", 0.375),
            ("rewards/rejected", -0.125),
            // A tie is not a success.
            ("rewards/accuracies", 0.5),
            ("rewards/margins", 0.5),
            ("logps/chosen", -5.0),
            ("logps/rejected", -3.0),
            ("entropy", 1.0),
        ];
        assert_eq!(Measures::of(&pairs).named(), expected);
        assert_eq!(Measures::of(&[]), Measures::default());
    }
}
