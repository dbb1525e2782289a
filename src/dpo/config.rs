//! Settings of `wgr dpo`, named as in flags and TOML files.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::kernels::preference::Weights;
use crate::model::lora::LoraSettings;
use crate::objective::PreferenceLoss;
use crate::train::TrainerConfig;

/// The margin that `simpo` asks for where none is named: that of TRL.
const SIMPO_GAMMA: f64 = 0.5;

/// Settings of `wgr dpo`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DpoConfig {
    /// The model to train: directory, `.gguf` file, config `.json` of a new model, or hub name.
    pub policy: String,
    /// Preference pairs.
    pub data: Vec<PathBuf>,
    /// The reference model; the initial policy when absent.
    pub reference: Option<String>,
    /// Folder of reference log-probabilities; the output when absent.
    pub reference_cache: Option<PathBuf>,
    /// The loss function.
    pub loss: PreferenceLoss,
    /// Factor of the log-probability ratios.
    pub beta: f64,
    /// Share of pairs that are thought to be the wrong way round, for `cdpo` and `robust`.
    pub label_smoothing: f64,
    /// Weight of the token-mean negative log-likelihood of the chosen completion.
    pub sft_weight: f64,
    /// The margin that `simpo` asks for, 0.5 when absent; no other loss has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simpo_gamma: Option<f64>,
    /// Peak learning rate.
    pub lr: f64,
    /// The settings shared with other trainers.
    #[serde(flatten)]
    pub trainer: TrainerConfig,
    /// Adapters to train instead of all weights.
    #[serde(flatten)]
    pub lora: LoraSettings,
}

impl Default for DpoConfig {
    fn default() -> Self {
        Self {
            policy: String::new(),
            data: vec![],
            reference: None,
            reference_cache: None,
            loss: PreferenceLoss::Sigmoid,
            beta: 0.1,
            label_smoothing: 0.0,
            sft_weight: 0.0,
            simpo_gamma: None,
            lr: 1e-6,
            trainer: TrainerConfig::default(),
            lora: LoraSettings::default(),
        }
    }
}

impl DpoConfig {
    /// The margin that `simpo` asks for.
    pub fn gamma(&self) -> f64 {
        self.simpo_gamma.unwrap_or(SIMPO_GAMMA)
    }

    /// The numbers that the loss is given.
    pub fn weights(&self) -> Weights {
        Weights {
            beta: self.beta as f32,
            label_smoothing: self.label_smoothing as f32,
            gamma: self.gamma() as f32,
            sft_weight: self.sft_weight as f32,
        }
    }
}
