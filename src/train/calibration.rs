//! The calibration of a model's thresholds, kept beside its weights.

use serde::{Deserialize, Serialize};

use crate::model::Checkpoint;
use crate::model::companions::CALIBRATION;
use crate::statistics::platt::{PointwiseCalibration, logit};
use crate::{Error, Result};

/// P(y > k) = σ(a_k·z_k + b_k), fitted on the held-out rows of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCalibration {
    /// Rows it was fitted on.
    pub rows: usize,
    /// a_k and b_k.
    #[serde(flatten)]
    pub fit: PointwiseCalibration,
}

impl ModelCalibration {
    /// Fits it to rows of P(y > k) and labels from 1; `None` if there is nothing to fit.
    pub fn fit(probabilities: &[Vec<f64>], labels: &[u32]) -> Option<Self> {
        let logits: Vec<Vec<f64>> = probabilities.iter().map(|row| logits(row)).collect();
        Some(Self { rows: labels.len(), fit: PointwiseCalibration::fit(&logits, labels)? })
    }

    /// Reads that of a model with `thresholds` thresholds.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it is of another model.
    pub fn read(model: &Checkpoint, thresholds: usize) -> Result<Self> {
        let at = model.path().join(CALIBRATION).display().to_string();
        let bytes = model.companion(CALIBRATION)?.ok_or_else(|| {
            let problem = "does not exist: the model was trained without held-out ratings";
            Error::input(&at, problem, "train with `.eval_data`, or score without `.calibrated`")
        })?;
        let found: Self =
            serde_json::from_slice(&bytes).map_err(|e| Error::input(&at, e.to_string(), "train again"))?;
        if found.fit.thresholds.len() != thresholds {
            let problem = format!("has {} thresholds, but the model has {thresholds}", found.fit.thresholds.len());
            return Err(Error::input(at, problem, "it belongs to another model"));
        }
        Ok(found)
    }

    /// Calibrated P(y > k), falling with k.
    pub fn probabilities(&self, given: &[f64]) -> Vec<f64> {
        self.fit.probabilities(&logits(given))
    }
}

fn logits(probabilities: &[f64]) -> Vec<f64> {
    probabilities.iter().map(|&p| logit(p)).collect()
}
