//! From logits to P(y > k), to the score, and to the table of metrics that a held-out set is described with.

use super::metrics;

/// How the K−1 logits of an ordinal head are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// P(y > k) = σ(z_k), each threshold on its own; the probabilities need not fall with k.
    Independent,
    /// P(y > k) = σ(z_k) with one shared row and ordered biases (Cao, Mirjalili and Raschka, 2020).
    Coral,
    /// P(y > k) = Π_{j ≤ k} σ(z_j): logit k is conditional on y > k−1 (Shi, Cao and Raschka, 2021).
    Corn,
}

/// The logistic function, without overflow for large |z|.
pub fn sigmoid(z: f64) -> f64 {
    if z >= 0.0 {
        1.0 / (1.0 + (-z).exp())
    } else {
        let e = z.exp();
        e / (1.0 + e)
    }
}

/// P(y > k) for k = 1..K−1, from the K−1 logits of one row.
pub fn probabilities(head: Head, logits: &[f32]) -> Vec<f64> {
    let single = logits.iter().map(|&z| sigmoid(f64::from(z)));
    match head {
        Head::Independent | Head::Coral => single.collect(),
        Head::Corn => single
            .scan(1.0, |product, p| {
                *product *= p;
                Some(*product)
            })
            .collect(),
    }
}

/// The expected level 1 + Σ_k P(y > k), between 1 and K.
pub fn score(probabilities: &[f64]) -> f64 {
    1.0 + probabilities.iter().sum::<f64>()
}

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
    let scores: Vec<f64> = probabilities.iter().map(|p| score(p)).collect();
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
    fn sigmoid_survives_extremes() {
        assert_eq!(sigmoid(0.0), 0.5);
        assert_eq!(sigmoid(1000.0), 1.0);
        assert_eq!(sigmoid(-1000.0), 0.0);
        assert!((sigmoid(-3.0) + sigmoid(3.0) - 1.0).abs() < 1e-15);
    }

    #[test]
    fn heads_read_the_same_logits_differently() {
        let logits = [2.0f32, 0.0, -1.0];
        let single = logits.map(|z| 1.0 / (1.0 + f64::from(-z).exp()));
        assert_eq!(probabilities(Head::Coral, &logits), probabilities(Head::Independent, &logits));
        for (p, expected) in probabilities(Head::Independent, &logits).iter().zip(single) {
            assert!((p - expected).abs() < 1e-15);
        }
        let corn = probabilities(Head::Corn, &logits);
        for (p, expected) in corn.iter().zip([single[0], single[0] * single[1], single[0] * single[1] * single[2]]) {
            assert!((p - expected).abs() < 1e-15);
        }
        assert!((score(&corn) - (1.0 + single[0] + single[0] * single[1] * (1.0 + single[2]))).abs() < 1e-15);
    }

    #[test]
    fn only_independent_thresholds_can_violate_the_order() {
        assert!(violates_rank_order(&probabilities(Head::Independent, &[0.0, 1.0, -1.0])));
        assert!(!violates_rank_order(&probabilities(Head::Corn, &[0.0, 1.0, -1.0])));
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
