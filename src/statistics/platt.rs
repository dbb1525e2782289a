//! Platt scaling: from a score to the probability that it is right (Platt, 1999).

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::units::{ORIENTATION, stream};

/// Weight of ½·(α² + b²) beside the summed log loss, α being the slope in units of the largest |x|.
///
/// Separable data have no maximum of the likelihood: the slope would grow without end. With this ridge there is always
/// exactly one, and it moves any other fit by about its size over the number of rows.
const RIDGE: f64 = 1e-6;
/// Newton steps at most; a fit takes about ten, and thirty on separable data.
const STEPS: usize = 100;
/// Halvings of a step that does not descend; after this many it is below rounding.
const HALVINGS: usize = 60;

/// The logistic function, without overflow.
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// −log σ(x), without overflow.
fn log_loss(x: f64) -> f64 {
    (-x.abs()).exp().ln_1p() + (-x).max(0.0)
}

/// Confidence σ(a·x + b) that an outcome with the score (or score difference) x is true.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Slope.
    pub a: f64,
    /// Offset.
    pub b: f64,
}

impl Calibration {
    /// The confidence at x, in 0..=1.
    pub fn confidence(&self, x: f64) -> f64 {
        sigmoid(self.a * x + self.b)
    }

    /// The maximum of the likelihood, by Newton's method with step halving.
    ///
    /// Separable or one-sided outcomes give a steep, finite fit; see the source for the tiny ridge that sees to it.
    /// `None` when there is no row, an x is not finite, or the slope is beyond the range of f64.
    pub fn fit(xs: &[f64], outcomes: &[bool]) -> Option<Self> {
        assert_eq!(xs.len(), outcomes.len());
        if xs.is_empty() || xs.iter().any(|x| !x.is_finite()) {
            return None;
        }
        let largest = xs.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        let scale = if largest > 0.0 { largest } else { 1.0 };
        let rows: Vec<(f64, f64)> =
            xs.iter().zip(outcomes).map(|(x, &y)| (x / scale, f64::from(u8::from(y)))).collect();

        let mut point = [0.0, 0.0];
        for _ in 0..STEPS {
            let (step, decrement) = newton_step(&rows, point);
            let here = objective(&rows, point);
            let halved = (0..HALVINGS).map(|halving| {
                let share = 0.5f64.powi(halving as i32);
                [point[0] - share * step[0], point[1] - share * step[1]]
            });
            match halved.into_iter().find(|&next| objective(&rows, next) < here) {
                Some(next) => point = next,
                // Rounding hides what the last step gains, but the step itself is still good.
                None if decrement < 1e-6 => return Self::unscaled([point[0] - step[0], point[1] - step[1]], scale),
                None => break,
            }
        }
        Self::unscaled(point, scale)
    }

    fn unscaled([slope, b]: [f64; 2], scale: f64) -> Option<Self> {
        let a = slope / scale;
        (a.is_finite() && b.is_finite()).then_some(Self { a, b })
    }
}

/// Summed log loss with the ridge.
fn objective(rows: &[(f64, f64)], [a, b]: [f64; 2]) -> f64 {
    let loss: f64 = rows.iter().map(|&(x, y)| log_loss(if y > 0.0 { a * x + b } else { -(a * x + b) })).sum();
    loss + RIDGE / 2.0 * (a * a + b * b)
}

/// H⁻¹·g, and gᵀ·H⁻¹·g: twice what the quadratic model says is left to gain.
fn newton_step(rows: &[(f64, f64)], [a, b]: [f64; 2]) -> ([f64; 2], f64) {
    let (mut ga, mut gb) = (RIDGE * a, RIDGE * b);
    let (mut haa, mut hab, mut hbb) = (RIDGE, 0.0, RIDGE);
    for &(x, y) in rows {
        let p = sigmoid(a * x + b);
        let curvature = p * (1.0 - p);
        ga += (p - y) * x;
        gb += p - y;
        haa += curvature * x * x;
        hab += curvature * x;
        hbb += curvature;
    }
    let determinant = haa * hbb - hab * hab;
    let step = [(hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant];
    (step, ga * step[0] + gb * step[1])
}

/// Pairs in a seeded random orientation: the signed difference and whether the first side is the preferred one.
///
/// A difference s(chosen) − s(rejected) is turned around for about half of the pairs. Without it every outcome would be
/// true, and "always true" would be a perfect forecast.
pub fn oriented(deltas: &[f64], seed: u64) -> (Vec<f64>, Vec<bool>) {
    let mut rng = stream(seed, ORIENTATION);
    deltas.iter().map(|&delta| if rng.random() { (delta, true) } else { (-delta, false) }).unzip()
}

/// One [`Calibration`] for each threshold of an ordinal head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointwiseCalibration {
    /// a_k and b_k of P(y > k), k = 1..K−1. No slope is negative.
    pub thresholds: Vec<Calibration>,
}

impl PointwiseCalibration {
    /// Fits P(y > k) = σ(a_k·z_k + b_k) with a_k ≥ 0 to rows of K−1 logits and labels 1..=K.
    ///
    /// z_k is the logit of P(y > k), for CORN that of the product; see [`logit`]. A threshold whose likelihood wants a
    /// negative slope gets a = 0, the best constant, so a larger logit never means a smaller probability. `None` when
    /// there is no row, rows differ in length or a logit is not finite.
    pub fn fit(logits: &[Vec<f64>], labels: &[u32]) -> Option<Self> {
        assert_eq!(logits.len(), labels.len());
        let thresholds = logits.first()?.len();
        if logits.iter().any(|row| row.len() != thresholds) {
            return None;
        }
        let fit = |index: usize| {
            let z: Vec<f64> = logits.iter().map(|row| row[index]).collect();
            let above: Vec<bool> = labels.iter().map(|&label| label > index as u32 + 1).collect();
            let free = Calibration::fit(&z, &above)?;
            if free.a >= 0.0 { Some(free) } else { Calibration::fit(&vec![0.0; z.len()], &above) }
        };
        Some(Self { thresholds: (0..thresholds).map(fit).collect::<Option<_>>()? })
    }

    /// Calibrated P(y > k) of one row, falling with k.
    ///
    /// Thresholds that are calibrated one by one may cross; sorting them in descending order repairs that and leaves
    /// their sum, hence the score 1 + Σ P(y > k), as it is.
    pub fn probabilities(&self, logits: &[f64]) -> Vec<f64> {
        assert_eq!(logits.len(), self.thresholds.len());
        let mut p: Vec<f64> = self.thresholds.iter().zip(logits).map(|(c, &z)| c.confidence(z)).collect();
        p.sort_by(|a, b| b.total_cmp(a));
        p
    }
}

/// The logit of a probability, kept finite by clamping to within 1e−15 of 0 and 1.
pub fn logit(p: f64) -> f64 {
    let p = p.clamp(1e-15, 1.0 - 1e-15);
    (p / (1.0 - p)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::golden;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_a_general_minimiser() {
        for case in &golden::cases("platt") {
            let fit =
                Calibration::fit(&golden::field::<Vec<f64>>(case, "xs"), &golden::field::<Vec<bool>>(case, "outcomes"));
            let Calibration { a, b } = fit.unwrap();
            let size = |name: &str| case["expected"][name].as_f64().unwrap().abs().max(1.0);
            golden::check(case, "a", Some(a), 1e-9 * size("a"));
            golden::check(case, "b", Some(b), 1e-9 * size("b"));
        }
    }

    #[test]
    fn separable_and_one_sided_data_stay_finite() {
        let separable = Calibration::fit(&[-2.0, -1.0, 1.0, 3.0], &[false, false, true, true]).unwrap();
        assert!(separable.confidence(1.0) > 0.999 && separable.confidence(-1.0) < 0.001, "{separable:?}");
        let one_sided = Calibration::fit(&[0.5, 1.0, 2.0], &[true; 3]).unwrap();
        assert!(one_sided.confidence(1.0) > 0.999 && one_sided.a.is_finite());
        let constant = Calibration::fit(&[0.0; 4], &[true, true, true, false]).unwrap();
        assert!(constant.a == 0.0 && (constant.confidence(0.0) - 0.75).abs() < 1e-6);
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(Calibration::fit(&[], &[]), None);
        assert_eq!(Calibration::fit(&[f64::NAN], &[true]), None);
        assert_eq!(Calibration::fit(&[f64::INFINITY, 1.0], &[true, false]), None);
        assert_eq!(PointwiseCalibration::fit(&[], &[]), None);
        assert_eq!(PointwiseCalibration::fit(&[vec![1.0], vec![]], &[1, 2]), None);
    }

    #[test]
    fn orientation_turns_half_of_the_pairs_and_keeps_their_meaning() {
        let deltas: Vec<f64> = (0..2000).map(|i| f64::from(i) - 900.5).collect();
        let (turned, outcomes) = oriented(&deltas, 5);
        let kept = outcomes.iter().filter(|&&kept| kept).count();
        assert!((900..1100).contains(&kept), "{kept}");
        for ((delta, turned), first) in deltas.iter().zip(&turned).zip(&outcomes) {
            assert_eq!(*turned, if *first { *delta } else { -*delta });
        }
        assert_eq!(oriented(&deltas, 5), (turned, outcomes));
    }

    #[test]
    fn a_threshold_that_points_the_wrong_way_becomes_a_constant() {
        // The second logit falls where labels rise.
        let logits = [vec![-1.0, 2.0], vec![0.5, 1.0], vec![-0.5, 0.0], vec![2.0, -1.0]];
        let fit = PointwiseCalibration::fit(&logits, &[1, 2, 3, 3]).unwrap();
        assert!(fit.thresholds[0].a > 0.0);
        assert_eq!(fit.thresholds[1].a, 0.0);
        assert!((fit.thresholds[1].confidence(9.0) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn logits_invert_probabilities() {
        assert!((sigmoid(logit(0.3)) - 0.3).abs() < 1e-15);
        assert!(logit(0.0).is_finite() && logit(1.0).is_finite());
    }

    proptest! {
        #[test]
        fn every_fit_is_the_minimum(rows in prop::collection::vec((-5.0..5.0f64, any::<bool>()), 1..40)) {
            let (xs, outcomes): (Vec<f64>, Vec<bool>) = rows.into_iter().unzip();
            let fit = Calibration::fit(&xs, &outcomes).unwrap();
            let scale = xs.iter().fold(0.0f64, |m, x| m.max(x.abs())).max(f64::MIN_POSITIVE);
            let scaled: Vec<(f64, f64)> =
                xs.iter().zip(&outcomes).map(|(x, &y)| (x / scale, f64::from(u8::from(y)))).collect();
            let (_, left) = newton_step(&scaled, [fit.a * scale, fit.b]);
            prop_assert!(left < 1e-9, "{left}");
        }

        #[test]
        fn calibrated_probabilities_fall_with_k(
            rows in prop::collection::vec((prop::collection::vec(-4.0..4.0f64, 3), 1u32..5), 4..20),
        ) {
            let (logits, labels): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
            let fit = PointwiseCalibration::fit(&logits, &labels).unwrap();
            for row in &logits {
                let p = fit.probabilities(row);
                prop_assert!(!super::super::ordinal::violates_rank_order(&p));
                prop_assert!(p.iter().all(|p| (0.0..=1.0).contains(p)));
            }
        }
    }
}
