//! The metrics of a held-out set.

use super::ranking::{self, Ranking};
use super::{Bootstrap, Estimate, Units, metrics, weighted};

/// Whether P(y > k) rises with k somewhere, which makes a class probability negative.
pub fn violates_rank_order(probabilities: &[f64]) -> bool {
    probabilities.windows(2).any(|pair| pair[1] > pair[0])
}

/// The metrics of a scored set with known levels, in the order they are shown.
///
/// `probabilities` holds K−1 values P(y > k) a row and `labels` the levels 1..=K. Names ending in `_majority` are what
/// always answering the most frequent level would get; the majority's ROC-AUC is ½ by definition and is not listed.
/// A metric that this set leaves undefined (one class only, a constant score) is left out.
pub fn summary(probabilities: &[Vec<f64>], labels: &[u32], levels: u32) -> Vec<(&'static str, f64)> {
    let ones = vec![1; labels.len()];
    let scored = Scored::new(probabilities, labels, levels);
    let mut table = vec![];
    for ((name, value), baseline) in NAMES.into_iter().zip(scored.values(&ones)).zip(baselines(labels, levels)) {
        table.extend(value.map(|value| (name, value)));
        if let (Some(name), Some(baseline)) = (majority_name(name), baseline) {
            table.push((name, baseline));
        }
    }
    table
}

/// The same metrics with intervals, each beside its baseline: what always answering the most frequent level would get,
/// ½ for ROC-AUC, 0 for the correlations and κ, nothing for `rank_violations`.
///
/// A metric that this set leaves undefined keeps its place, without a value.
pub fn estimates(
    probabilities: &[Vec<f64>],
    labels: &[u32],
    levels: u32,
    units: &Units,
    bootstrap: &Bootstrap,
) -> Vec<(&'static str, Estimate)> {
    let scored = Scored::new(probabilities, labels, levels);
    let measured = bootstrap.estimates(units, |weights| scored.values(weights).to_vec());
    let beside = measured.into_iter().zip(baselines(labels, levels)).map(|(e, baseline)| e.beside(baseline));
    NAMES.into_iter().zip(beside).collect()
}

const NAMES: [&str; 9] = [
    "roc_auc",
    "spearman",
    "kendall_tau_b",
    "quadratic_weighted_kappa",
    "accuracy",
    "mae",
    "rmse",
    "ordinal_bin_acc",
    "rank_violations",
];

/// The name of a metric's majority baseline, where that is a number of the set and not of the definition.
fn majority_name(metric: &str) -> Option<&'static str> {
    match metric {
        "accuracy" => Some("accuracy_majority"),
        "mae" => Some("mae_majority"),
        "rmse" => Some("rmse_majority"),
        "ordinal_bin_acc" => Some("ordinal_bin_acc_majority"),
        _ => None,
    }
}

/// Baselines in the order of [`NAMES`].
fn baselines(labels: &[u32], levels: u32) -> [Option<f64>; NAMES.len()] {
    let majority = metrics::majority_baseline(labels, levels);
    [
        Some(0.5),
        Some(0.0),
        Some(0.0),
        Some(0.0),
        majority.map(|m| m.accuracy),
        majority.map(|m| m.mae),
        majority.map(|m| m.rmse),
        majority.map(|m| m.ordinal_bin_acc),
        None,
    ]
}

/// A scored set laid out for any weighting of its rows: ranked once, and one number per row for every mean.
struct Scored<'a> {
    labels: &'a [u32],
    levels: u32,
    rounded: Vec<u32>,
    positives: Vec<bool>,
    /// Ranks of scores and labels; `None` when a score is NaN.
    ranks: Option<(Ranking, Ranking)>,
    hits: Vec<f64>,
    absolute_errors: Vec<f64>,
    squared_errors: Vec<f64>,
    threshold_hits: Vec<f64>,
    violations: Vec<f64>,
}

impl<'a> Scored<'a> {
    fn new(probabilities: &[Vec<f64>], labels: &'a [u32], levels: u32) -> Self {
        assert_eq!(probabilities.len(), labels.len());
        let scores: Vec<f64> = probabilities.iter().map(|p| 1.0 + p.iter().sum::<f64>()).collect();
        let truth: Vec<f64> = labels.iter().map(|&y| f64::from(y)).collect();
        let rounded: Vec<u32> = scores.iter().map(|&s| metrics::rounded_level(s, levels)).collect();
        let errors = || scores.iter().zip(&truth).map(|(s, y)| s - y);
        // A row's share of right thresholds is the metric of that row alone; NaN if there are no thresholds.
        let threshold_hits = |(p, y): (&Vec<f64>, &u32)| {
            metrics::ordinal_bin_acc(std::slice::from_ref(p), std::slice::from_ref(y)).unwrap_or(f64::NAN)
        };
        Self {
            labels,
            levels,
            positives: labels.iter().map(|&y| metrics::is_positive(y, levels)).collect(),
            ranks: Ranking::new(&scores).zip(Ranking::new(&truth)),
            hits: rounded.iter().zip(labels).map(|(r, y)| f64::from(u8::from(r == y))).collect(),
            absolute_errors: errors().map(f64::abs).collect(),
            squared_errors: errors().map(|e| e * e).collect(),
            threshold_hits: probabilities.iter().zip(labels).map(threshold_hits).collect(),
            violations: probabilities.iter().map(|p| f64::from(u8::from(violates_rank_order(p)))).collect(),
            rounded,
        }
    }

    /// The metrics in the order of [`NAMES`].
    fn values(&self, weights: &[u32]) -> [Option<f64>; NAMES.len()] {
        let ranks = self.ranks.as_ref();
        [
            ranks.and_then(|(scores, _)| ranking::roc_auc(scores, &self.positives, weights)),
            ranks.and_then(|(scores, truth)| ranking::spearman(scores, truth, weights)),
            ranks.and_then(|(scores, truth)| ranking::kendall_tau_b(scores, truth, weights)),
            weighted::quadratic_weighted_kappa(&self.rounded, self.labels, self.levels, weights),
            weighted::mean(&self.hits, weights),
            weighted::mean(&self.absolute_errors, weights),
            weighted::mean(&self.squared_errors, weights).map(f64::sqrt),
            weighted::mean(&self.threshold_hits, weights),
            weighted::mean(&self.violations, weights),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rising_probabilities_violate_the_order_and_equal_ones_do_not() {
        assert!(violates_rank_order(&[0.5, 0.7, 0.2]));
        assert!(!violates_rank_order(&[0.5, 0.5, 0.2]));
    }

    #[test]
    fn summary_of_perfect_scores() {
        let probabilities = vec![vec![0.0, 0.0, 0.0], vec![1.0, 0.0, 0.0], vec![1.0, 1.0, 0.0], vec![1.0, 1.0, 1.0]];
        let table: std::collections::HashMap<_, _> = summary(&probabilities, &[1, 2, 3, 4], 4).into_iter().collect();
        for name in ["roc_auc", "spearman", "kendall_tau_b", "quadratic_weighted_kappa", "accuracy", "ordinal_bin_acc"]
        {
            assert!((table[name] - 1.0).abs() < 1e-12, "{name}");
        }
        assert_eq!((table["mae"], table["rmse"], table["rank_violations"]), (0.0, 0.0, 0.0));
        assert_eq!(table["accuracy_majority"], 0.25);
    }

    #[test]
    fn summary_leaves_out_what_is_undefined() {
        assert!(summary(&[], &[], 4).is_empty());
        let one_class = summary(&[vec![0.2, 0.1, 0.1]], &[1], 4);
        assert!(one_class.iter().all(|(name, value)| *name != "roc_auc" && value.is_finite()));
    }

    #[test]
    fn the_table_agrees_with_the_plain_metrics() {
        for case in &crate::statistics::golden::cases("ordinal") {
            use crate::statistics::golden::{check, field};
            let probabilities: Vec<Vec<f64>> = field(case, "probabilities");
            let labels: Vec<u32> = field(case, "labels");
            let bootstrap = Bootstrap { samples: 30, ..Bootstrap::default() };
            let units = Units::rows(labels.len());
            for (name, estimate) in estimates(&probabilities, &labels, field(case, "levels"), &units, &bootstrap) {
                if name != "rank_violations" {
                    check(case, name, estimate.value, 1e-12);
                }
                if let Some(majority) = majority_name(name) {
                    check(
                        case,
                        &format!("majority_{}", majority.trim_end_matches("_majority")),
                        estimate.baseline,
                        1e-12,
                    );
                }
                if let (Some(value), Some(interval)) = (estimate.value, estimate.interval) {
                    assert!(interval.low <= interval.high && value.is_finite(), "{name} {estimate:?}");
                }
            }
        }
    }
}
