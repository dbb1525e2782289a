//! Best against worst, prompt by prompt.
//!
//! Rollouts carry the id of their prompt, and pairs are made by it, never by position: lists are sorted by length, cut
//! into batches and put together again on the way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rollouts::{Rollout, Side};

/// Two rollouts of one prompt, by their places in the list that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// The one with the highest reward.
    pub chosen: usize,
    /// The one with the lowest reward.
    pub rejected: usize,
}

/// Why prompts made no pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// All rewards of the prompt are equal.
    pub ties: usize,
    /// Best and worst are less than the smallest margin apart.
    pub small_margins: usize,
    /// Best and worst are the same text, which the reward gave two numbers.
    pub identical: usize,
}

impl Skipped {
    /// Prompts without a pair.
    pub fn total(self) -> usize {
        self.ties + self.small_margins + self.identical
    }
}

impl std::ops::AddAssign for Skipped {
    fn add_assign(&mut self, other: Self) {
        self.ties += other.ties;
        self.small_margins += other.small_margins;
        self.identical += other.identical;
    }
}

/// The pairs of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pairing {
    /// At most one per prompt, in the order of prompt ids.
    pub pairs: Vec<Pair>,
    /// The prompts without one.
    pub skipped: Skipped,
}

impl Pairing {
    /// Marks the rollouts that are in a pair.
    pub(super) fn mark(&self, rollouts: &mut [Rollout]) {
        for pair in &self.pairs {
            rollouts[pair.chosen].pair = Some(Side::Chosen);
            rollouts[pair.rejected].pair = Some(Side::Rejected);
        }
    }
}

/// Pairs the best rollout of each prompt with its worst. Of equal rewards the sample with the lowest number stands, so
/// that the order of the list means nothing. `min_margin` is the least difference of rewards.
pub(super) fn by_prompt(rollouts: &[Rollout], min_margin: f64) -> Pairing {
    let mut prompts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, rollout) in rollouts.iter().enumerate() {
        prompts.entry(&rollout.prompt_id).or_default().push(place);
    }
    let mut pairing = Pairing::default();
    for mut places in prompts.into_values() {
        places.sort_by_key(|&place| rollouts[place].sample);
        let by_reward = |a: &&usize, b: &&usize| rollouts[**a].reward.total_cmp(&rollouts[**b].reward);
        // `max_by` takes the last of equals and `min_by` the first.
        let (Some(&chosen), Some(&rejected)) = (places.iter().rev().max_by(by_reward), places.iter().min_by(by_reward))
        else {
            continue;
        };
        let (best, worst) = (&rollouts[chosen], &rollouts[rejected]);
        let margin = best.reward - worst.reward;
        if margin == 0.0 {
            pairing.skipped.ties += 1;
        } else if margin < min_margin {
            pairing.skipped.small_margins += 1;
        } else if best.text == worst.text {
            pairing.skipped.identical += 1;
        } else {
            pairing.pairs.push(Pair { chosen, rejected });
        }
    }
    pairing
}

/// The bug of public code: rollouts are sorted by length for batching, and then every `each` in a row are taken for
/// those of one prompt. Kept for tests that show its effect. Lengths of real completions hardly repeat; those of tests
/// do, and rollouts of equal length are in no particular order of prompts.
#[cfg(test)]
pub(super) fn by_position(rollouts: &[Rollout], each: usize) -> Pairing {
    let mut places: Vec<usize> = (0..rollouts.len()).collect();
    let shuffled = |rollout: &Rollout| super::rollouts::seed(0, "shuffled", &rollout.prompt_id, rollout.sample);
    places.sort_by_key(|&place| (std::cmp::Reverse(rollouts[place].length), shuffled(&rollouts[place])));
    let by_reward = |a: &&usize, b: &&usize| rollouts[**a].reward.total_cmp(&rollouts[**b].reward);
    let pair = |group: &[usize]| {
        let (chosen, rejected) = (group.iter().max_by(by_reward)?, group.iter().min_by(by_reward)?);
        Some(Pair { chosen: *chosen, rejected: *rejected })
    };
    Pairing { pairs: places.chunks(each).filter_map(pair).collect(), skipped: Skipped::default() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::seq::SliceRandom;
    use rand_chacha::ChaCha8Rng;

    use super::super::rollouts::tests::rollout;
    use super::*;

    /// A pair without its position.
    fn named(rollouts: &[Rollout], pairing: &Pairing) -> Vec<[(String, usize); 2]> {
        let name = |place: usize| (rollouts[place].prompt_id.clone(), rollouts[place].sample);
        let mut pairs: Vec<_> = pairing.pairs.iter().map(|pair| [pair.chosen, pair.rejected].map(name)).collect();
        pairs.sort();
        pairs
    }

    fn shuffled(rollouts: &[Rollout], seed: u64) -> Vec<Rollout> {
        let mut rollouts = rollouts.to_vec();
        rollouts.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        rollouts
    }

    /// Eight rollouts for each of ten prompts, of many lengths.
    fn batch() -> Vec<Rollout> {
        let one = |n: usize| {
            let (prompt, sample) = (n / 8, n % 8);
            let text = "x".repeat(1 + n * 37 % 23);
            rollout(&format!("p{prompt}"), sample, &format!("{sample} {text}"), (n * 29 % 80) as f64)
        };
        (0..80).map(one).collect()
    }

    #[test]
    fn best_stands_against_worst() {
        let rewards = [1.0, 3.5, -2.0, 3.0];
        let rollouts: Vec<_> =
            (0..).zip(rewards).map(|(sample, reward)| rollout("p", sample, &sample.to_string(), reward)).collect();
        let pairing = by_prompt(&rollouts, 0.0);
        assert_eq!(pairing, Pairing { pairs: vec![Pair { chosen: 1, rejected: 2 }], skipped: Skipped::default() });
    }

    #[test]
    fn a_shuffled_batch_gives_the_same_pairs() {
        let rollouts = batch();
        let expected = named(&rollouts, &by_prompt(&rollouts, 0.0));
        assert_eq!(expected.len(), 10);
        for seed in 0..20 {
            let rollouts = shuffled(&rollouts, seed);
            assert_eq!(named(&rollouts, &by_prompt(&rollouts, 0.0)), expected, "seed {seed}");
        }
    }

    /// `by_prompt` compares answers to one prompt, and pairing by position hardly ever does.
    #[test]
    fn pairs_by_position_compare_answers_to_different_prompts() {
        let rollouts = batch();
        let same_prompt = |pairing: &Pairing| {
            let is_same = |pair: &&Pair| rollouts[pair.chosen].prompt_id == rollouts[pair.rejected].prompt_id;
            pairing.pairs.iter().filter(is_same).count()
        };
        assert_eq!(same_prompt(&by_prompt(&rollouts, 0.0)), 10);
        assert!(same_prompt(&by_position(&rollouts, 8)) <= 2, "about nine pairs in ten mix prompts");
    }

    #[test]
    fn what_makes_no_pair_is_counted() {
        let rollouts = [
            rollout("tie", 0, "a", 2.0),
            rollout("tie", 1, "b", 2.0),
            rollout("close", 0, "a", 2.0),
            rollout("close", 1, "b", 2.05),
            rollout("same", 0, "a", 1.0),
            rollout("same", 1, "a", 2.0),
            rollout("alone", 0, "a", 1.0),
            rollout("good", 0, "a", 1.0),
            rollout("good", 1, "b", 1.1),
        ];
        let pairing = by_prompt(&rollouts, 0.1);
        assert_eq!(pairing.pairs, [Pair { chosen: 8, rejected: 7 }]);
        assert_eq!(pairing.skipped, Skipped { ties: 2, small_margins: 1, identical: 1 });
        assert_eq!(by_prompt(&rollouts, 0.0).skipped, Skipped { ties: 2, small_margins: 0, identical: 1 });
        assert_eq!(by_prompt(&[], 0.0), Pairing::default());
    }

    #[test]
    fn of_equal_rewards_the_first_sample_stands() {
        let rollouts = [3, 1, 2, 0].map(|sample| rollout("p", sample, &sample.to_string(), f64::from(sample % 2 == 1)));
        let pairing = by_prompt(&rollouts, 0.0);
        let sample = |place: usize| rollouts[place].sample;
        assert_eq!(pairing.pairs.iter().map(|p| [sample(p.chosen), sample(p.rejected)]).collect::<Vec<_>>(), [[1, 0]]);
    }

    proptest! {
        #[test]
        fn a_pair_is_of_one_prompt_and_two_texts(
            rows in prop::collection::vec((0usize..5, 0u8..4, 0u8..3), 0..60), min_margin in 0.0f64..2.0,
        ) {
            let one = |(sample, (prompt, reward, text)): (usize, (usize, u8, u8))| {
                rollout(&prompt.to_string(), sample, &text.to_string(), f64::from(reward))
            };
            let rollouts: Vec<_> = rows.into_iter().enumerate().map(one).collect();
            let pairing = by_prompt(&rollouts, min_margin);
            for Pair { chosen, rejected } in &pairing.pairs {
                let (best, worst) = (&rollouts[*chosen], &rollouts[*rejected]);
                prop_assert_eq!(&best.prompt_id, &worst.prompt_id);
                prop_assert!(best.text != worst.text && best.reward - worst.reward >= min_margin && best.reward > worst.reward);
                prop_assert!(rollouts.iter().filter(|other| other.prompt_id == best.prompt_id)
                    .all(|other| (worst.reward..=best.reward).contains(&other.reward)));
            }
            let prompts: std::collections::BTreeSet<_> = rollouts.iter().map(|rollout| &rollout.prompt_id).collect();
            prop_assert_eq!(pairing.pairs.len() + pairing.skipped.total(), prompts.len());
        }
    }
}
