//! The order of rows: seeded, similar lengths together, and a pure function of (seed, epoch).

use crate::{Error, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Micro-batches of a window are sorted by length together: enough for batches of alike lengths, few enough that
/// what is learned next stays random.
const WINDOW: usize = 32;

/// Cuts epochs into micro-batches.
///
/// Every epoch depends on the seed and its number only, so a run resumes from (epoch, position) alone.
#[derive(Clone, Debug)]
pub struct Sampler {
    lengths: Vec<usize>,
    batch_size: usize,
    shuffle: bool,
    seed: u64,
}

impl Sampler {
    /// A sampler over rows with these lengths in tokens.
    ///
    /// # Errors
    /// `batch_size` is 0.
    pub fn new(lengths: &[usize], batch_size: usize, shuffle: bool, seed: u64) -> Result<Self> {
        if batch_size == 0 {
            return Err(Error::input("`.batch_size`", "is 0", "a micro-batch holds at least one row"));
        }
        Ok(Self { lengths: lengths.to_vec(), batch_size, shuffle, seed })
    }

    /// Tokens of each row.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Rows per micro-batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Micro-batches of an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.lengths.len().div_ceil(self.batch_size)
    }

    /// The micro-batches of one epoch as row indices: every row once, one batch possibly short.
    ///
    /// Without shuffling these are consecutive rows in file order.
    pub fn epoch(&self, epoch: u64) -> Vec<Vec<usize>> {
        let mut rows: Vec<usize> = (0..self.lengths.len()).collect();
        if !self.shuffle {
            return rows.chunks(self.batch_size).map(<[_]>::to_vec).collect();
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(epoch);
        rows.shuffle(&mut random);
        let mut batches = Vec::with_capacity(self.batches_per_epoch());
        for window in rows.chunks_mut(self.batch_size.saturating_mul(WINDOW)) {
            window.sort_by_key(|&row| self.lengths[row]);
            batches.extend(window.chunks(self.batch_size).map(<[_]>::to_vec));
        }
        batches.shuffle(&mut random);
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn file_order_without_shuffling() {
        let sampler = Sampler::new(&[5, 1, 4, 2, 3], 2, false, 7).unwrap();
        assert_eq!(sampler.epoch(0), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(sampler.epoch(0), sampler.epoch(1));
        assert_eq!(sampler.batches_per_epoch(), 3);
    }

    #[test]
    fn seed_and_epoch_decide_the_order() {
        let lengths: Vec<usize> = (0..500).map(|i| i * 37 % 101).collect();
        let order = |seed, epoch| Sampler::new(&lengths, 4, true, seed).unwrap().epoch(epoch);
        assert_eq!(order(1, 3), order(1, 3));
        assert_ne!(order(1, 3), order(1, 4));
        assert_ne!(order(1, 3), order(2, 3));
    }

    #[test]
    fn the_order_does_not_change_between_releases() {
        // Resuming a run relies on this; a new version of the generator must not pass unnoticed.
        let sampler = Sampler::new(&[1; 8], 3, true, 42).unwrap();
        assert_eq!(sampler.epoch(0), [vec![7, 1, 5], vec![4, 6, 0], vec![3, 2]]);
    }

    #[test]
    fn batches_hold_alike_lengths() {
        let lengths: Vec<usize> = (0..1024).map(|i| i * 389 % 1024).collect();
        let padding = |batches: Vec<Vec<usize>>| -> usize {
            batches.iter().map(|b| b.len() * b.iter().map(|&r| lengths[r]).max().unwrap_or(0)).sum::<usize>()
                - lengths.iter().sum::<usize>()
        };
        let shuffled = padding(Sampler::new(&lengths, 8, true, 0).unwrap().epoch(0));
        let in_order = padding(Sampler::new(&lengths, 8, false, 0).unwrap().epoch(0));
        assert!(shuffled * 10 < in_order, "{shuffled} against {in_order}");
    }

    #[test]
    fn a_batch_size_of_zero_is_refused() {
        assert!(Sampler::new(&[1], 0, true, 0).unwrap_err().to_string().contains("`.batch_size`"));
    }

    proptest! {
        #[test]
        fn every_row_comes_exactly_once(
            lengths in prop::collection::vec(1usize..300, 0..400), batch_size in 1usize..9,
            shuffle: bool, seed: u64, epoch: u64,
        ) {
            let sampler = Sampler::new(&lengths, batch_size, shuffle, seed).unwrap();
            let batches = sampler.epoch(epoch);
            prop_assert_eq!(batches.len(), sampler.batches_per_epoch());
            prop_assert!(batches.iter().filter(|batch| batch.len() != batch_size).count() <= 1);
            let mut rows = batches.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
        }
    }
}
