//! Accuracy against coverage: how accuracy grows as the scores of a pair lie further apart.

use serde::Serialize;

use super::{Bootstrap, Estimate, Units};

/// Number of thresholds.
pub const THRESHOLDS: usize = 50;

/// Number of thresholds of the curve by quantiles.
const STEPS: usize = 20;

/// One threshold of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CoveragePoint {
    /// Pairs with |Δ| at least this are kept.
    pub threshold: f64,
    /// Share of pairs kept; `None` when there is none to begin with.
    pub coverage: Option<f64>,
    /// Share of the kept with Δ > 0, beside ½; undefined when none is kept.
    pub accuracy: Estimate,
}

/// The thresholds 0..=1 in equal steps.
pub fn thresholds() -> [f64; THRESHOLDS] {
    std::array::from_fn(|i| i as f64 / (THRESHOLDS - 1) as f64)
}

/// The curve over differences Δ = s(chosen) − s(rejected). A NaN is never kept.
pub fn curve(deltas: &[f64], units: &Units, bootstrap: &Bootstrap) -> Vec<CoveragePoint> {
    curve_at(&thresholds(), deltas, units, bootstrap)
}

/// The curve at the thresholds that keep all pairs, 95 % of them, and so on to 5 %: on it, models whose scores are on
/// different scales can be compared. Thresholds that ties make equal are one, so there may be fewer; a NaN is never kept.
pub fn quantile_curve(deltas: &[f64], units: &Units, bootstrap: &Bootstrap) -> Vec<CoveragePoint> {
    let mut sizes: Vec<f64> = deltas.iter().map(|delta| delta.abs()).filter(|size| !size.is_nan()).collect();
    sizes.sort_unstable_by(|a, b| b.total_cmp(a));
    let kept = |step: usize| (sizes.len() * (STEPS - step)).div_ceil(STEPS);
    let mut thresholds: Vec<f64> =
        (0..STEPS).filter_map(|step| sizes.get(kept(step).checked_sub(1)?)).copied().collect();
    thresholds.dedup();
    curve_at(&thresholds, deltas, units, bootstrap)
}

/// The curve at rising thresholds.
fn curve_at(thresholds: &[f64], deltas: &[f64], units: &Units, bootstrap: &Bootstrap) -> Vec<CoveragePoint> {
    assert_eq!(deltas.len(), units.row_count());
    // How many thresholds each pair passes; they are sorted, so the first ones.
    let passed: Vec<usize> = deltas.iter().map(|d| thresholds.partition_point(|&t| d.abs() >= t)).collect();
    let accuracies = bootstrap.estimates(units, |weights| accuracies(deltas, &passed, thresholds.len(), weights));
    let kept = |index: usize| passed.iter().filter(|&&passed| passed > index).count() as f64;
    let n = deltas.len() as f64;
    thresholds
        .iter()
        .zip(accuracies)
        .enumerate()
        .map(|(index, (&threshold, accuracy))| CoveragePoint {
            threshold,
            coverage: (n > 0.0).then(|| kept(index) / n),
            accuracy: accuracy.beside(0.5),
        })
        .collect()
}

/// The accuracy at each of `count` thresholds, in one pass and one running sum from the top.
fn accuracies(deltas: &[f64], passed: &[usize], count: usize, weights: &[u32]) -> Vec<Option<f64>> {
    let mut sums = vec![(0u64, 0u64); count + 1];
    for ((delta, &passed), &weight) in deltas.iter().zip(passed).zip(weights) {
        sums[passed].0 += u64::from(weight);
        sums[passed].1 += u64::from(weight) * u64::from(*delta > 0.0);
    }
    for index in (0..count).rev() {
        sums[index].0 += sums[index + 1].0;
        sums[index].1 += sums[index + 1].1;
    }
    sums[1..].iter().map(|&(kept, right)| (kept > 0).then(|| right as f64 / kept as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::{golden, weighted};
    use proptest::prelude::*;

    fn quick(deltas: &[f64]) -> Vec<CoveragePoint> {
        curve(deltas, &Units::rows(deltas.len()), &Bootstrap { samples: 20, ..Bootstrap::default() })
    }

    #[test]
    fn agrees_with_numpy() {
        for case in &golden::cases("coverage") {
            let points = quick(&golden::field::<Vec<f64>>(case, "deltas"));
            let accuracy: Vec<Option<f64>> = golden::field(&case["expected"], "accuracy");
            let coverage: Vec<Option<f64>> = golden::field(&case["expected"], "coverage");
            for ((point, accuracy), coverage) in points.iter().zip(accuracy).zip(coverage) {
                for (ours, expected) in [(point.accuracy.value, accuracy), (point.coverage, coverage)] {
                    let close = ours.zip(expected).is_some_and(|(ours, expected)| (ours - expected).abs() < 1e-12);
                    assert!(close || ours == expected, "{}: {point:?} {expected:?}", case["name"]);
                }
            }
        }
    }

    #[test]
    fn a_difference_on_a_threshold_is_kept_and_nothing_kept_is_undefined() {
        let points = quick(&[0.5, -0.2, 0.0]);
        assert_eq!((points[0].coverage, points[0].accuracy.value), (Some(1.0), Some(1.0 / 3.0)));
        assert_eq!((points[1].coverage, points[1].accuracy.value), (Some(2.0 / 3.0), Some(0.5)));
        assert_eq!((points[49].threshold, points[49].coverage, points[49].accuracy.value), (1.0, Some(0.0), None));
        assert_eq!(quick(&[-1.0])[49].accuracy.value, Some(0.0));
        assert!(quick(&[]).iter().all(|point| point.coverage.is_none() && point.accuracy.value.is_none()));
    }

    #[test]
    fn quantiles_keep_the_surest_pairs_whatever_the_scale() {
        let of = |deltas: &[f64]| {
            let quick = Bootstrap { samples: 20, ..Bootstrap::default() };
            quantile_curve(deltas, &Units::rows(deltas.len()), &quick)
        };
        // The wider the margin, the righter: of 40 pairs the 20 with the narrowest margins are wrong.
        let deltas: Vec<f64> = (0..40).map(|i| f64::from(i) * if i < 20 { -100.0 } else { 100.0 }).collect();
        let points = of(&deltas);
        assert_eq!(points.len(), STEPS);
        let shown = |point: &CoveragePoint| (point.threshold, point.coverage, point.accuracy.value);
        assert_eq!(shown(&points[0]), (0.0, Some(1.0), Some(0.5)));
        assert_eq!(shown(&points[10]), (2000.0, Some(0.5), Some(1.0)));
        assert_eq!(shown(&points[19]), (3800.0, Some(0.05), Some(1.0)));
        let scaled: Vec<f64> = deltas.iter().map(|delta| delta / 1e6).collect();
        let without_scale =
            |points: &[CoveragePoint]| points.iter().map(|p| (p.coverage, p.accuracy)).collect::<Vec<_>>();
        assert_eq!(without_scale(&of(&scaled)), without_scale(&points));

        assert!(of(&[]).is_empty() && of(&[f64::NAN]).is_empty());
        assert_eq!(of(&[1.0, -1.0, 1.0]).iter().map(shown).collect::<Vec<_>>(), [(1.0, Some(1.0), Some(2.0 / 3.0))]);
    }

    proptest! {
        #[test]
        fn coverage_falls_and_starts_at_the_plain_accuracy(deltas in prop::collection::vec(-2.0..2.0f64, 1..50)) {
            let points = quick(&deltas);
            prop_assert!(points.windows(2).all(|pair| pair[0].coverage >= pair[1].coverage));
            let right: Vec<f64> = deltas.iter().map(|&d| f64::from(u8::from(d > 0.0))).collect();
            prop_assert_eq!(points[0].accuracy.value, weighted::mean(&right, &vec![1; deltas.len()]));
        }
    }
}
