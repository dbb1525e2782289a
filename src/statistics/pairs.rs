//! The metrics of a set of preference pairs, from the differences of their scores.

use serde::Serialize;

use super::calibration::{Reliability, ReliabilityBin, log_losses, squared_errors};
use super::coverage::{self, CoveragePoint};
use super::margins::{Margins, margins};
use super::platt::{Calibration, oriented};
use super::{Bootstrap, Estimate, Units, weighted};

/// The metrics of a model on pairs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairSummary {
    /// Pairs.
    pub n: usize,
    /// Share with Δ > 0, a tie being wrong, beside ½.
    pub accuracy: Estimate,
    /// Share with Δ = 0.
    pub ties: Option<f64>,
    /// Accuracy against coverage at fixed margins.
    pub coverage: Vec<CoveragePoint>,
    /// The same at margins that keep given shares of the pairs.
    pub coverage_quantiles: Vec<CoveragePoint>,
    /// How margins spread; `None` when none is finite.
    pub margins: Option<Margins>,
    /// How far confidences can be trusted; `None` when a half is empty or a difference is not finite.
    pub calibration: Option<PairCalibration>,
}

/// Confidences σ(a·Δ + b), fitted on one half of the prompts and tested on the other.
///
/// Baselines are those of the constant forecast ½, which knows nothing and yet is calibrated: a small ECE is worth
/// something only beside a Brier score and an NLL that beat it. Intervals are over the test half, with (a, b) held.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairCalibration {
    /// The fit.
    pub fit: Calibration,
    /// Pairs fitted on.
    pub fit_pairs: usize,
    /// Pairs tested on.
    pub test_pairs: usize,
    /// Expected calibration error, bins of equal width.
    pub ece: Estimate,
    /// Expected calibration error, bins of equal mass.
    pub ece_equal_mass: Estimate,
    /// Maximum calibration error, bins of equal width.
    pub mce: Estimate,
    /// Brier score.
    pub brier: Estimate,
    /// Negative log likelihood in nats.
    pub nll: Estimate,
    /// Expected calibration error of σ(Δ), that is without any fit.
    pub ece_unfitted: Estimate,
    /// The reliability diagram, bins of equal width.
    pub reliability: Vec<ReliabilityBin>,
    /// That of σ(Δ), without any fit.
    pub reliability_unfitted: Vec<ReliabilityBin>,
}

/// Describes pairs by Δ = s(chosen) − s(rejected).
///
/// `units` groups pairs of the same prompt, which are drawn and split together; the seed of `bootstrap` also decides
/// the halves and the orientation of the pairs.
pub fn summary(deltas: &[f64], units: &Units, bins: usize, bootstrap: &Bootstrap) -> PairSummary {
    let share = |of: fn(&f64) -> bool| -> Vec<f64> { deltas.iter().map(|d| f64::from(u8::from(of(d)))).collect() };
    let (right, tied) = (share(|d| *d > 0.0), share(|d| *d == 0.0));
    PairSummary {
        n: deltas.len(),
        accuracy: bootstrap.estimate(units, |weights| weighted::mean(&right, weights)).beside(0.5),
        ties: weighted::mean(&tied, &units.ones()),
        coverage: coverage::curve(deltas, units, bootstrap),
        coverage_quantiles: coverage::quantile_curve(deltas, units, bootstrap),
        margins: margins(deltas, bins),
        calibration: calibrated(deltas, units, bins, bootstrap),
    }
}

fn calibrated(deltas: &[f64], units: &Units, bins: usize, bootstrap: &Bootstrap) -> Option<PairCalibration> {
    let (xs, outcomes) = oriented(deltas, bootstrap.seed);
    let halves = units.halves(bootstrap.seed);
    let (fitting, testing): (Vec<usize>, Vec<usize>) = (0..deltas.len()).partition(|&row| halves[row]);
    let of = |rows: &[usize]| -> (Vec<f64>, Vec<bool>) { rows.iter().map(|&row| (xs[row], outcomes[row])).unzip() };

    let (fit_xs, fit_outcomes) = of(&fitting);
    let fit = Calibration::fit(&fit_xs, &fit_outcomes)?;
    let (xs, outcomes) = of(&testing);
    if xs.is_empty() || xs.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let forecast = Forecast::new(xs.iter().map(|&x| fit.confidence(x)).collect(), &outcomes, bins)?;
    let unfitted = Calibration { a: 1.0, b: 0.0 };
    let unfitted = Forecast::new(xs.iter().map(|&x| unfitted.confidence(x)).collect(), &outcomes, bins)?;
    let constant = Forecast::new(vec![0.5; xs.len()], &outcomes, bins)?;

    let test_units = units.subset(&testing);
    let measured = bootstrap.estimates(&test_units, |weights| {
        forecast.values(weights).into_iter().chain([unfitted.equal_width.ece(weights)]).collect()
    });
    let [ece_0, mass_0, mce_0, brier_0, nll_0] = constant.values(&test_units.ones());
    let baselines = [ece_0, mass_0, mce_0, brier_0, nll_0, ece_0];
    let mut estimates = measured.into_iter().zip(baselines).map(|(estimate, baseline)| estimate.beside(baseline));
    let mut next = || estimates.next().unwrap_or_default();
    Some(PairCalibration {
        fit,
        fit_pairs: fitting.len(),
        test_pairs: testing.len(),
        ece: next(),
        ece_equal_mass: next(),
        mce: next(),
        brier: next(),
        nll: next(),
        ece_unfitted: next(),
        reliability: forecast.equal_width.bins(&test_units.ones()),
        reliability_unfitted: unfitted.equal_width.bins(&test_units.ones()),
    })
}

/// Confidences laid out for any weighting of their rows.
struct Forecast {
    equal_width: Reliability,
    equal_mass: Reliability,
    squared_errors: Vec<f64>,
    log_losses: Vec<f64>,
}

impl Forecast {
    fn new(confidences: Vec<f64>, outcomes: &[bool], bins: usize) -> Option<Self> {
        Some(Self {
            equal_width: Reliability::equal_width(&confidences, outcomes, bins)?,
            equal_mass: Reliability::equal_mass(&confidences, outcomes, bins)?,
            squared_errors: squared_errors(&confidences, outcomes),
            log_losses: log_losses(&confidences, outcomes),
        })
    }

    /// ECE of equal width and of equal mass, MCE, Brier score, NLL.
    fn values(&self, weights: &[u32]) -> [Option<f64>; 5] {
        let (ece, mce) = self.equal_width.errors(weights);
        [
            ece,
            self.equal_mass.ece(weights),
            mce,
            weighted::mean(&self.squared_errors, weights),
            weighted::mean(&self.log_losses, weights),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::calibration;
    use crate::statistics::platt::sigmoid;
    use crate::statistics::units::stream;
    use rand::RngExt;

    /// Differences whose sign is right with probability σ(slope·|Δ|).
    fn sampled(n: usize, slope: f64) -> Vec<f64> {
        let mut rng = stream(8, 0);
        (0..n)
            .map(|_| {
                let gap: f64 = rng.random_range(0.0..2.0);
                if rng.random_bool(sigmoid(slope * gap)) { gap } else { -gap }
            })
            .collect()
    }

    #[test]
    fn the_fit_finds_the_slope_that_made_the_pairs() {
        let deltas = sampled(20_000, 1.7);
        let quick = Bootstrap { samples: 50, ..Bootstrap::default() };
        let summary = summary(&deltas, &Units::rows(deltas.len()), calibration::BINS, &quick);
        let calibration = summary.calibration.unwrap();
        assert!((calibration.fit.a - 1.7).abs() < 0.1 && calibration.fit.b.abs() < 0.06, "{:?}", calibration.fit);
        assert_eq!((calibration.fit_pairs, calibration.test_pairs), (10_000, 10_000));
        assert!(calibration.ece.value.unwrap() < 0.02);
        assert!(calibration.ece_unfitted.value.unwrap() > 0.06);
        assert!(calibration.brier.value < calibration.brier.baseline && calibration.brier.baseline == Some(0.25));
        assert!((calibration.nll.baseline.unwrap() - 2f64.ln()).abs() < 1e-12);
        for diagram in [&calibration.reliability, &calibration.reliability_unfitted] {
            assert_eq!(diagram.iter().map(|bin| bin.count).sum::<u64>(), 10_000);
        }
        // σ(Δ) knows the direction and is not sure enough: the surest bin is righter than it says.
        let surest = calibration.reliability_unfitted.last().unwrap();
        assert_eq!(surest.count, 0, "no margin is above 2, and σ(2) is 0.88");
        let surest = &calibration.reliability_unfitted[8];
        assert!(surest.accuracy > surest.confidence);
    }

    #[test]
    fn pairs_of_a_prompt_are_never_on_both_sides() {
        // All pairs of a prompt in one half: with two prompts of unlike size the halves are 3 and 1.
        let units = Units::grouped(["p", "p", "p", "q"]);
        let summary = summary(&[1.0, 0.5, -0.5, 2.0], &units, calibration::BINS, &Bootstrap::default());
        let calibration = summary.calibration.unwrap();
        let mut sizes = [calibration.fit_pairs, calibration.test_pairs];
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 3]);
        assert_eq!(calibration.ece.interval, None, "one prompt is no sample");
    }

    #[test]
    fn few_and_bad_pairs_have_no_calibration() {
        let of = |deltas: &[f64]| {
            summary(
                deltas,
                &Units::rows(deltas.len()),
                calibration::BINS,
                &Bootstrap { samples: 20, ..Bootstrap::default() },
            )
        };
        assert!(of(&[]).calibration.is_none() && of(&[]).accuracy.value.is_none());
        assert!(of(&[1.0]).calibration.is_none() && of(&[1.0]).accuracy.value == Some(1.0));
        assert!(of(&[1.0, f64::INFINITY, 1.0]).calibration.is_none());
        let ties = of(&[0.0; 8]);
        assert_eq!((ties.accuracy.value, ties.ties), (Some(0.0), Some(1.0)));
        assert!(ties.calibration.is_some_and(|calibration| calibration.fit.a == 0.0));
    }
}
