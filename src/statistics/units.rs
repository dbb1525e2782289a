//! Units of resampling: rows of one prompt or conversation are similar, so they are resampled, or split off, together.

use std::collections::HashMap;
use std::hash::Hash;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Streams of a seed that are not numbers of bootstrap samples; see [`stream`].
pub(super) const SPLIT: u64 = u64::MAX;
pub(super) const ORIENTATION: u64 = u64::MAX - 1;

/// The random numbers of one purpose: streams of the same seed are independent of each other.
pub(crate) fn stream(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}

/// How rows form units and units form strata.
///
/// A statistic reads *weights*: how often a row was drawn, one number per row. All ones is the set itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Units {
    /// The unit of each row; units are numbered by first appearance.
    of_row: Vec<usize>,
    /// The units of each stratum, which keeps its number of units in every sample.
    strata: Vec<Vec<usize>>,
}

/// Numbers keys by first appearance.
fn numbered<K: Eq + Hash>(keys: impl IntoIterator<Item = K>) -> (Vec<usize>, usize) {
    let mut numbers = HashMap::new();
    let of_row = keys
        .into_iter()
        .map(|key| {
            let next = numbers.len();
            *numbers.entry(key).or_insert(next)
        })
        .collect();
    (of_row, numbers.len())
}

impl Units {
    /// Every row is a unit of its own.
    pub fn rows(rows: usize) -> Self {
        Self { of_row: (0..rows).collect(), strata: vec![(0..rows).collect()] }
    }

    /// Rows with the same key (a prompt, a conversation, a user) are one unit. One key a row.
    pub fn grouped<K: Eq + Hash>(keys: impl IntoIterator<Item = K>) -> Self {
        let (of_row, units) = numbered(keys);
        Self { of_row, strata: vec![(0..units).collect()] }
    }

    /// Draws each stratum on its own: a benchmark's subsets keep their sizes, as they are part of its design.
    ///
    /// One key a row; a unit belongs to the stratum of its first row.
    pub fn stratified<K: Eq + Hash>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        let (stratum_of_row, strata) = numbered(keys);
        assert_eq!(stratum_of_row.len(), self.of_row.len());
        self.strata = vec![vec![]; strata];
        let mut seen = 0;
        for (&unit, &stratum) in self.of_row.iter().zip(&stratum_of_row) {
            if unit == seen {
                self.strata[stratum].push(unit);
                seen += 1;
            }
        }
        self
    }

    /// Number of rows.
    pub fn row_count(&self) -> usize {
        self.of_row.len()
    }

    /// Number of units.
    pub fn unit_count(&self) -> usize {
        self.strata.iter().map(Vec::len).sum()
    }

    /// The weights of the set itself.
    pub fn ones(&self) -> Vec<u32> {
        vec![1; self.row_count()]
    }

    /// Only some rows, in the order given; units keep together, strata are forgotten.
    pub fn subset(&self, rows: &[usize]) -> Self {
        Self::grouped(rows.iter().map(|&row| self.of_row[row]))
    }

    /// Whether samples can differ from the set at all.
    pub(super) fn vary(&self) -> bool {
        self.strata.iter().any(|stratum| stratum.len() > 1)
    }

    /// Draws with replacement as many units of each stratum as it has. `drawn` is scratch space.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng, drawn: &mut Vec<u32>, weights: &mut Vec<u32>) {
        drawn.clear();
        drawn.resize(self.unit_count(), 0);
        for stratum in &self.strata {
            for _ in 0..stratum.len() {
                drawn[stratum[rng.random_range(0..stratum.len())]] += 1;
            }
        }
        weights.clear();
        weights.extend(self.of_row.iter().map(|&unit| drawn[unit]));
    }

    /// Whether each row falls into the first of two seeded halves; no unit is in both.
    ///
    /// Halves are counted in units; with an odd number the second half gets one more.
    pub fn halves(&self, seed: u64) -> Vec<bool> {
        let mut units: Vec<usize> = (0..self.unit_count()).collect();
        units.shuffle(&mut stream(seed, SPLIT));
        let mut first = vec![false; units.len()];
        units[..units.len() / 2].iter().for_each(|&unit| first[unit] = true);
        self.of_row.iter().map(|&unit| first[unit]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn weights(units: &Units, number: u64) -> Vec<u32> {
        let mut weights = vec![];
        units.draw(&mut stream(3, number), &mut vec![], &mut weights);
        weights
    }

    #[test]
    fn a_subset_keeps_units_together() {
        let units = Units::grouped(["a", "b", "a", "c"]);
        assert_eq!((units.row_count(), units.unit_count()), (4, 3));
        assert_eq!(units.subset(&[2, 3, 0]), Units::grouped([0, 1, 0]));
    }

    #[test]
    fn streams_differ() {
        let units = Units::rows(50);
        assert_eq!(weights(&units, 1), weights(&units, 1));
        assert_ne!(weights(&units, 1), weights(&units, 2));
    }

    #[test]
    fn nothing_is_a_set_too() {
        let none = Units::rows(0);
        assert!(weights(&none, 0).is_empty() && none.halves(1).is_empty() && !none.vary());
    }

    proptest! {
        #[test]
        fn rows_of_a_unit_stay_together(keys in prop::collection::vec(0u8..9, 1..60), seed: u64) {
            let units = Units::grouped(&keys);
            let (drawn, half) = (weights(&units, seed), units.halves(seed));
            let mut per_unit = HashMap::new();
            for ((key, &weight), &first) in keys.iter().zip(&drawn).zip(&half) {
                prop_assert_eq!(*per_unit.entry(key).or_insert((weight, first)), (weight, first));
            }
            prop_assert_eq!(per_unit.values().map(|unit| unit.0 as usize).sum::<usize>(), units.unit_count());
            prop_assert_eq!(per_unit.values().filter(|unit| unit.1).count(), units.unit_count() / 2);
        }

        #[test]
        fn strata_keep_their_sizes(strata in prop::collection::vec(0u8..4, 1..60), seed: u64) {
            let drawn = weights(&Units::rows(strata.len()).stratified(&strata), seed);
            for stratum in 0..4 {
                let size = strata.iter().filter(|&&s| s == stratum).count();
                let total: u32 = drawn.iter().zip(&strata).filter(|(_, s)| **s == stratum).map(|(w, _)| w).sum();
                prop_assert_eq!(total as usize, size);
            }
        }
    }
}
