//! Settings of a run, named as in flags and TOML files.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::RatingScale;
use crate::model::activations::Checkpointing;
use crate::model::base::BaseDtype;
use crate::model::lora::LoraSettings;
use crate::model::parameter::Holding;
use crate::objective::Objective;
use crate::optimizer::{AdamWConfig, Schedule};

use super::head::HeadReading;

/// How values are stored during training; arithmetic is f32 either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Everything in f32.
    F32,
    /// Weights and kept activations in bf16, f32 master weights, gradients and residual stream. bf16 has the range of
    /// f32, so no loss scaling is needed.
    Mixed,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::Mixed => "mixed",
        })
    }
}

impl Precision {
    /// How the parameters of a model in training are held.
    pub fn holding(self) -> Holding {
        match self {
            Self::F32 => Holding::Training,
            Self::Mixed => Holding::MixedTraining,
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
