//! Evaluation during training: the same forward pass, on held-out rows.

use serde_json::{Map, Value};

use crate::Result;
use crate::data::{Example, Packed, scoring_batches};
use crate::gpu::Gpu;
use crate::model::batch::Capacity;
use crate::objective::{self, Objective};
use crate::statistics::{metrics, ordinal};

use super::calibration::ModelCalibration;
use super::head::Head;
use super::step::Stepper;

/// Metrics of a model on held-out rows.
#[derive(Default)]
pub(super) struct Evaluated {
    /// `eval/…` metrics; those that are not defined on the set (one class only) are left out.
    pub metrics: Map<String, Value>,
    /// The calibration of the thresholds, if there are any.
    pub calibration: Option<ModelCalibration>,
}

/// Scores held-out examples, each rank every so many batches, and gives the metrics to all.
pub(super) async fn evaluate(
    gpu: &Gpu,
    stepper: &mut Stepper,
    head: &Head,
    examples: &[Example],
    capacity: Capacity,
) -> Result<Evaluated> {
    let lengths: Vec<usize> = examples.iter().map(Example::tokens).collect();
    let per_example = examples.first().map_or(1, |example| example.sequences.len());
    let mut scores = vec![vec![]; examples.len()];
    let mut probabilities = vec![vec![]; examples.len()];
    let biases = stepper.biases(gpu).await?;
    let ranks = stepper.update.ranks.clone();
    let batches = scoring_batches(&lengths, capacity.sequences / per_example, capacity.tokens);
    let of_rank = |rank: usize| batches.iter().skip(rank).step_by(ranks.size());
    let mut own: Vec<f32> = vec![];
    for batch in of_rank(ranks.rank()) {
        let packed = Packed::new(batch.iter().map(|index| &examples[*index]))?;
        own.extend(stepper.logits(gpu, &packed).await?.concat());
    }
    let width = head.objective.logits(head.levels as usize);
    for (rank, logits) in ranks.gather_values(&own).await?.iter().enumerate() {
        for (index, rows) in of_rank(rank).flatten().zip(logits.chunks(width * per_example)) {
            scores[*index] = rows.chunks(width).map(|row| objective::score(head.objective, row, &biases)).collect();
            probabilities[*index] = objective::probabilities(head.objective, &rows[..width], &biases);
        }
    }
    let mut out = Map::new();
    let mut put = |name: &str, value: Option<f64>| {
        if let Some(number) = value.and_then(serde_json::Number::from_f64) {
            out.insert(format!("eval/{name}"), Value::Number(number));
        }
    };
    put("rows", Some(examples.len() as f64));
    if head.objective == Objective::Pairwise {
        let side = |side: usize| scores.iter().map(|pair| pair[side]).collect::<Vec<f64>>();
        put("pairwise_accuracy", metrics::pairwise_accuracy(&side(0), &side(1)));
        return Ok(Evaluated { metrics: out, calibration: None });
    }
    let scores: Vec<f64> = scores.into_iter().map(|row| row[0]).collect();
    let truth: Vec<f64> = examples.iter().filter_map(|example| example.label).map(f64::from).collect();
    put("mean_score", Some(scores.iter().sum::<f64>() / scores.len().max(1) as f64));
    let mut calibration = None;
    if head.objective.has_thresholds() {
        let labels: Vec<u32> = truth.iter().map(|label| *label as u32).collect();
        for (name, value) in ordinal::summary(&probabilities, &labels, head.levels) {
            put(name, Some(value));
        }
        calibration = ModelCalibration::fit(&probabilities, &labels);
    } else {
        put("mae", metrics::mae(&scores, &truth));
        put("rmse", metrics::rmse(&scores, &truth));
        put("spearman", metrics::spearman(&scores, &truth));
    }
    Ok(Evaluated { metrics: out, calibration })
}
