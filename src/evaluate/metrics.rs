//! Metrics in f64, exact about ties; a metric that its input leaves undefined is `None`, never NaN.
//!
//! Slices that describe the same rows must have the same length; that is the caller's duty and is asserted.

/// Mid-ranks times two (so that they are whole numbers): tied values share the average of their ranks 1..n.
fn doubled_ranks(values: &[f64]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| compare(values[a], values[b]));
    let mut ranks = vec![0; values.len()];
    let mut start = 0;
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        // Ranks start+1 ..= start+len have the mean start + (len+1)/2.
        let doubled = (2 * start + group.len() + 1) as u64;
        group.iter().for_each(|&row| ranks[row] = doubled);
        start += group.len();
    }
    ranks
}

/// Order of two numbers, with −0 = +0 (which `total_cmp` tells apart); NaN is kept out by the callers.
fn compare(a: f64, b: f64) -> std::cmp::Ordering {
    a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal)
}

fn any_nan(values: &[f64]) -> bool {
    values.iter().any(|v| v.is_nan())
}

/// Whether a level is one of the two top levels, which are the positives of [`roc_auc`]; of two levels only the upper.
pub fn is_positive(label: u32, levels: u32) -> bool {
    label > levels.saturating_sub(2).max(1)
}

/// Area under the ROC curve, a tie counting one half (Mann–Whitney U).
///
/// `None` when one class is empty or a score is NaN.
pub fn roc_auc(scores: &[f64], positives: &[bool]) -> Option<f64> {
    assert_eq!(scores.len(), positives.len());
    let n_positive = positives.iter().filter(|&&p| p).count() as u64;
    let n_negative = positives.len() as u64 - n_positive;
    if n_positive == 0 || n_negative == 0 || any_nan(scores) {
        return None;
    }
    let ranks = doubled_ranks(scores);
    let rank_sum: u64 = ranks.iter().zip(positives).filter(|&(_, &p)| p).map(|(&rank, _)| rank).sum();
    let doubled_u = rank_sum - n_positive * (n_positive + 1);
    Some(doubled_u as f64 / 2.0 / (n_positive as f64 * n_negative as f64))
}

/// Spearman's rank correlation: Pearson's on mid-ranks. `None` when a side is constant, empty or holds a NaN.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    assert_eq!(a.len(), b.len());
    if any_nan(a) || any_nan(b) {
        return None;
    }
    // The mean of doubled mid-ranks is n + 1 whatever the ties.
    let mean = (a.len() + 1) as f64;
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (x, y) in doubled_ranks(a).into_iter().zip(doubled_ranks(b)) {
        let (dx, dy) = (x as f64 - mean, y as f64 - mean);
        aa += dx * dx;
        bb += dy * dy;
        ab += dx * dy;
    }
    (aa > 0.0 && bb > 0.0).then(|| ab / (aa * bb).sqrt())
}

/// Kendall's τ-b in O(n log n) (Knight, 1966). `None` when a side is constant, empty or holds a NaN.
pub fn kendall_tau_b(a: &[f64], b: &[f64]) -> Option<f64> {
    assert_eq!(a.len(), b.len());
    if any_nan(a) || any_nan(b) {
        return None;
    }
    let mut pairs: Vec<(f64, f64)> = a.iter().copied().zip(b.iter().copied()).collect();
    pairs.sort_by(|p, q| compare(p.0, q.0).then(compare(p.1, q.1)));
    let tied_a = tied_pairs(&pairs, |p, q| p.0 == q.0);
    let tied_both = tied_pairs(&pairs, |p, q| p == q);
    let mut by_b: Vec<f64> = pairs.into_iter().map(|p| p.1).collect();
    let discordant = sort_counting_swaps(&mut by_b);
    let tied_b = tied_pairs(&by_b, |p, q| p == q);

    let total = pairs_of(a.len());
    if tied_a == total || tied_b == total {
        return None;
    }
    let concordant_minus_discordant = (total + tied_both - tied_a - tied_b) as f64 - 2.0 * discordant as f64;
    Some(concordant_minus_discordant / ((total - tied_a) as f64).sqrt() / ((total - tied_b) as f64).sqrt())
}

fn pairs_of(n: usize) -> u64 {
    let n = n as u64;
    n * n.saturating_sub(1) / 2
}

/// Pairs within runs of equal neighbours of a sorted slice.
fn tied_pairs<T>(sorted: &[T], equal: impl FnMut(&T, &T) -> bool) -> u64 {
    sorted.chunk_by(equal).map(|run| pairs_of(run.len())).sum()
}

/// Merge sort that counts the strict inversions it removes.
fn sort_counting_swaps(values: &mut [f64]) -> u64 {
    if values.len() < 2 {
        return 0;
    }
    let (left, right) = values.split_at_mut(values.len() / 2);
    let mut swaps = sort_counting_swaps(left) + sort_counting_swaps(right);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut i, mut j) = (0, 0);
    while i < left.len() && j < right.len() {
        if right[j] < left[i] {
            swaps += (left.len() - i) as u64;
            merged.push(right[j]);
            j += 1;
        } else {
            merged.push(left[i]);
            i += 1;
        }
    }
    merged.extend_from_slice(&left[i..]);
    merged.extend_from_slice(&right[j..]);
    values.copy_from_slice(&merged);
    swaps
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
    assert_eq!(a.len(), b.len());
    if a.iter().chain(b).any(|level| !(1..=levels).contains(level)) {
        return None;
    }
    // Σ (i−j)² over observed pairs, and over all n² pairs of the two margins, which moments give without a table.
    let n = a.len() as f64;
    let squared_gap = |x: u32, y: u32| (f64::from(x) - f64::from(y)).powi(2);
    let observed: f64 = a.iter().zip(b).map(|(&x, &y)| squared_gap(x, y)).sum();
    let sum = |side: &[u32]| side.iter().map(|&v| f64::from(v)).sum::<f64>();
    let sum_of_squares = |side: &[u32]| side.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    let expected = sum_of_squares(a) + sum_of_squares(b) - 2.0 * sum(a) * sum(b) / n;
    (expected > 0.0).then(|| 1.0 - observed / expected)
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

/// What always answering the most frequent level would get.
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

    fn close(ours: Option<f64>, expected: &serde_json::Value, what: &str) {
        match (ours, expected.as_f64()) {
            (Some(ours), Some(expected)) => assert!((ours - expected).abs() <= 1e-12, "{what}: {ours} ≠ {expected}"),
            (ours, expected) => assert_eq!(ours.is_some(), expected.is_some(), "{what}"),
        }
    }

    /// Compares with scikit-learn and SciPy; `tests/golden/metrics.py` writes the file.
    #[test]
    fn agrees_with_scikit_learn_and_scipy() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../tests/golden/metrics.json")).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert!(cases.len() >= 8);
        for case in cases {
            let name = case["name"].as_str().unwrap();
            let levels = case["levels"].as_u64().unwrap() as u32;
            let numbers = |key: &str| -> Vec<f64> { serde_json::from_value(case[key].clone()).unwrap() };
            let (scores, other) = (numbers("scores"), numbers("other"));
            let labels: Vec<u32> = serde_json::from_value(case["labels"].clone()).unwrap();
            let probabilities: Vec<Vec<f64>> = serde_json::from_value(case["probabilities"].clone()).unwrap();
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
                assert!(case["expected"].get(metric).is_some(), "{name} lacks {metric}");
                close(ours, &case["expected"][metric], &format!("{name}: {metric}"));
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
