//! Metrics in f64, exact about ties; a metric that its input leaves undefined is `None`, never NaN.
//!
//! Slices that describe the same rows must have the same length, which is asserted.

use super::ranking::{self, Ranking};
use super::weighted;

/// Whether a level is one of the two top levels, which are the positives of [`roc_auc`]; with two levels only the
/// upper.
pub fn is_positive(label: u32, levels: u32) -> bool {
    label > levels.saturating_sub(2).max(1)
}

/// Area under the ROC curve, a tie counting one half (Mann–Whitney U).
///
/// `None` when one class is empty or a score is NaN.
pub fn roc_auc(scores: &[f64], positives: &[bool]) -> Option<f64> {
    ranking::roc_auc(&Ranking::new(scores)?, positives, &vec![1; scores.len()])
}

/// Spearman's rank correlation: Pearson's on mid-ranks. `None` when a side is constant, empty or holds a NaN.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    ranking::spearman(&Ranking::new(a)?, &Ranking::new(b)?, &vec![1; a.len()])
}

/// Kendall's τ-b. `None` when a side is constant, empty or holds a NaN.
pub fn kendall_tau_b(a: &[f64], b: &[f64]) -> Option<f64> {
    ranking::kendall_tau_b(&Ranking::new(a)?, &Ranking::new(b)?, &vec![1; a.len()])
}

/// The level a score rounds to, kept within 1..=K; halves round up.
pub fn rounded_level(score: f64, levels: u32) -> u32 {
    // `as` saturates and maps NaN to 0, so every score lands in range.
    ((score + 0.5).floor() as u32).clamp(1, levels.max(1))
}

/// Cohen's κ with quadratic weights over the levels 1..=K (Cohen, 1968).
///
/// `None` when no disagreement is expected (both sides constant and equal), when empty, or when a level is out of range.
pub fn quadratic_weighted_kappa(a: &[u32], b: &[u32], levels: u32) -> Option<f64> {
    weighted::quadratic_weighted_kappa(a, b, levels, &vec![1; a.len()])
}

/// Share of predicted levels that equal the label. `None` when empty.
pub fn accuracy(predicted: &[u32], labels: &[u32]) -> Option<f64> {
    assert_eq!(predicted.len(), labels.len());
    mean(predicted.iter().zip(labels).map(|(p, y)| f64::from(u8::from(p == y))))
}

/// Mean absolute error. `None` when empty.
pub fn mae(predicted: &[f64], truth: &[f64]) -> Option<f64> {
    assert_eq!(predicted.len(), truth.len());
    mean(predicted.iter().zip(truth).map(|(p, y)| (p - y).abs()))
}

/// Root of the mean squared error. `None` when empty.
pub fn rmse(predicted: &[f64], truth: &[f64]) -> Option<f64> {
    assert_eq!(predicted.len(), truth.len());
    mean(predicted.iter().zip(truth).map(|(p, y)| (p - y).powi(2))).map(f64::sqrt)
}

/// Mean over rows and thresholds k of `[P(y > k) > ½] = [y > k]`. `None` when there is no threshold at all.
pub fn ordinal_bin_acc(probabilities: &[Vec<f64>], labels: &[u32]) -> Option<f64> {
    assert_eq!(probabilities.len(), labels.len());
    mean(
        probabilities
            .iter()
            .zip(labels)
            .flat_map(|(row, &y)| (1..).zip(row).map(move |(k, &p)| f64::from(u8::from((p > 0.5) == (y > k))))),
    )
}

/// Share of pairs whose chosen score is strictly greater; a tie is wrong. `None` when empty.
pub fn pairwise_accuracy(chosen: &[f64], rejected: &[f64]) -> Option<f64> {
    assert_eq!(chosen.len(), rejected.len());
    mean(chosen.iter().zip(rejected).map(|(c, r)| f64::from(u8::from(c > r))))
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0u64, 0.0), |(count, sum), v| (count + 1, sum + v));
    (count > 0).then(|| sum / count as f64)
}

/// The result of always answering the most frequent level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MajorityBaseline {
    /// The most frequent level; the lowest of them on a tie.
    pub level: u32,
    /// Share of rows with that level.
    pub accuracy: f64,
    /// Mean absolute error of answering that level.
    pub mae: f64,
    /// Root mean squared error of answering that level.
    pub rmse: f64,
    /// [`ordinal_bin_acc`] of answering that level.
    pub ordinal_bin_acc: f64,
}

/// The majority-class baseline of labels 1..=K. `None` when empty or when K < 2.
pub fn majority_baseline(labels: &[u32], levels: u32) -> Option<MajorityBaseline> {
    let count = |level: u32| labels.iter().filter(|&&y| y == level).count();
    // `max_by_key` keeps the last maximum, so going down leaves the lowest level.
    let level = (1..=levels).rev().max_by_key(|&level| count(level))?;
    let gaps = || labels.iter().map(|&y| (f64::from(y) - f64::from(level)).abs());
    let thresholds = f64::from(levels.checked_sub(1).filter(|&t| t > 0)?);
    Some(MajorityBaseline {
        level,
        accuracy: mean(gaps().map(|gap| f64::from(u8::from(gap == 0.0))))?,
        mae: mean(gaps())?,
        rmse: mean(gaps().map(|gap| gap * gap))?.sqrt(),
        // Each level of distance flips exactly one threshold.
        ordinal_bin_acc: 1.0 - mean(gaps())? / thresholds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::golden;

    #[test]
    fn agrees_with_scikit_learn_and_scipy() {
        for case in &golden::cases("ordinal") {
            let levels: u32 = golden::field(case, "levels");
            let (scores, other): (Vec<f64>, Vec<f64>) = (golden::field(case, "scores"), golden::field(case, "other"));
            let labels: Vec<u32> = golden::field(case, "labels");
            let probabilities: Vec<Vec<f64>> = golden::field(case, "probabilities");
            let truth: Vec<f64> = labels.iter().map(|&y| f64::from(y)).collect();
            let positives: Vec<bool> = labels.iter().map(|&y| is_positive(y, levels)).collect();
            let rounded: Vec<u32> = scores.iter().map(|&s| rounded_level(s, levels)).collect();
            let majority = majority_baseline(&labels, levels).unwrap();
            for (metric, ours) in [
                ("roc_auc", roc_auc(&scores, &positives)),
                ("spearman", spearman(&scores, &truth)),
                ("spearman_other", spearman(&scores, &other)),
                ("kendall_tau_b", kendall_tau_b(&scores, &truth)),
                ("kendall_tau_b_other", kendall_tau_b(&scores, &other)),
                ("quadratic_weighted_kappa", quadratic_weighted_kappa(&rounded, &labels, levels)),
                ("accuracy", accuracy(&rounded, &labels)),
                ("mae", mae(&scores, &truth)),
                ("rmse", rmse(&scores, &truth)),
                ("ordinal_bin_acc", ordinal_bin_acc(&probabilities, &labels)),
                ("pairwise_accuracy", pairwise_accuracy(&scores, &other)),
                ("majority_accuracy", Some(majority.accuracy)),
                ("majority_mae", Some(majority.mae)),
                ("majority_rmse", Some(majority.rmse)),
                ("majority_ordinal_bin_acc", Some(majority.ordinal_bin_acc)),
            ] {
                golden::check(case, metric, ours, 1e-12);
            }
        }
    }

    #[test]
    fn positives_leave_a_negative_level() {
        let positives = |levels| (1..=levels).filter(|&y| is_positive(y, levels)).collect::<Vec<_>>();
        assert_eq!((positives(2), positives(3), positives(4)), (vec![2], vec![2, 3], vec![3, 4]));
    }

    #[test]
    fn ties_count_one_half() {
        assert_eq!(roc_auc(&[1.0, 1.0], &[true, false]), Some(0.5));
        assert_eq!(roc_auc(&[0.0, -0.0], &[true, false]), Some(0.5), "signed zeros are equal");
        assert_eq!(roc_auc(&[2.0, 1.0, 1.0], &[true, true, false]), Some(0.75));
        assert_eq!(pairwise_accuracy(&[1.0, 2.0], &[1.0, 1.0]), Some(0.5), "a tied pair is wrong");
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(roc_auc(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(roc_auc(&[], &[]), None);
        assert_eq!(roc_auc(&[f64::NAN, 2.0], &[true, false]), None);
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(kendall_tau_b(&[1.0, 2.0], &[3.0, 3.0]), None);
        assert_eq!(kendall_tau_b(&[], &[]), None);
        assert_eq!(quadratic_weighted_kappa(&[2, 2], &[2, 2], 4), None);
        assert_eq!(quadratic_weighted_kappa(&[], &[], 4), None);
        assert_eq!(quadratic_weighted_kappa(&[5], &[1], 4), None);
        assert_eq!(mae(&[], &[]), None);
        assert_eq!(majority_baseline(&[], 4), None);
        assert_eq!(majority_baseline(&[1], 1), None);
    }

    #[test]
    fn rounding_stays_within_the_levels() {
        assert_eq!([0.2, 1.5, 2.49, 3.5, 9.0, f64::NAN].map(|s| rounded_level(s, 4)), [1, 2, 2, 4, 4, 1]);
    }

    #[test]
    fn majority_takes_the_lowest_of_a_tie() {
        let baseline = majority_baseline(&[2, 4, 2, 4], 4).unwrap();
        assert_eq!((baseline.level, baseline.accuracy, baseline.mae), (2, 0.5, 1.0));
        assert!((baseline.ordinal_bin_acc - 2.0 / 3.0).abs() < 1e-15);
    }
}
