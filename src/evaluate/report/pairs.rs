//! Results of a model on the pairs of a suite.

use serde::Serialize;

use super::disagreements::{PairDisagreement, wrong_pairs};
use super::slices::{SlicesBy, length, slices_by};
use crate::evaluate::suites::{Suite, response};
use crate::statistics::length_bias::{LengthPair, PairLengthBias, pair_length_bias};
use crate::statistics::pairs::{PairSummary, summary};
use crate::statistics::{Bootstrap, Estimate, weighted};

/// The pairs of a suite, scored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairReport {
    /// Accuracy, ties, coverage, calibration.
    #[serde(flatten)]
    pub summary: PairSummary,
    /// Whether length is rewarded.
    pub length_bias: PairLengthBias,
    /// Accuracy by `source`, `language`, `user`, and `length` of the better response.
    pub slices: SlicesBy<Estimate>,
    /// The pairs with the largest wrong margins.
    pub worst: Vec<PairDisagreement>,
}

/// Describes the pairs of a suite; `None` where it has none. Pairs of one prompt are drawn together.
pub fn describe(suite: &Suite, scores: &[Vec<f64>], bins: usize, bootstrap: &Bootstrap) -> Option<PairReport> {
    let pairs: Vec<(usize, [usize; 2])> =
        (0..suite.items.len()).flat_map(|item| suite.items[item].pairs.iter().map(move |&pair| (item, pair))).collect();
    if pairs.is_empty() {
        return None;
    }
    let units = suite.units(pairs.iter().map(|(item, _)| *item));
    let deltas: Vec<f64> =
        pairs.iter().map(|&(item, [better, worse])| scores[item][better] - scores[item][worse]).collect();
    let length_of = |item: usize, place: usize| length(response(&suite.items[item].responses[place]));
    let lengths: Vec<LengthPair> = pairs
        .iter()
        .zip(&deltas)
        .map(|(&(item, [better, worse]), &delta)| LengthPair {
            delta,
            chosen: length_of(item, better),
            rejected: length_of(item, worse),
        })
        .collect();
    let right: Vec<f64> = deltas.iter().map(|&delta| f64::from(u8::from(delta > 0.0))).collect();
    let accuracy = |rows: &[usize]| {
        let of_slice: Vec<f64> = rows.iter().map(|&row| right[row]).collect();
        bootstrap.estimate(&units.subset(rows), |weights| weighted::mean(&of_slice, weights)).beside(0.5)
    };
    let better: Vec<(usize, usize)> = pairs.iter().map(|&(item, [better, _])| (item, better)).collect();
    Some(PairReport {
        summary: summary(&deltas, &units, bins, bootstrap),
        length_bias: pair_length_bias(&lengths, &units, bootstrap),
        slices: slices_by(suite, &better, accuracy),
        worst: wrong_pairs(suite, &pairs, scores),
    })
}
