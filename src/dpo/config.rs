//! Settings of `wgr dpo`, named as in flags and TOML files.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::lora::LoraSettings;
use crate::train::TrainerConfig;

use super::loss::LossConfig;

/// Settings of the policy, of offline and online DPO alike. `ONLINE` decides nothing but the default of the learning rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PolicyConfig<const ONLINE: bool> {
    /// The model to train: directory, `.gguf` file, config `.json` of a new model, or hub name.
    #[serde(rename = "policy", default)]
    pub model: String,
    /// The reference model; the initial policy when absent.
    #[serde(default)]
    pub reference: Option<String>,
    /// Peak learning rate.
    #[serde(default = "default_lr::<ONLINE>")]
    pub lr: f64,
}

impl<const ONLINE: bool> Default for PolicyConfig<ONLINE> {
    fn default() -> Self {
        Self { model: String::new(), reference: None, lr: default_lr::<ONLINE>() }
    }
}

/// As in `DPOConfig` and `OnlineDPOConfig` of <https://github.com/huggingface/trl>.
fn default_lr<const ONLINE: bool>() -> f64 {
    if ONLINE { 5e-7 } else { 1e-6 }
}

/// Settings of `wgr dpo`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[derive(Default)]
pub struct DpoConfig {
    /// The model to train, and how far it may move.
    #[serde(flatten)]
    pub policy: PolicyConfig<false>,
    /// Preference pairs.
    pub data: Vec<PathBuf>,
    /// Folder of reference log-probabilities; the output when absent.
    pub reference_cache: Option<PathBuf>,
    /// The loss function and the numbers that it reads.
    #[serde(flatten)]
    pub loss: LossConfig,
    /// The settings shared with other trainers.
    #[serde(flatten)]
    pub trainer: TrainerConfig,
    /// Adapters to train instead of all weights.
    #[serde(flatten)]
    pub lora: LoraSettings,
}
