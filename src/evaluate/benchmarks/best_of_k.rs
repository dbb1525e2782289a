//! Best-of-k: how often the response that a model picks out of k is correct.

/// The chance that the response with the highest score is correct, among k drawn at random without replacement, for
/// k = 1..=K of K responses; responses with equal scores are equally likely to be taken.
///
/// It is the exact expectation, where sampling orders of the responses would add noise.
pub(super) fn curve(scores: &[f64], correct: &[bool]) -> Vec<f64> {
    let n = scores.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    // Tied responses from the best down: how many are worse, and the share of correct ones.
    let mut worse = n;
    let ties: Vec<(usize, f64)> = order
        .chunk_by(|&a, &b| scores[a] == scores[b])
        .map(|ties| {
            worse -= ties.len();
            let n_correct = ties.iter().filter(|&&row| correct[row]).count();
            (worse, n_correct as f64 / ties.len() as f64)
        })
        .collect();
    let expected = |k: usize| {
        let mut none_better = 1.0;
        let mut expected = 0.0;
        for &(worse, correct) in &ties {
            let none_as_good = share_of_subsets(worse, n, k);
            expected += (none_better - none_as_good) * correct;
            none_better = none_as_good;
        }
        expected
    };
    (1..=n).map(expected).collect()
}

/// C(m, k) / C(n, k): the share of the k-subsets of n things that keep to m of them.
fn share_of_subsets(m: usize, n: usize, k: usize) -> f64 {
    if k > m { 0.0 } else { (0..k).map(|i| (m - i) as f64 / (n - i) as f64).product() }
}

/// The k that are shown of a best-of-k curve: powers of two and K itself.
pub(super) fn shown(responses: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1), |k| Some(k * 2)).take_while(|&k| k < responses);
    powers.chain((responses > 0).then_some(responses)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn by_hand() {
        let close = |ours: Vec<f64>, expected: [f64; 3]| {
            ours.len() == 3 && ours.iter().zip(expected).all(|(ours, expected)| (ours - expected).abs() < 1e-15)
        };
        // By falling score: wrong, right, wrong.
        assert!(close(curve(&[1.0, 3.0, 2.0], &[false, false, true]), [1.0 / 3.0, 1.0 / 3.0, 0.0]));
        assert!(close(curve(&[2.0, 2.0, 1.0], &[true, false, false]), [1.0 / 3.0, 0.5, 0.5]));
    }

    #[test]
    fn powers_of_two_and_the_end_are_shown() {
        assert_eq!((shown(32), shown(5), shown(1)), (vec![1, 2, 4, 8, 16, 32], vec![1, 2, 4, 5], vec![1]));
        assert!(shown(0).is_empty());
    }

    proptest! {
        #[test]
        fn the_curve_is_the_mean_over_all_subsets(responses in prop::collection::vec((0u8..4, any::<bool>()), 1..8)) {
            let (scores, correct): (Vec<f64>, Vec<bool>) = responses.iter().map(|r| (f64::from(r.0), r.1)).unzip();
            let n = responses.len();
            for (k, expected) in (1..).zip(curve(&scores, &correct)) {
                let (mut sum, mut subsets) = (0.0, 0.0);
                for subset in (0u32..1 << n).filter(|subset| subset.count_ones() == k) {
                    let rows = || (0..n).filter(|row| subset >> row & 1 == 1);
                    let best = rows().map(|row| responses[row].0).max().unwrap();
                    let top: Vec<usize> = rows().filter(|&row| responses[row].0 == best).collect();
                    sum += top.iter().filter(|&&row| correct[row]).count() as f64 / top.len() as f64;
                    subsets += 1.0;
                }
                prop_assert!((expected - sum / subsets).abs() < 1e-12);
            }
        }
    }
}
