//! The distribution of scores and answers over the levels: confusion matrix and histograms.

use serde::Serialize;

/// Counts `[label − 1][predicted − 1]` over the levels 1..=K; a level out of range is not counted.
pub fn confusion_matrix(predicted: &[u32], labels: &[u32], levels: u32) -> Vec<Vec<u64>> {
    assert_eq!(predicted.len(), labels.len());
    let mut counts = vec![vec![0; levels as usize]; levels as usize];
    for (&predicted, &label) in predicted.iter().zip(labels) {
        if (1..=levels).contains(&predicted) && (1..=levels).contains(&label) {
            counts[label as usize - 1][predicted as usize - 1] += 1;
        }
    }
    counts
}

/// Histograms of the scores, one for each level, over the same bins.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoreHistograms {
    /// Edges of the bins, one more than bins; a bin holds its lower edge, the last one its upper edge too.
    pub edges: Vec<f64>,
    /// Counts `[label − 1][bin]`.
    pub counts: Vec<Vec<u64>>,
}

/// Histograms with `bins` bins of equal width over the range of the scores.
///
/// NaN scores and levels out of range are not counted. `None` when no score is finite or there is no bin.
pub fn score_histograms(scores: &[f64], labels: &[u32], levels: u32, bins: usize) -> Option<ScoreHistograms> {
    assert_eq!(scores.len(), labels.len());
    let finite = || scores.iter().copied().filter(|score| score.is_finite());
    let (low, high) = (finite().reduce(f64::min)?, finite().reduce(f64::max)?);
    // A single value stands in the middle of a bin range of its own.
    let (low, high) = if low < high { (low, high) } else { (low - 0.5, high + 0.5) };
    let last = bins.checked_sub(1)?;
    let mut counts = vec![vec![0; bins]; levels as usize];
    for (&score, &label) in scores.iter().zip(labels) {
        if score.is_finite() && (1..=levels).contains(&label) {
            let bin = ((score - low) / (high - low) * bins as f64) as usize;
            counts[label as usize - 1][bin.min(last)] += 1;
        }
    }
    let edges = (0..=bins).map(|i| low + (high - low) * (i as f64 / bins as f64)).collect();
    Some(ScoreHistograms { edges, counts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::golden;

    #[test]
    fn confusion_agrees_with_scikit_learn() {
        for case in &golden::cases("ordinal") {
            let levels: u32 = golden::field(case, "levels");
            let scores: Vec<f64> = golden::field(case, "scores");
            let rounded: Vec<u32> =
                scores.iter().map(|&s| crate::statistics::metrics::rounded_level(s, levels)).collect();
            let counts = confusion_matrix(&rounded, &golden::field::<Vec<u32>>(case, "labels"), levels);
            let expected: Vec<Vec<u64>> = golden::field(&case["expected"], "confusion_matrix");
            assert_eq!(counts, expected, "{}", case["name"]);
        }
    }

    #[test]
    fn levels_out_of_range_are_not_counted() {
        assert_eq!(confusion_matrix(&[0, 1, 3], &[1, 2, 1], 2), [[0, 0], [1, 0]]);
    }

    #[test]
    fn every_score_has_its_bin() {
        let histograms = score_histograms(&[1.0, 2.0, 3.0, 1.9, f64::NAN], &[1, 1, 2, 1, 2], 2, 2).unwrap();
        assert_eq!(histograms.edges, [1.0, 2.0, 3.0]);
        assert_eq!(histograms.counts, [[2, 1], [0, 1]]);
    }

    #[test]
    fn one_value_and_no_value() {
        let one = score_histograms(&[2.0, 2.0], &[1, 2], 2, 4).unwrap();
        assert_eq!((one.edges[0], one.edges[4]), (1.5, 2.5));
        assert_eq!(one.counts, [[0, 0, 1, 0], [0, 0, 1, 0]]);
        assert_eq!(score_histograms(&[], &[], 4, 10), None);
        assert_eq!(score_histograms(&[f64::NAN], &[1], 4, 10), None);
        assert_eq!(score_histograms(&[1.0], &[1], 4, 0), None);
    }
}
