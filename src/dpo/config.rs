//! Settings of `wgr dpo`, named as in flags and TOML files.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::lora::LoraSettings;
use crate::train::TrainerConfig;

use super::loss::LossConfig;

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
    /// The loss function and the numbers that it reads.
    #[serde(flatten)]
    pub loss: LossConfig,
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
            loss: LossConfig::default(),
            lr: 1e-6,
            trainer: TrainerConfig::default(),
            lora: LoraSettings::default(),
        }
    }
}
