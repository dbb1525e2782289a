//! Settings of a run, named as in flags and TOML files.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::RatingScale;
use crate::gpu::Dtype;
use crate::model::activations::Checkpointing;
use crate::model::base::BaseDtype;
use crate::model::lora::LoraSettings;
use crate::model::parameter::Holding;
use crate::model::plan::MemoryPlan;
use crate::objective::Objective;
use crate::optimizer::{AdamWConfig, Schedule};
use crate::ranks::Ranks;
use crate::{Error, Result};

use super::diloco::{DilocoSettings, SYNCS_BAR_F16};
use super::head::HeadReading;
use super::update::{Optimizing, Sharing};

/// How values are stored during training; arithmetic is f32 either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Everything in f32.
    F32,
    /// [`Self::MixedF16`] where that is faster, on devices whose products run on cooperative matrices, and
    /// [`Self::MixedBf16`] elsewhere and in runs that cannot have f16.
    Mixed,
    /// Weights and kept activations in bf16, f32 master weights, gradients and residual stream. bf16 has the range of
    /// f32, so no loss scaling is needed.
    MixedBf16,
    /// As [`Self::MixedBf16`] in f16, in which the gradients of linear layers are rounded too, under loss scaling.
    MixedF16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::Mixed => "mixed",
            Self::MixedBf16 => "mixed-bf16",
            Self::MixedF16 => "mixed-f16",
        })
    }
}

/// Why a model with adapters cannot train in f16.
const ADAPTERS_BAR_F16: &str = "adapters compute in f32 on what the base keeps";

impl Precision {
    /// Refuses f16 in a run that cannot have it, for the reason that `barred` gives.
    pub(crate) fn check(self, barred: Option<&str>) -> Result<()> {
        match barred {
            Some(reason) if self == Self::MixedF16 => {
                Err(Error::input("`.precision` mixed-f16", format!("cannot be had here: {reason}"), "use mixed-bf16"))
            }
            _ => Ok(()),
        }
    }

    /// The precision that a run has on a device whose cooperative matrices have this side; for [`Self::Mixed`] also a line
    /// that says which form it takes, and why. A run that goes on keeps its form: `scaled` says whether it scaled its loss.
    pub(crate) fn resolved(
        self,
        barred: Option<&str>,
        scaled: Option<bool>,
        cooperative_side: Option<u32>,
    ) -> Result<(Self, Option<String>)> {
        self.check(barred)?;
        let (form, reason) = match (barred, scaled, cooperative_side) {
            _ if self != Self::Mixed => return Ok((self, None)),
            (Some(reason), ..) => (Self::MixedBf16, reason.to_owned()),
            (None, Some(true), _) => (Self::MixedF16, "as the run began".into()),
            (None, Some(false), _) => (Self::MixedBf16, "as the run began".into()),
            (None, None, Some(side)) => {
                (Self::MixedF16, format!("products run on cooperative matrices of {side}×{side}; the loss is scaled"))
            }
            (None, None, None) => (Self::MixedBf16, "products do not run on cooperative matrices here".into()),
        };
        Ok((form, Some(format!("precision: {form} ({reason})"))))
    }

    /// Of the precisions that a run may turn out to have, the one that needs the most memory.
    pub(crate) fn largest(self, barred: Option<&str>) -> Self {
        match (self, barred) {
            (Self::Mixed, None) => Self::MixedF16,
            (Self::Mixed, Some(_)) => Self::MixedBf16,
            (precision, _) => precision,
        }
    }

    /// How the parameters of a model in training are held. [`Self::Mixed`] that was not resolved counts as bf16.
    pub fn holding(self) -> Holding {
        match self {
            Self::F32 => Holding::Training,
            Self::Mixed | Self::MixedBf16 => Holding::MixedTraining(Dtype::Bf16),
            Self::MixedF16 => Holding::MixedTraining(Dtype::F16),
        }
    }
}

/// Settings that every trainer has, whatever it trains on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct TrainerConfig {
    /// The directory of the trained model.
    pub output: PathBuf,
    /// Rows to evaluate on.
    pub eval_data: Vec<PathBuf>,
    /// Passes over the data.
    pub epochs: u32,
    /// Optimizer steps after which to stop, whatever the epochs.
    pub max_steps: Option<u64>,
    /// Rows per micro-batch; a preference pair counts as one row.
    pub batch_size: usize,
    /// Micro-batches per optimizer step.
    pub grad_accum: usize,
    /// Whether each of several ranks has the moments of a share of the parameters only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shard_optimizer: bool,
    /// Steps that each rank takes on its own share of the rows before all meet (DiLoCo); every step is one of all ranks when
    /// absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_every: Option<u64>,
    /// Learning-rate schedule.
    pub schedule: Schedule,
    /// Share of the steps in which the learning rate rises.
    pub warmup_ratio: f64,
    /// Decoupled weight decay of matrices.
    pub weight_decay: f64,
    /// Gradients are scaled down to this norm; 0 switches clipping off.
    pub max_grad_norm: f64,
    /// Longest sequence in tokens.
    pub max_length: usize,
    /// Storage of weights and activations.
    pub precision: Precision,
    /// The activations that the backward pass recomputes.
    pub checkpointing: Checkpointing,
    /// Whether each epoch has its own order.
    pub shuffle: bool,
    /// Steps between checkpoints; only at the end when absent.
    pub save_every: Option<u64>,
    /// Steps between evaluations; only at the end when absent.
    pub eval_every: Option<u64>,
    /// Go on from the last checkpoint in the output.
    pub resume: bool,
    /// Replace an existing output.
    pub force: bool,
    /// Seed of everything that is drawn: the order of rows, new weights.
    pub seed: u64,
}

impl TrainerConfig {
    /// Why a run cannot train in f16, if so.
    pub(super) fn bars_f16(&self, has_adapters: bool) -> Option<&'static str> {
        has_adapters.then_some(ADAPTERS_BAR_F16).or(self.sync_every.map(|_| SYNCS_BAR_F16))
    }

    /// Settings of the optimizer, and the ranks that share its work.
    pub(crate) fn optimizing(&self, ranks: &Ranks) -> Optimizing {
        let sharing = match (self.shard_optimizer, self.sync_every) {
            (_, Some(_)) => Sharing::Apart,
            (true, None) => Sharing::Sharded,
            (false, None) => Sharing::Whole,
        };
        Optimizing { settings: self.optimizer(), ranks: ranks.clone(), sharing }
    }

    /// The plan for the device of one of these ranks.
    pub(crate) fn plan_on(&self, ranks: &Ranks, plan: MemoryPlan) -> MemoryPlan {
        if self.shard_optimizer { plan.on_ranks(ranks.size()) } else { plan }
    }

    /// What a run must go on with if its ranks take steps of their own.
    pub(crate) fn diloco(&self, ranks: &Ranks) -> Option<DilocoSettings> {
        self.sync_every.map(|sync_every| DilocoSettings::new(sync_every, ranks.size()))
    }

    /// Settings of the optimizer.
    pub fn optimizer(&self) -> AdamWConfig {
        AdamWConfig { weight_decay: self.weight_decay, max_grad_norm: self.max_grad_norm, ..AdamWConfig::default() }
    }
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self {
            output: PathBuf::new(),
            eval_data: vec![],
            epochs: 1,
            max_steps: None,
            batch_size: 4,
            grad_accum: 1,
            shard_optimizer: false,
            sync_every: None,
            schedule: Schedule::Linear,
            warmup_ratio: 0.05,
            weight_decay: 0.01,
            max_grad_norm: 1.0,
            max_length: 4096,
            precision: Precision::F32,
            checkpointing: Checkpointing::None,
            shuffle: true,
            save_every: None,
            eval_every: None,
            resume: false,
            force: false,
            seed: 42,
        }
    }
}

/// Settings of `wgr train`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainConfig {
    /// Directory, `.gguf` file, config `.json` of a new model, or hub name.
    pub model: String,
    /// Training rows.
    pub data: Vec<PathBuf>,
    /// The loss function.
    pub objective: Objective,
    /// Labels run from 1 to this.
    pub levels: u32,
    /// The highest rating of rows with `score_chosen` and `score_rejected`; the lowest is 1.
    pub max_rating: f64,
    /// Prompt template; that of the model or the built-in one when absent.
    pub template: Option<PathBuf>,
    /// Draw a new head even where the model has one that fits.
    pub new_head: bool,
    /// Peak learning rate.
    pub lr: f64,
    /// The settings shared with other trainers.
    #[serde(flatten)]
    pub trainer: TrainerConfig,
    /// Adapters to train instead of all weights.
    #[serde(flatten)]
    pub lora: LoraSettings,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            model: String::new(),
            data: vec![],
            objective: Objective::Ordinal,
            levels: 4,
            max_rating: RatingScale::default().highest,
            template: None,
            new_head: false,
            lr: 1e-5,
            trainer: TrainerConfig::default(),
            lora: LoraSettings::default(),
        }
    }
}

/// Settings of `wgr score`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScoreConfig {
    /// Directory, `.gguf` file or hub name of a model with a score head.
    pub model: String,
    /// Rows to score.
    pub input: PathBuf,
    /// One scored row for each, in the same order.
    pub output: PathBuf,
    /// Maximum sequences per batch.
    pub batch_size: usize,
    /// Longest sequence in tokens; longer ones are truncated as in training.
    pub max_length: usize,
    /// Prompt template; the one saved with the model, or the built-in one, when absent.
    pub template: Option<PathBuf>,
    /// The meaning of the head's outputs, if the model does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadReading>,
    /// How matrices are held on the device; as stored when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_dtype: Option<BaseDtype>,
    /// Apply the calibration saved with the model to probabilities and score.
    pub calibrated: bool,
    /// Replace an existing output.
    pub force: bool,
}

impl Default for ScoreConfig {
    fn default() -> Self {
        Self {
            model: String::new(),
            input: PathBuf::new(),
            output: PathBuf::new(),
            batch_size: 16,
            max_length: 4096,
            template: None,
            head: None,
            base_dtype: None,
            calibrated: false,
            force: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixed_precision_takes_f16_on_cooperative_matrices_alone_and_says_so() {
        let form = |barred, scaled, side| {
            let (form, why) = Precision::Mixed.resolved(barred, scaled, side).unwrap();
            assert!(why.unwrap().contains(&form.to_string()));
            form
        };
        assert_eq!(form(None, None, Some(16)), Precision::MixedF16);
        assert_eq!(form(None, None, None), Precision::MixedBf16);
        assert_eq!(form(Some("no"), None, Some(16)), Precision::MixedBf16);
        // A run that goes on keeps its form on any device.
        assert_eq!(form(None, Some(true), None), Precision::MixedF16);
        assert_eq!(form(None, Some(false), Some(8)), Precision::MixedBf16);
    }

    #[test]
    fn a_precision_with_one_form_is_kept_or_refused() {
        for precision in [Precision::F32, Precision::MixedBf16, Precision::MixedF16] {
            assert_eq!(precision.resolved(None, Some(true), None).unwrap(), (precision, None));
        }
        let refused = Precision::MixedF16.resolved(Some("no gradients"), None, Some(8)).unwrap_err().to_string();
        assert!(refused.contains("no gradients") && refused.contains("mixed-bf16"), "{refused}");
    }
}
