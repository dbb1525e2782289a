//! The maximum size of a run's batches, and the batches of a pass without training.

use crate::data::scoring_batches;
use crate::model::activations::{AdapterRoom, Checkpointing};
use crate::model::batch::Capacity;
use crate::model::parameter::Holding;
use crate::model::policy::{LOGIT_BYTES, Settings};
use crate::train::course::Course;

use super::encode::TokenPair;

/// The largest batch that a policy is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Tokens.
    pub tokens: usize,
    /// Pairs.
    pub pairs: usize,
    /// Tokens of a sequence.
    pub length: usize,
    /// Tokens of completions.
    pub predictions: usize,
    /// Whether the sides of a pair share their prompt in every model that reads them.
    pub shares_prompts: bool,
}

impl Room {
    /// Room for the micro-batches of a course over `pairs`, and for passes over them and over `held_out`.
    pub(super) fn new(course: &Course, pairs: &[TokenPair], held_out: &[TokenPair], shares_prompts: bool) -> Self {
        let mut room = Self { tokens: 1, pairs: 1, length: 1, predictions: 1, shares_prompts };
        for batch in course.all_batches() {
            room.tokens = room.tokens.max(batch.iter().map(|i| pairs[*i].packed_tokens(shares_prompts)).sum());
            room.predictions = room.predictions.max(batch.iter().map(|i| pairs[*i].predictions()).sum());
            room.pairs = room.pairs.max(batch.len());
        }
        for pair in pairs.iter().chain(held_out) {
            room.tokens = room.tokens.max(pair.packed_tokens(shares_prompts));
            room.length = room.length.max(pair.longest());
        }
        for set in [pairs, held_out] {
            for batch in room.passes(set) {
                room.predictions = room.predictions.max(batch.iter().map(|i| set[*i].predictions()).sum());
            }
        }
        room
    }

    /// Batches in which all pairs pass once, alike lengths together.
    pub(super) fn passes(&self, pairs: &[TokenPair]) -> Vec<Vec<usize>> {
        let lengths: Vec<usize> = pairs.iter().map(|pair| pair.packed_tokens(self.shares_prompts)).collect();
        scoring_batches(&lengths, self.pairs, self.tokens)
    }

    /// The settings of a policy with this room; `adapters` where it has some.
    pub(super) fn settings(
        &self,
        holding: Holding,
        checkpointing: Checkpointing,
        adapters: Option<AdapterRoom>,
    ) -> Settings {
        Settings {
            holding,
            checkpointing,
            adapters,
            capacity: Capacity { tokens: self.tokens, sequences: 2 * self.pairs, length: self.length },
            predictions: self.predictions,
            logit_bytes: LOGIT_BYTES,
            temperature: 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::PackedCompletions;
    use crate::train::TrainerConfig;

    #[test]
    fn every_batch_fits() {
        let pair = |n: usize| {
            let side = |len: usize| vec![7; 1 + len];
            TokenPair::new(n.to_string(), &vec![5; 1 + n % 3], [&side(n * 7 % 13), &side(n * 5 % 11)])
        };
        let pairs: Vec<TokenPair> = (0..37).map(pair).collect();
        let held_out: Vec<TokenPair> = (37..60).map(pair).collect();
        let lengths: Vec<usize> = pairs.iter().map(TokenPair::tokens).collect();
        let config = TrainerConfig { batch_size: 3, epochs: 2, ..TrainerConfig::default() };
        let course = Course::new(&lengths, 1e-6, &config, &crate::Ranks::alone()).unwrap();
        let [apart, sharing] =
            [false, true].map(|shares_prompts| Room::new(&course, &pairs, &held_out, shares_prompts));
        assert!(sharing.tokens < apart.tokens && sharing.predictions <= apart.predictions);
        for room in [apart, sharing] {
            let fits = |set: &[TokenPair], batch: &[usize]| {
                let sides = batch.iter().flat_map(|i| set[*i].sides());
                let packed = match room.shares_prompts {
                    true => PackedCompletions::sharing_prompts(sides),
                    false => PackedCompletions::new(sides),
                };
                let packed = packed.unwrap();
                batch.len() <= room.pairs
                    && packed.tokens.len() <= room.tokens
                    && packed.predictions() <= room.predictions
                    && batch.iter().all(|i| set[*i].longest() <= room.length)
            };
            assert!(course.all_batches().all(|batch| fits(&pairs, &batch)));
            for set in [&pairs, &held_out] {
                let passes = room.passes(set);
                assert!(passes.iter().all(|batch| fits(set, batch)));
                assert_eq!(passes.concat().len(), set.len());
            }
        }
    }
}
