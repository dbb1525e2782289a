//! Whether a model rewards length: correlations of scores with lengths, and pairs by which side is longer.

use serde::Serialize;

use super::ranking::{self, Ranking};
use super::{Bootstrap, Estimate, Units, weighted};

/// The correlation of scores with lengths. Baselines are the same correlations of the labels: length that users
/// themselves reward is not a bias.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LengthCorrelation {
    /// Spearman's rank correlation.
    pub spearman: Estimate,
    /// Pearson's correlation.
    pub pearson: Estimate,
}

/// Correlates scores with response lengths (words or characters, the caller's choice), beside the labels where known.
pub fn correlation(
    scores: &[f64],
    lengths: &[u64],
    labels: Option<&[f64]>,
    units: &Units,
    bootstrap: &Bootstrap,
) -> LengthCorrelation {
    let lengths: Vec<f64> = lengths.iter().map(|&length| length as f64).collect();
    let of_lengths = Ranking::new(&lengths);
    let correlations = |values: &[f64], ranks: &Option<Ranking>, weights: &[u32]| {
        let both = ranks.as_ref().zip(of_lengths.as_ref());
        vec![
            both.and_then(|(values, lengths)| ranking::spearman(values, lengths, weights)),
            weighted::pearson(values, &lengths, weights),
        ]
    };
    let ranks = Ranking::new(scores);
    let measured = bootstrap.estimates(units, |weights| correlations(scores, &ranks, weights));
    let baselines = labels.map(|labels| correlations(labels, &Ranking::new(labels), &units.ones()));
    let beside = |index: usize| measured[index].beside(baselines.as_ref().and_then(|values| values[index]));
    LengthCorrelation { spearman: beside(0), pearson: beside(1) }
}

/// A preference pair, for its lengths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LengthPair {
    /// s(chosen) − s(rejected).
    pub delta: f64,
    /// Length of the chosen response, in words or characters.
    pub chosen: u64,
    /// Length of the rejected response, in the same unit.
    pub rejected: u64,
}

/// Pairs seen by which side is the longer; pairs of equal length count nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PairLengthBias {
    /// Pairs whose longer response is the better one.
    pub longer_is_better: usize,
    /// Pairs whose longer response is the worse one.
    pub longer_is_worse: usize,
    /// Accuracy where the longer response is the better one, a tie being wrong.
    pub accuracy_longer_is_better: Estimate,
    /// Accuracy where the longer response is the worse one, a tie being wrong. Far below the other: a length bias.
    pub accuracy_longer_is_worse: Estimate,
    /// Share of pairs in which the model prefers the longer response, a tie counting one half; the baseline is the share
    /// in which the longer one truly is the better.
    pub prefers_longer: Estimate,
}

/// Measures the length bias of a model on pairs.
pub fn pair_length_bias(pairs: &[LengthPair], units: &Units, bootstrap: &Bootstrap) -> PairLengthBias {
    // Each share is a ratio of what counts for it to what it is of, per pair.
    let share_of = |numerator: f64, counts: bool| if counts { (numerator, 1.0) } else { (0.0, 0.0) };
    let right = |pair: &LengthPair| f64::from(u8::from(pair.delta > 0.0));
    let better = |pair: &LengthPair| pair.chosen > pair.rejected;
    let worse = |pair: &LengthPair| pair.chosen < pair.rejected;
    let prefers_longer = |pair: &LengthPair| {
        let towards_longer = if better(pair) { pair.delta } else { -pair.delta };
        if towards_longer == 0.0 { 0.5 } else { f64::from(u8::from(towards_longer > 0.0)) }
    };
    let rows = |row: &dyn Fn(&LengthPair) -> (f64, f64)| pairs.iter().map(row).collect::<Vec<_>>();
    let of_better = rows(&|pair| share_of(right(pair), better(pair)));
    let of_worse = rows(&|pair| share_of(right(pair), worse(pair)));
    let preferred = rows(&|pair| share_of(prefers_longer(pair), better(pair) || worse(pair)));
    let truth = rows(&|pair| share_of(f64::from(u8::from(better(pair))), better(pair) || worse(pair)));

    let shares = [&of_better, &of_worse, &preferred];
    let estimates = bootstrap.estimates(units, |weights| shares.map(|rows| weighted::ratio(rows, weights)).to_vec());
    PairLengthBias {
        longer_is_better: pairs.iter().filter(|pair| better(pair)).count(),
        longer_is_worse: pairs.iter().filter(|pair| worse(pair)).count(),
        accuracy_longer_is_better: estimates[0].beside(0.5),
        accuracy_longer_is_worse: estimates[1].beside(0.5),
        prefers_longer: estimates[2].beside(weighted::ratio(&truth, &units.ones())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick() -> Bootstrap {
        Bootstrap { samples: 100, ..Bootstrap::default() }
    }

    fn pair(delta: f64, chosen: u64, rejected: u64) -> LengthPair {
        LengthPair { delta, chosen, rejected }
    }

    #[test]
    fn a_model_that_counts_words_is_found_out() {
        let pairs: Vec<LengthPair> = (0..40)
            .map(|i| if i % 4 == 0 { (10, 30) } else { (30, 10) })
            .map(|(chosen, rejected)| pair(chosen as f64 - rejected as f64, chosen, rejected))
            .collect();
        let bias = pair_length_bias(&pairs, &Units::rows(40), &quick());
        assert_eq!((bias.longer_is_better, bias.longer_is_worse), (30, 10));
        assert_eq!(bias.accuracy_longer_is_better.value, Some(1.0));
        assert_eq!(bias.accuracy_longer_is_worse.value, Some(0.0));
        assert_eq!((bias.prefers_longer.value, bias.prefers_longer.baseline), (Some(1.0), Some(0.75)));
    }

    #[test]
    fn ties_and_equal_lengths() {
        let pairs = [pair(0.0, 5, 1), pair(1.0, 1, 5), pair(-1.0, 1, 5), pair(9.0, 3, 3)];
        let bias = pair_length_bias(&pairs, &Units::rows(4), &quick());
        assert_eq!(bias.accuracy_longer_is_better.value, Some(0.0), "a tie is wrong");
        assert_eq!(bias.accuracy_longer_is_worse.value, Some(0.5));
        assert_eq!(bias.prefers_longer.value, Some(0.5));
        let equal = pair_length_bias(&pairs[3..], &Units::rows(1), &quick());
        assert_eq!((equal.prefers_longer.value, equal.prefers_longer.baseline), (None, None));
        assert_eq!(pair_length_bias(&[], &Units::rows(0), &quick()).accuracy_longer_is_worse.value, None);
    }

    #[test]
    fn correlations_stand_beside_those_of_the_labels() {
        let (scores, lengths) = ([1.0, 2.0, 3.0, 4.0], [1, 10, 100, 1000]);
        let found = correlation(&scores, &lengths, Some(&[4.0, 3.0, 2.0, 1.0]), &Units::rows(4), &quick());
        assert!((found.spearman.value.unwrap() - 1.0).abs() < 1e-15);
        assert!((found.spearman.baseline.unwrap() + 1.0).abs() < 1e-15);
        assert!((0.7..0.9).contains(&found.pearson.value.unwrap()));
        let constant = correlation(&[1.0; 4], &lengths, None, &Units::rows(4), &quick());
        assert_eq!((constant.spearman, constant.pearson), (Estimate::default(), Estimate::default()));
    }
}
