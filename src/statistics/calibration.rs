//! Whether confidences mean what they say: ECE, MCE, Brier score, log loss and the reliability diagram.

use serde::Serialize;

use super::weighted;

/// Bins unless the user says otherwise.
pub const BINS: usize = 10;

/// One bar of a reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// Confidences of the bin are greater than this; the first bin holds 0 too.
    pub low: f64,
    /// Confidences of the bin are at most this.
    pub high: f64,
    /// Rows in the bin.
    pub count: u64,
    /// Their mean confidence; `None` when there is none.
    pub confidence: Option<f64>,
    /// Share of true outcomes among them; `None` when there is none.
    pub accuracy: Option<f64>,
}

/// Forecasts: confidences in 0..=1 that outcomes are true, sorted into bins once for any weighting of the rows.
///
/// Bins are right-closed, (low, high], as scikit-learn's `calibration_curve` has them. Their edges stay where the whole
/// set puts them, whatever the weights.
#[derive(Clone, Debug)]
pub struct Reliability {
    confidences: Vec<f64>,
    outcomes: Vec<f64>,
    /// Edges, one more than bins.
    edges: Vec<f64>,
    bin_of_row: Vec<usize>,
}

impl Reliability {
    /// Bins of equal width over 0..=1. `None` when a confidence is NaN or there is no bin.
    pub fn equal_width(confidences: &[f64], outcomes: &[bool], bins: usize) -> Option<Self> {
        Self::new(confidences, outcomes, (0..=bins).map(|i| i as f64 / bins as f64).collect())
    }

    /// Bins of equally many rows, as far as ties allow: edges are quantiles, linearly interpolated, and equal
    /// confidences share a bin. `None` when a confidence is NaN, or there is no row or no bin.
    pub fn equal_mass(confidences: &[f64], outcomes: &[bool], bins: usize) -> Option<Self> {
        let mut sorted = confidences.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let quantile = |i: usize| {
            // In whole numbers, so that an edge which is a row's own confidence is exactly that.
            let (below, rest) = (i * last / bins, i * last % bins);
            let above = sorted[(below + 1).min(last)];
            sorted[below] + (above - sorted[below]) * rest as f64 / bins as f64
        };
        let edges = if bins == 0 { vec![] } else { (0..=bins).map(quantile).collect() };
        Self::new(confidences, outcomes, edges)
    }

    fn new(confidences: &[f64], outcomes: &[bool], edges: Vec<f64>) -> Option<Self> {
        assert_eq!(confidences.len(), outcomes.len());
        if edges.len() < 2 || confidences.iter().any(|c| c.is_nan()) {
            return None;
        }
        let inner = &edges[1..edges.len() - 1];
        let bin_of_row = confidences.iter().map(|&c| inner.partition_point(|&edge| edge < c)).collect();
        let outcomes = outcomes.iter().map(|&y| f64::from(u8::from(y))).collect();
        Some(Self { confidences: confidences.to_vec(), outcomes, edges, bin_of_row })
    }

    /// Per bin: weight, summed confidence, summed outcome.
    fn sums(&self, weights: &[u32]) -> Vec<(u64, f64, f64)> {
        assert_eq!(self.bin_of_row.len(), weights.len());
        let mut sums = vec![(0, 0.0, 0.0); self.edges.len() - 1];
        for (row, &weight) in weights.iter().enumerate() {
            let (count, confidence, outcome) = &mut sums[self.bin_of_row[row]];
            *count += u64::from(weight);
            *confidence += self.confidences[row] * f64::from(weight);
            *outcome += self.outcomes[row] * f64::from(weight);
        }
        sums
    }

    /// The reliability diagram.
    pub fn bins(&self, weights: &[u32]) -> Vec<ReliabilityBin> {
        let mean = |sum: f64, count: u64| (count > 0).then(|| sum / count as f64);
        self.sums(weights)
            .into_iter()
            .zip(self.edges.windows(2))
            .map(|((count, confidence, outcome), edges)| ReliabilityBin {
                low: edges[0],
                high: edges[1],
                count,
                confidence: mean(confidence, count),
                accuracy: mean(outcome, count),
            })
            .collect()
    }

    /// Expected calibration error Σ n_b/N·|acc_b − conf_b| (Naeini et al., 2015). `None` when empty.
    pub fn ece(&self, weights: &[u32]) -> Option<f64> {
        self.errors(weights).0
    }

    /// Maximum calibration error: the largest |acc_b − conf_b| of any bin with rows. `None` when empty.
    pub fn mce(&self, weights: &[u32]) -> Option<f64> {
        self.errors(weights).1
    }

    /// ECE and MCE in one pass.
    pub(super) fn errors(&self, weights: &[u32]) -> (Option<f64>, Option<f64>) {
        let (mut total, mut sum, mut largest) = (0, 0.0, 0.0f64);
        for (count, confidence, outcome) in self.sums(weights).into_iter().filter(|(count, ..)| *count > 0) {
            let gap = (outcome - confidence).abs();
            total += count;
            sum += gap;
            largest = largest.max(gap / count as f64);
        }
        ((total > 0).then(|| sum / total as f64), (total > 0).then_some(largest))
    }
}

/// Squared error of each forecast; its mean is the Brier score.
pub fn squared_errors(confidences: &[f64], outcomes: &[bool]) -> Vec<f64> {
    assert_eq!(confidences.len(), outcomes.len());
    confidences.iter().zip(outcomes).map(|(c, &y)| (c - f64::from(u8::from(y))).powi(2)).collect()
}

/// Negative log likelihood of each forecast, in nats; its mean is the NLL or log loss.
///
/// Confidences are kept 2.2e−16 (the f64 epsilon) away from 0 and 1, so that one wrong certainty costs 36 and not ∞.
pub fn log_losses(confidences: &[f64], outcomes: &[bool]) -> Vec<f64> {
    assert_eq!(confidences.len(), outcomes.len());
    let clamped = confidences.iter().map(|c| c.clamp(f64::EPSILON, 1.0 - f64::EPSILON));
    clamped.zip(outcomes).map(|(c, &y)| -(if y { c } else { 1.0 - c }).ln()).collect()
}

/// The Brier score. `None` when empty or NaN.
pub fn brier(confidences: &[f64], outcomes: &[bool]) -> Option<f64> {
    weighted::mean(&squared_errors(confidences, outcomes), &vec![1; outcomes.len()])
}

/// The negative log likelihood, in nats, clamped as [`log_losses`] says. `None` when empty or NaN.
pub fn nll(confidences: &[f64], outcomes: &[bool]) -> Option<f64> {
    weighted::mean(&log_losses(confidences, outcomes), &vec![1; outcomes.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::golden;
    use crate::statistics::units::stream;
    use proptest::prelude::*;
    use rand::RngExt;

    #[test]
    fn agrees_with_scikit_learn() {
        for case in &golden::cases("calibration") {
            let confidences: Vec<f64> = golden::field(case, "confidences");
            let outcomes: Vec<bool> = golden::field(case, "outcomes");
            let weights: Vec<u32> = golden::field(case, "weights");
            let bins: usize = golden::field(case, "bins");
            golden::check(case, "brier", brier(&confidences, &outcomes), 1e-12);
            golden::check(case, "nll", nll(&confidences, &outcomes), 1e-12);
            let weighted_brier = weighted::mean(&squared_errors(&confidences, &outcomes), &weights);
            golden::check(case, "brier_weighted", weighted_brier, 1e-12);
            let width = Reliability::equal_width(&confidences, &outcomes, bins).unwrap();
            let mass = Reliability::equal_mass(&confidences, &outcomes, bins).unwrap();
            for (style, reliability) in [("uniform", width), ("quantile", mass)] {
                let ones = vec![1; outcomes.len()];
                let filled: Vec<_> = reliability.bins(&ones).into_iter().filter(|bin| bin.count > 0).collect();
                let expected: Vec<[f64; 3]> = golden::field(&case["expected"], style);
                assert_eq!(filled.len(), expected.len(), "{}: {style}", case["name"]);
                for (bin, [accuracy, confidence, count]) in filled.iter().zip(expected) {
                    assert!((bin.accuracy.unwrap() - accuracy).abs() < 1e-12, "{}: {style} {bin:?}", case["name"]);
                    assert!((bin.confidence.unwrap() - confidence).abs() < 1e-12, "{}: {style} {bin:?}", case["name"]);
                    assert_eq!(bin.count as f64, count);
                }
                golden::check(case, &format!("ece_{style}"), reliability.ece(&ones), 1e-12);
                golden::check(case, &format!("mce_{style}"), reliability.mce(&ones), 1e-12);
            }
        }
    }

    #[test]
    fn bins_are_closed_on_the_right() {
        let reliability = Reliability::equal_width(&[0.0, 0.1, 0.3, 1.0], &[false, true, true, true], 10).unwrap();
        let counts: Vec<u64> = reliability.bins(&[1; 4]).iter().map(|bin| bin.count).collect();
        assert_eq!(counts, [2, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn ece_by_hand() {
        // Bin (0, ½] holds 0.2 and 0.4 with one true: |½ − 0.3| = 0.2; bin (½, 1] holds 0.9, false: 0.9.
        let reliability = Reliability::equal_width(&[0.2, 0.4, 0.9], &[true, false, false], 2).unwrap();
        assert!((reliability.ece(&[1; 3]).unwrap() - (2.0 * 0.2 + 0.9) / 3.0).abs() < 1e-15);
        assert!((reliability.mce(&[1; 3]).unwrap() - 0.9).abs() < 1e-15);
        assert!((reliability.ece(&[3, 3, 0]).unwrap() - 0.2).abs() < 1e-15);
    }

    #[test]
    fn a_wrong_certainty_is_finite() {
        assert!((nll(&[1.0], &[false]).unwrap() - 36.04).abs() < 0.01);
        assert!(nll(&[0.0], &[false]).unwrap() < 1e-15);
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!((brier(&[], &[]), nll(&[], &[])), (None, None));
        let empty = Reliability::equal_width(&[], &[], 10).unwrap();
        assert_eq!((empty.ece(&[]), empty.mce(&[])), (None, None));
        assert!(Reliability::equal_mass(&[], &[], 10).is_none());
        assert!(Reliability::equal_width(&[0.5], &[true], 0).is_none());
        assert!(Reliability::equal_mass(&[0.5], &[true], 0).is_none());
        assert!(Reliability::equal_width(&[f64::NAN], &[true], 10).is_none());
    }

    #[test]
    fn a_calibrated_sampler_has_next_to_no_error_and_a_bold_one_has() {
        let mut rng = stream(11, 0);
        let (confidences, outcomes): (Vec<f64>, Vec<bool>) = (0..200_000)
            .map(|_| {
                let p: f64 = rng.random();
                (p, rng.random_bool(p))
            })
            .unzip();
        let ones = vec![1; outcomes.len()];
        let bold: Vec<f64> = confidences.iter().map(|&p| if p > 0.5 { 0.9 } else { 0.1 }).collect();
        for build in [Reliability::equal_width, Reliability::equal_mass] {
            let ece = |confidences: &[f64]| build(confidences, &outcomes, BINS).unwrap().ece(&ones).unwrap();
            assert!(ece(&confidences) < 0.006);
            assert!((ece(&bold) - 0.15).abs() < 0.01);
        }
    }

    proptest! {
        #[test]
        fn errors_stay_within_bounds(
            rows in prop::collection::vec((0.0..=1.0f64, any::<bool>()), 1..60), bins in 1usize..20,
        ) {
            let (confidences, outcomes): (Vec<f64>, Vec<bool>) = rows.into_iter().unzip();
            let ones = vec![1; outcomes.len()];
            for build in [Reliability::equal_width, Reliability::equal_mass] {
                let reliability = build(&confidences, &outcomes, bins).unwrap();
                let (ece, mce) = (reliability.ece(&ones).unwrap(), reliability.mce(&ones).unwrap());
                prop_assert!(0.0 <= ece && ece <= mce + 1e-12 && mce <= 1.0);
                let in_bins: u64 = reliability.bins(&ones).iter().map(|bin| bin.count).sum();
                prop_assert_eq!(in_bins as usize, outcomes.len());
                for (bin, c) in reliability.bin_of_row.iter().zip(&confidences) {
                    let bar = reliability.bins(&ones)[*bin];
                    prop_assert!((bar.low < *c || *bin == 0 || bar.low == bar.high) && *c <= bar.high + 1e-12);
                }
            }
        }
    }
}
