//! The table of metrics that a held-out set is described with.

use super::metrics;

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
    let scores: Vec<f64> = probabilities.iter().map(|p| 1.0 + p.iter().sum::<f64>()).collect();
    let truth: Vec<f64> = labels.iter().map(|&y| f64::from(y)).collect();
    let positives: Vec<bool> = labels.iter().map(|&y| metrics::is_positive(y, levels)).collect();
    let rounded: Vec<u32> = scores.iter().map(|&s| metrics::rounded_level(s, levels)).collect();
    let violations = probabilities.iter().filter(|p| violates_rank_order(p)).count();
    let baseline = metrics::majority_baseline(labels, levels);

    [
        ("roc_auc", metrics::roc_auc(&scores, &positives)),
        ("spearman", metrics::spearman(&scores, &truth)),
        ("kendall_tau_b", metrics::kendall_tau_b(&scores, &truth)),
        ("quadratic_weighted_kappa", metrics::quadratic_weighted_kappa(&rounded, labels, levels)),
        ("accuracy", metrics::accuracy(&rounded, labels)),
        ("accuracy_majority", baseline.map(|b| b.accuracy)),
        ("mae", metrics::mae(&scores, &truth)),
        ("mae_majority", baseline.map(|b| b.mae)),
        ("rmse", metrics::rmse(&scores, &truth)),
        ("rmse_majority", baseline.map(|b| b.rmse)),
        ("ordinal_bin_acc", metrics::ordinal_bin_acc(probabilities, labels)),
        ("ordinal_bin_acc_majority", baseline.map(|b| b.ordinal_bin_acc)),
        ("rank_violations", (!labels.is_empty()).then(|| violations as f64 / labels.len() as f64)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
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
}
