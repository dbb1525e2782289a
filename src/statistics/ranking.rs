//! Statistics of ranks under weights: values are ranked once, and every weighting of the rows reuses the order.
//!
//! A weight is a number of copies: each statistic equals that of a set with that many copies of each row. Bootstrap
//! samples are such sets.

/// The order of some values, ties (also of −0 and +0) being equal.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// Dense rank of each row, from 0.
    rank: Vec<usize>,
    /// Rows by ascending rank.
    order: Vec<usize>,
    /// Number of distinct values.
    distinct: usize,
}

impl Ranking {
    /// Ranks values. `None` when one is NaN.
    pub fn new(values: &[f64]) -> Option<Self> {
        if values.iter().any(|v| v.is_nan()) {
            return None;
        }
        let mut order: Vec<usize> = (0..values.len()).collect();
        // Adding 0 turns −0 into +0, which `total_cmp` tells apart.
        order.sort_by(|&a, &b| (values[a] + 0.0).total_cmp(&(values[b] + 0.0)));
        let mut rank = vec![0; values.len()];
        let mut distinct = 0;
        for ties in order.chunk_by(|&a, &b| values[a] == values[b]) {
            ties.iter().for_each(|&row| rank[row] = distinct);
            distinct += 1;
        }
        Some(Self { rank, order, distinct })
    }

    /// Total weight of each distinct value.
    fn masses(&self, weights: &[u32]) -> Vec<u64> {
        assert_eq!(self.rank.len(), weights.len());
        let mut masses = vec![0; self.distinct];
        self.rank.iter().zip(weights).for_each(|(&rank, &weight)| masses[rank] += u64::from(weight));
        masses
    }
}

/// Mid-ranks 1..=n of the distinct values, times two so that they are whole: tied copies share their average.
fn doubled_mid_ranks(masses: &[u64]) -> Vec<u64> {
    let below = masses.iter().scan(0, |below, mass| {
        let here = *below;
        *below += mass;
        Some(here)
    });
    below.zip(masses).map(|(below, mass)| 2 * below + mass + 1).collect()
}

/// Area under the ROC curve, a tie counting one half (Mann–Whitney U).
///
/// `None` when one class is empty.
pub fn roc_auc(scores: &Ranking, positives: &[bool], weights: &[u32]) -> Option<f64> {
    assert_eq!(positives.len(), weights.len());
    assert_eq!(positives.len(), scores.rank.len());
    let mut masses = vec![[0u64; 2]; scores.distinct];
    for ((&rank, &positive), &weight) in scores.rank.iter().zip(positives).zip(weights) {
        masses[rank][usize::from(positive)] += u64::from(weight);
    }
    let (mut negatives, mut positives, mut doubled_u) = (0, 0, 0u128);
    for [negative, positive] in masses {
        doubled_u += u128::from(positive) * u128::from(2 * negatives + negative);
        negatives += negative;
        positives += positive;
    }
    (negatives > 0 && positives > 0).then(|| doubled_u as f64 / 2.0 / (negatives as f64 * positives as f64))
}

/// Spearman's rank correlation: Pearson's on mid-ranks. `None` when a side is constant or the set is empty.
pub fn spearman(a: &Ranking, b: &Ranking, weights: &[u32]) -> Option<f64> {
    assert_eq!(a.rank.len(), b.rank.len());
    let (ranks_a, ranks_b) = (doubled_mid_ranks(&a.masses(weights)), doubled_mid_ranks(&b.masses(weights)));
    // The mean of doubled mid-ranks is n + 1 whatever the ties.
    let mean = (weights.iter().map(|&w| u64::from(w)).sum::<u64>() + 1) as f64;
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for ((&x, &y), &weight) in a.rank.iter().zip(&b.rank).zip(weights) {
        let (dx, dy, weight) = (ranks_a[x] as f64 - mean, ranks_b[y] as f64 - mean, f64::from(weight));
        aa += weight * dx * dx;
        bb += weight * dy * dy;
        ab += weight * dx * dy;
    }
    (aa > 0.0 && bb > 0.0).then(|| ab / (aa * bb).sqrt())
}

/// Kendall's τ-b in O(n log m), m the distinct values of `b`. `None` when a side is constant or the set is empty.
///
/// Rows enter a Fenwick tree over `b` by ascending `a`, so that every row meets those strictly below it in `a`.
pub fn kendall_tau_b(a: &Ranking, b: &Ranking, weights: &[u32]) -> Option<f64> {
    assert_eq!(a.rank.len(), b.rank.len());
    let pairs = |n: u64| n * n.saturating_sub(1) / 2;
    let total = pairs(weights.iter().map(|&w| u64::from(w)).sum());
    let untied = |ranking: &Ranking| total - ranking.masses(weights).into_iter().map(pairs).sum::<u64>();
    let (untied_a, untied_b) = (untied(a), untied(b));
    if untied_a == 0 || untied_b == 0 {
        return None;
    }
    let mut tree = Fenwick(vec![0; b.distinct]);
    let (mut entered, mut concordant_minus_discordant) = (0, 0);
    for ties in a.order.chunk_by(|&x, &y| a.rank[x] == a.rank[y]) {
        let drawn = || ties.iter().filter(|&&row| weights[row] > 0).map(|&row| (b.rank[row], i64::from(weights[row])));
        for (rank, weight) in drawn() {
            let (below, up_to) = (tree.sum(rank), tree.sum(rank + 1));
            concordant_minus_discordant += weight * (below - (entered - up_to));
        }
        for (rank, weight) in drawn() {
            tree.add(rank, weight);
            entered += weight;
        }
    }
    Some(concordant_minus_discordant as f64 / (untied_a as f64).sqrt() / (untied_b as f64).sqrt())
}

/// Prefix sums that can change (Fenwick, 1994).
struct Fenwick(Vec<i64>);

impl Fenwick {
    /// Adds at an index.
    fn add(&mut self, index: usize, value: i64) {
        let mut node = index + 1;
        while node <= self.0.len() {
            self.0[node - 1] += value;
            node += node & node.wrapping_neg();
        }
    }

    /// The sum of the first `count` values.
    fn sum(&self, count: usize) -> i64 {
        let (mut node, mut sum) = (count, 0);
        while node > 0 {
            sum += self.0[node - 1];
            node &= node - 1;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::{golden, metrics, weighted};
    use proptest::prelude::*;

    #[test]
    fn weighted_ranks_agree_with_scikit_learn_and_scipy() {
        for case in &golden::cases("ranking") {
            let (scores, other): (Vec<f64>, Vec<f64>) = (golden::field(case, "scores"), golden::field(case, "other"));
            let positives: Vec<bool> = golden::field(case, "positives");
            let weights: Vec<u32> = golden::field(case, "weights");
            let (a, b) = (Ranking::new(&scores).unwrap(), Ranking::new(&other).unwrap());
            for (metric, ours) in [
                ("roc_auc", roc_auc(&a, &positives, &weights)),
                ("spearman", spearman(&a, &b, &weights)),
                ("kendall_tau_b", kendall_tau_b(&a, &b, &weights)),
                ("pearson", weighted::pearson(&scores, &other, &weights)),
            ] {
                golden::check(case, metric, ours, 1e-12);
            }
        }
    }

    /// Rows of (score, other, positive, weight), the values from few enough to tie.
    fn rows() -> impl Strategy<Value = Vec<(i8, i8, bool, u32)>> {
        prop::collection::vec((-4i8..5, 0i8..4, any::<bool>(), 0u32..4), 0..40)
    }

    fn copies<T: Copy>(values: &[T], weights: &[u32]) -> Vec<T> {
        values.iter().zip(weights).flat_map(|(&value, &weight)| (0..weight).map(move |_| value)).collect()
    }

    proptest! {
        #[test]
        fn a_weight_is_a_number_of_copies(rows in rows()) {
            let scores: Vec<f64> = rows.iter().map(|row| f64::from(row.0)).collect();
            let others: Vec<f64> = rows.iter().map(|row| f64::from(row.1)).collect();
            let positives: Vec<bool> = rows.iter().map(|row| row.2).collect();
            let weights: Vec<u32> = rows.iter().map(|row| row.3).collect();
            let (a, b) = (Ranking::new(&scores).unwrap(), Ranking::new(&others).unwrap());
            let (many, many_others) = (copies(&scores, &weights), copies(&others, &weights));
            prop_assert_eq!(roc_auc(&a, &positives, &weights), metrics::roc_auc(&many, &copies(&positives, &weights)));
            prop_assert_eq!(kendall_tau_b(&a, &b, &weights), metrics::kendall_tau_b(&many, &many_others));
            match (spearman(&a, &b, &weights), metrics::spearman(&many, &many_others)) {
                (Some(ours), Some(theirs)) => prop_assert!((ours - theirs).abs() < 1e-12),
                (ours, theirs) => prop_assert_eq!(ours, theirs),
            }
        }

        #[test]
        fn strictly_rising_maps_change_nothing(rows in rows()) {
            let scores: Vec<f64> = rows.iter().map(|row| f64::from(row.0)).collect();
            let mapped: Vec<f64> = scores.iter().map(|s| (s / 3.0).exp() * 7.0 - 2.0).collect();
            let falling: Vec<f64> = scores.iter().map(|s| -s).collect();
            let positives: Vec<bool> = rows.iter().map(|row| row.2).collect();
            let area = metrics::roc_auc(&scores, &positives);
            prop_assert_eq!(area, metrics::roc_auc(&mapped, &positives));
            if let (Some(up), Some(down)) = (area, metrics::roc_auc(&falling, &positives)) {
                prop_assert!((up + down - 1.0).abs() < 1e-12);
            }
        }

        #[test]
        fn the_area_is_the_share_of_pairs_in_order(rows in rows()) {
            let scores: Vec<f64> = rows.iter().map(|row| f64::from(row.0)).collect();
            let positives: Vec<bool> = rows.iter().map(|row| row.2).collect();
            let (mut won, mut pairs) = (0.0, 0.0);
            for (high, _) in scores.iter().zip(&positives).filter(|(_, positive)| **positive) {
                for (low, _) in scores.iter().zip(&positives).filter(|(_, positive)| !**positive) {
                    won += if high > low { 1.0 } else if high == low { 0.5 } else { 0.0 };
                    pairs += 1.0;
                }
            }
            prop_assert_eq!(metrics::roc_auc(&scores, &positives), (pairs > 0.0).then(|| won / pairs));
        }
    }
}
