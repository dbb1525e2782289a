//! Lays sequences end to end: the engine uses offsets, never padding tokens.

use super::tokenize::Example;
use crate::{Error, Result};

/// A batch of sequences without padding. `T` is the number of tokens, `S` of sequences, `E` of examples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packed {
    /// Token ids, `[T]`; the two sequences of a pair follow each other, chosen first.
    pub tokens: Vec<u32>,
    /// First token of each sequence, `[S + 1]`; the last entry is `T`.
    pub offsets: Vec<u32>,
    /// Labels, `[E]`; empty where the examples carry none.
    pub labels: Vec<f32>,
}

impl Packed {
    /// Packs examples in order.
    ///
    /// # Errors
    /// Only some of the examples have a label, or the batch holds more tokens than 32 bits count.
    pub fn new<'a>(examples: impl IntoIterator<Item = &'a Example>) -> Result<Self> {
        let mut packed = Self { offsets: vec![0], ..Self::default() };
        let mut count = 0;
        for example in examples {
            for sequence in &example.sequences {
                let end = u32::try_from(packed.tokens.len() + sequence.len()).map_err(|_| {
                    Error::run("a batch has more than 2^32 tokens", "lower `.batch_size` or `.max_length`")
                })?;
                packed.tokens.extend_from_slice(sequence);
                packed.offsets.push(end);
            }
            packed.labels.extend(example.label);
            count += 1;
        }
        if !packed.labels.is_empty() && packed.labels.len() != count {
            return Err(Error::run("only some examples of a batch have a label", ""));
        }
        Ok(packed)
    }

    /// The number of sequences.
    pub fn sequences(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }
}

/// Batches for scoring, as indices into `lengths` (tokens an example): longest first, so that a batch that does not
/// fit the device fails at once, at most `max_sequences` and `max_tokens` each.
///
/// An example longer than `max_tokens` gets a batch of its own. The caller puts the outputs back in input order.
pub fn scoring_batches(lengths: &[usize], max_sequences: usize, max_tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens = 0usize;
    for i in order {
        tokens = tokens.saturating_add(lengths[i]);
        match batches.last_mut() {
            Some(batch) if batch.len() < max_sequences && tokens <= max_tokens => batch.push(i),
            _ => {
                batches.push(vec![i]);
                tokens = lengths[i];
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example(id: &str, sequences: &[&[u32]], label: Option<f32>) -> Example {
        Example { id: id.into(), sequences: sequences.iter().map(|s| s.to_vec()).collect(), label }
    }

    #[test]
    fn sequences_follow_each_other_without_padding() {
        let packed = Packed::new(&[example("a", &[&[7, 8, 9]], Some(2.0)), example("b", &[&[7]], Some(1.0))]).unwrap();
        assert_eq!(packed.tokens, [7, 8, 9, 7]);
        assert_eq!(packed.offsets, [0, 3, 4]);
        assert_eq!((packed.labels.as_slice(), packed.sequences()), ([2.0, 1.0].as_slice(), 2));
    }

    #[test]
    fn a_pair_is_two_sequences() {
        let packed = Packed::new(&[example("p", &[&[1, 2], &[1, 3, 4]], None)]).unwrap();
        assert_eq!(packed.offsets, [0, 2, 5]);
        assert!(packed.labels.is_empty());
    }

    #[test]
    fn labels_never_slip_to_another_row() {
        assert!(Packed::new(&[example("a", &[&[1]], None), example("b", &[&[1]], Some(1.0))]).is_err());
    }

    #[test]
    fn scoring_batches_are_sorted_and_bounded() {
        assert_eq!(scoring_batches(&[2, 9, 3, 3], 2, 6), [vec![1], vec![2, 3], vec![0]]);
    }

    proptest! {
        #[test]
        fn every_example_is_scored_once(
            lengths in prop::collection::vec(1usize..50, 0..100), sequences in 1usize..6, tokens in 1usize..90,
        ) {
            let batches = scoring_batches(&lengths, sequences, tokens);
            for batch in &batches {
                let total: usize = batch.iter().map(|&i| lengths[i]).sum();
                prop_assert!(batch.len() == 1 || (batch.len() <= sequences && total <= tokens));
            }
            let mut all = batches.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
        }
    }
}
