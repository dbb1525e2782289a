//! Results of a model on rated responses.

use serde::{Serialize, Serializer};

use super::disagreements::{RatingDisagreement, wrong_ratings};
use super::slices::{SlicesBy, length, slices_by};
use crate::evaluate::scores::Answer;
use crate::evaluate::suites::{Suite, response};
use crate::statistics::calibration::{Reliability, ReliabilityBin, squared_errors};
use crate::statistics::length_bias::{LengthCorrelation, correlation};
use crate::statistics::levels::{ScoreHistograms, confusion_matrix, score_histograms};
use crate::statistics::metrics::{is_positive, rounded_level};
use crate::statistics::platt::{Calibration, PointwiseCalibration, logit};
use crate::statistics::ranking::{self, Ranking};
use crate::statistics::{Bootstrap, Estimate, Units, ordinal, weighted};

/// Levels that ratings have at least: those of WildFB.
const WILDFB_LEVELS: u32 = 4;

/// The rated responses of a suite, scored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RatingReport {
    /// Rows.
    pub n: usize,
    /// Ratings run from 1 to this; the two top levels are the positives of the ROC-AUC.
    pub levels: u32,
    /// Rows of each level.
    pub labels: Vec<u64>,
    /// Metrics in the order they are shown, ROC-AUC (cross-sample consistency) first. Those that compare scores with levels
    /// are there only where the model has as many levels as the ratings.
    #[serde(serialize_with = "as_map")]
    pub metrics: Vec<(&'static str, Estimate)>,
    /// Counts `[label − 1][rounded score − 1]`; absent where scores are on another scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Vec<Vec<u64>>>,
    /// How scores spread, level by level.
    pub histograms: Option<ScoreHistograms>,
    /// Whether P(y > k) can be trusted, for each k; empty if the model has no such probabilities for these levels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<ThresholdCalibration>,
    /// Whether length is rewarded, beside how users reward it.
    pub length: LengthCorrelation,
    /// ROC-AUC and, where scores are levels, MAE by `source`, `language`, `user`, and `length` of the response.
    pub slices: SlicesBy<RatingSlice>,
    /// The rows whose score is furthest from the rating; empty where scores are on another scale.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worst: Vec<RatingDisagreement>,
}

/// How far P(y > k) can be trusted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ThresholdCalibration {
    /// k.
    pub threshold: u32,
    /// The model's own probabilities, on all rows.
    pub as_given: ForecastReport,
    /// The same after Platt scaling, which is fitted on one half of the units and tested on the other; absent where a half
    /// is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halves: Option<Halves>,
}

/// Platt scaling of one threshold, fitted on one half and tested on the other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Halves {
    /// The fit.
    pub fit: Calibration,
    /// The model's own probabilities on the test half.
    pub as_given: ForecastReport,
    /// The calibrated ones on the test half.
    pub calibrated: ForecastReport,
}

/// Forecasts against outcomes. Baselines are those of the constant forecast of the share of true outcomes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ForecastReport {
    /// Rows.
    pub n: usize,
    /// Expected calibration error, bins of equal width.
    pub ece: Estimate,
    /// Maximum calibration error, bins of equal width.
    pub mce: Estimate,
    /// Brier score.
    pub brier: Estimate,
    /// The reliability diagram.
    pub reliability: Vec<ReliabilityBin>,
}

/// The measure of a slice of ratings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RatingSlice {
    /// Area under the ROC curve, positives being the two top levels.
    pub roc_auc: Estimate,
    /// Mean absolute error of the score, beside always answering the slice's most frequent level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mae: Option<Estimate>,
}

fn as_map<S: Serializer>(metrics: &[(&'static str, Estimate)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(metrics.iter().copied())
}

/// Describes the ratings of a suite; `None` where it has none. Rows of one unit are drawn together.
pub fn describe(suite: &Suite, answers: &[Vec<Answer>], bins: usize, bootstrap: &Bootstrap) -> Option<RatingReport> {
    let labels: Vec<u32> = suite.items.iter().map(|item| item.label).collect::<Option<_>>()?;
    let answers: Vec<&Answer> = answers.iter().filter_map(|answers| answers.first()).collect();
    let scores: Vec<f64> = answers.iter().map(|answer| answer.score).collect();
    let units = suite.units(0..labels.len());
    let highest = labels.iter().copied().max()?;
    // A model's own levels hold where no rating is above them: a sample may lack the top level.
    let of_model = answers.first().map(|answer| answer.probs.len() as u32 + 1);
    let of_model = of_model.filter(|&levels| levels > 1 && answers.iter().all(|a| a.probs.len() as u32 + 1 == levels));
    let own = of_model.filter(|&levels| levels >= highest);
    let levels = own.unwrap_or(highest.max(WILDFB_LEVELS));
    let probabilities: Option<Vec<Vec<f64>>> = own.map(|_| answers.iter().map(|a| a.probs.clone()).collect());

    let metrics = |rows: &[usize]| {
        let units = units.subset(rows);
        let labels: Vec<u32> = rows.iter().map(|&row| labels[row]).collect();
        match &probabilities {
            Some(all) => {
                let of_rows: Vec<Vec<f64>> = rows.iter().map(|&row| all[row].clone()).collect();
                ordinal::estimates(&of_rows, &labels, levels, &units, bootstrap)
            }
            None => {
                let scores: Vec<f64> = rows.iter().map(|&row| scores[row]).collect();
                ranks(&scores, &labels, levels, &units, bootstrap)
            }
        }
    };
    let every: Vec<usize> = (0..labels.len()).collect();
    let of_responses: Vec<(usize, usize)> = every.iter().map(|&item| (item, 0)).collect();
    let slice = |rows: &[usize]| {
        let found = metrics(rows);
        let named = |name: &str| found.iter().find(|(metric, _)| *metric == name).map(|(_, estimate)| *estimate);
        RatingSlice { roc_auc: named("roc_auc").unwrap_or_default(), mae: named("mae") }
    };
    let lengths: Vec<u64> = suite.items.iter().map(|item| length(response(&item.responses[0]))).collect();
    let truth: Vec<f64> = labels.iter().map(|&label| f64::from(label)).collect();
    let rounded = |scores: &[f64]| scores.iter().map(|&score| rounded_level(score, levels)).collect::<Vec<u32>>();
    Some(RatingReport {
        n: labels.len(),
        levels,
        labels: (1..=levels).map(|level| labels.iter().filter(|&&label| label == level).count() as u64).collect(),
        metrics: metrics(&every),
        confusion: own.map(|_| confusion_matrix(&rounded(&scores), &labels, levels)),
        histograms: score_histograms(&scores, &labels, levels, bins),
        calibration: probabilities.iter().flat_map(|p| thresholds(p, &labels, &units, bins, bootstrap)).collect(),
        length: correlation(&scores, &lengths, Some(&truth), &units, bootstrap),
        slices: slices_by(suite, &of_responses, slice),
        worst: own.map(|_| wrong_ratings(suite, &labels, &scores)).unwrap_or_default(),
    })
}

/// The metrics of scores on any scale against ratings.
fn ranks(
    scores: &[f64],
    labels: &[u32],
    levels: u32,
    units: &Units,
    bootstrap: &Bootstrap,
) -> Vec<(&'static str, Estimate)> {
    let truth: Vec<f64> = labels.iter().map(|&label| f64::from(label)).collect();
    let positives: Vec<bool> = labels.iter().map(|&label| is_positive(label, levels)).collect();
    let Some((scores, truth)) = Ranking::new(scores).zip(Ranking::new(&truth)) else { return vec![] };
    let measured = bootstrap.estimates(units, |weights| {
        vec![
            ranking::roc_auc(&scores, &positives, weights),
            ranking::spearman(&scores, &truth, weights),
            ranking::kendall_tau_b(&scores, &truth, weights),
        ]
    });
    let named = [("roc_auc", 0.5), ("spearman", 0.0), ("kendall_tau_b", 0.0)].into_iter().zip(measured);
    named.map(|((name, baseline), estimate)| (name, estimate.beside(baseline))).collect()
}

/// The calibration of every P(y > k).
fn thresholds(
    probabilities: &[Vec<f64>],
    labels: &[u32],
    units: &Units,
    bins: usize,
    bootstrap: &Bootstrap,
) -> Vec<ThresholdCalibration> {
    let every: Vec<usize> = (0..labels.len()).collect();
    let halves = units.halves(bootstrap.seed);
    let (fitting, testing): (Vec<usize>, Vec<usize>) = every.iter().partition(|&&row| halves[row]);
    let logits: Vec<Vec<f64>> =
        fitting.iter().map(|&row| probabilities[row].iter().map(|&p| logit(p)).collect()).collect();
    let fit = PointwiseCalibration::fit(&logits, &fitting.iter().map(|&row| labels[row]).collect::<Vec<_>>());
    let calibrated = fit.as_ref().map(|fit| {
        let of_row = |p: &Vec<f64>| fit.probabilities(&p.iter().map(|&p| logit(p)).collect::<Vec<_>>());
        probabilities.iter().map(of_row).collect::<Vec<_>>()
    });
    let count = probabilities.first().map_or(0, Vec::len);
    let of_threshold = |index: usize| {
        let forecast = |of: &[Vec<f64>], rows: &[usize]| {
            let confidences: Vec<f64> = rows.iter().map(|&row| of[row][index]).collect();
            let outcomes: Vec<bool> = rows.iter().map(|&row| labels[row] > index as u32 + 1).collect();
            ForecastReport::new(&confidences, &outcomes, &units.subset(rows), bins, bootstrap)
        };
        let halves = || {
            Some(Halves {
                fit: fit.as_ref()?.thresholds[index],
                as_given: forecast(probabilities, &testing)?,
                calibrated: forecast(calibrated.as_ref()?, &testing)?,
            })
        };
        Some(ThresholdCalibration {
            threshold: index as u32 + 1,
            as_given: forecast(probabilities, &every)?,
            halves: halves(),
        })
    };
    (0..count).filter_map(of_threshold).collect()
}

impl ForecastReport {
    /// `None` if there are no rows.
    fn new(confidences: &[f64], outcomes: &[bool], units: &Units, bins: usize, bootstrap: &Bootstrap) -> Option<Self> {
        let ones = units.ones();
        let indicators: Vec<f64> = outcomes.iter().map(|&outcome| f64::from(u8::from(outcome))).collect();
        let share = weighted::mean(&indicators, &ones)?;
        let of = |confidences: &[f64]| {
            Some((Reliability::equal_width(confidences, outcomes, bins)?, squared_errors(confidences, outcomes)))
        };
        let values = |(reliability, errors): &(Reliability, Vec<f64>), weights: &[u32]| {
            vec![reliability.ece(weights), reliability.mce(weights), weighted::mean(errors, weights)]
        };
        let given = of(confidences)?;
        let constant = values(&of(&vec![share; outcomes.len()])?, &ones);
        let measured = bootstrap.estimates(units, |weights| values(&given, weights));
        let beside = |index: usize| measured[index].beside(constant[index]);
        Some(Self {
            n: outcomes.len(),
            ece: beside(0),
            mce: beside(1),
            brier: beside(2),
            reliability: given.0.bins(&ones),
        })
    }
}
