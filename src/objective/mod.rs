//! Losses with their gradients: which logits an objective has, what its loss is a mean over, how a score is read.

mod preference;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::gpu::Recorder;
use crate::kernels::objective::{self as kernels, Biases, Rows};
use crate::{Error, Result};

pub use preference::PreferenceLoss;

/// What a reward head is trained to do. Levels are 1 … K, thresholds k = 1 … K − 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// An independent logit for every threshold; mean binary cross-entropy.
    #[default]
    Ordinal,
    /// One logit and a bias for every threshold (Cao, Mirjalili & Raschka 2020, arXiv 1901.07884).
    Coral,
    /// A logit for every threshold, given that the one before is passed (Shi, Cao & Raschka 2021, arXiv 2111.08851).
    Corn,
    /// Bradley–Terry over pairs: sequences are chosen, rejected, chosen, …, and where the others have a label, the chosen
    /// one has the margin of its pair.
    Pairwise,
    /// Squared error of one logit against the level.
    Regression,
}

impl Objective {
    /// Every objective.
    pub const ALL: [Self; 5] = [Self::Ordinal, Self::Coral, Self::Corn, Self::Pairwise, Self::Regression];

    /// The name in flags, configs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ordinal => "ordinal",
            Self::Coral => "coral",
            Self::Corn => "corn",
            Self::Pairwise => "pairwise",
            Self::Regression => "regression",
        }
    }

    /// Rows of `score.weight` for `levels` ≥ 2.
    pub fn logits(self, levels: usize) -> usize {
        match self {
            Self::Ordinal | Self::Corn => levels - 1,
            Self::Coral | Self::Pairwise | Self::Regression => 1,
        }
    }

    /// Whether the head gives P(y > k), so that its scores lie between 1 and K.
    pub fn has_thresholds(self) -> bool {
        matches!(self, Self::Ordinal | Self::Coral | Self::Corn)
    }

    /// Records the loss of a micro-batch and its gradients.
    ///
    /// # Errors
    /// If shapes do not fit, or `biases` are missing for CORAL.
    pub fn record(self, recorder: &mut Recorder, rows: &Rows, biases: Option<&Biases>) -> Result<()> {
        match (self, biases) {
            (Self::Ordinal, _) => kernels::ordinal(recorder, rows),
            (Self::Coral, Some(biases)) => kernels::coral(recorder, rows, biases),
            (Self::Coral, None) => Err(Error::kernel("objective/coral", "no biases were given")),
            (Self::Corn, _) => kernels::corn(recorder, rows),
            (Self::Pairwise, _) => kernels::pairwise(recorder, rows),
            (Self::Regression, _) => kernels::regression(recorder, rows),
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Objective {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|objective| objective.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::input("`.objective`", format!("there is no objective \"{name}\""), format!("one of {known}"))
        })
    }
}

/// What the loss of an optimizer step is divided by, from the labels of all its rows: the number of cross-entropy
/// terms for ordinal and CORN, of pairs for pairwise, of rows for the others.
pub fn denominator(objective: Objective, labels: impl Iterator<Item = f32>, levels: usize) -> f64 {
    let thresholds = levels as f64 - 1.0;
    match objective {
        Objective::Ordinal => labels.count() as f64 * thresholds,
        // The row with label y takes part in the tasks 1 … y, of which there are K − 1.
        Objective::Corn => labels.map(|label| f64::from(label).min(thresholds)).sum(),
        Objective::Pairwise => labels.count() as f64 / 2.0,
        Objective::Coral | Objective::Regression => labels.count() as f64,
    }
}

/// What CORAL's biases start at: (K − 1 … 1) ÷ (K − 1), so that the thresholds start in order.
pub fn initial_biases(levels: usize) -> Vec<f32> {
    let thresholds = levels - 1;
    (1..=thresholds).rev().map(|k| k as f32 / thresholds as f32).collect()
}

/// P(y > k) for k = 1 … K − 1 from the logits of one sequence; empty where the objective has no thresholds. `biases`
/// are CORAL's and empty for the others.
pub fn probabilities(objective: Objective, logits: &[f32], biases: &[f32]) -> Vec<f64> {
    let each = |logits: &[f32]| logits.iter().map(|z| sigmoid(f64::from(*z))).collect();
    match objective {
        Objective::Ordinal => each(logits),
        Objective::Coral => {
            logits.iter().flat_map(|s| biases.iter().map(|bias| sigmoid(f64::from(*s) + f64::from(*bias)))).collect()
        }
        Objective::Corn => {
            let conditional: Vec<f64> = each(logits);
            conditional.iter().scan(1.0, |product, p| Some(std::mem::replace(product, *product * p) * p)).collect()
        }
        Objective::Pairwise | Objective::Regression => vec![],
    }
}

/// The score of one sequence: the expected level 1 + Σ P(y > k), or the logit itself where there are no thresholds.
pub fn score(objective: Objective, logits: &[f32], biases: &[f32]) -> f64 {
    if objective.has_thresholds() {
        1.0 + probabilities(objective, logits, biases).iter().sum::<f64>()
    } else {
        logits.iter().copied().map(f64::from).sum()
    }
}

fn sigmoid(z: f64) -> f64 {
    if z < 0.0 { z.exp() / (1.0 + z.exp()) } else { 1.0 / (1.0 + (-z).exp()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_a_wrong_one_lists_them() {
        for objective in Objective::ALL {
            assert_eq!(objective.to_string().parse::<Objective>().unwrap(), objective);
            assert_eq!(serde_json::to_string(&objective).unwrap(), format!("\"{objective}\""));
        }
        let error = "ranking".parse::<Objective>().unwrap_err().to_string();
        assert!(error.contains("\"ranking\"") && error.contains("corn"), "{error}");
    }

    #[test]
    fn denominators_count_terms_tasks_pairs_or_rows() {
        let count = |objective| denominator(objective, [1.0, 2.0, 4.0, 4.0].into_iter(), 4);
        assert_eq!(Objective::ALL.map(count), [12.0, 4.0, 1.0 + 2.0 + 3.0 + 3.0, 2.0, 4.0]);
    }

    #[test]
    fn biases_start_in_order() {
        assert_eq!(initial_biases(5), [1.0, 0.75, 0.5, 0.25]);
        assert_eq!(initial_biases(2), [1.0]);
    }

    #[test]
    fn probabilities_and_scores_follow_the_head() {
        let near = |actual: &[f64], expected: &[f64]| {
            assert_eq!(actual.len(), expected.len());
            assert!(
                actual.iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-12),
                "{actual:?} instead of {expected:?}"
            );
        };
        near(&probabilities(Objective::Ordinal, &[0.0, 1e4, -1e4], &[]), &[0.5, 1.0, 0.0]);
        near(&probabilities(Objective::Corn, &[0.0, 0.0, 1e4], &[]), &[0.5, 0.25, 0.25]);
        near(&probabilities(Objective::Coral, &[2.0], &[-2.0, -1e4]), &[0.5, 0.0]);
        near(&[score(Objective::Corn, &[0.0, 0.0, 1e4], &[])], &[2.0]);
        near(&[score(Objective::Coral, &[2.0], &[-2.0, -1e4])], &[1.5]);
        for objective in [Objective::Pairwise, Objective::Regression] {
            assert!(probabilities(objective, &[2.5], &[]).is_empty());
            near(&[score(objective, &[2.5], &[])], &[2.5]);
        }
    }
}
