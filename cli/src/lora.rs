//! The LoRA flags of all trainers.

use std::ops::Not;

use serde::Serialize;

use crate::settings::BaseArgs;

/// Flags of [`wgr::model::lora::LoraSettings`]; a flag that is not given is left out of the serialized form, so that
/// the file or the default applies.
#[derive(Debug, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct LoraArgs {
    /// Train LoRA adapters of rank N and leave the model's own weights unchanged
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    lora_rank: Option<usize>,
    /// LoRA alpha: adapters are scaled by alpha over the rank
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    lora_alpha: Option<f64>,
    /// Dropout probability of the inputs of adapters in training
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    lora_dropout: Option<f64>,
    /// Linear layers that get adapters: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, or all-linear
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lora_targets: Vec<String>,
    /// Scale adapters by alpha over the square root of the rank
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    lora_rslora: bool,
    #[command(flatten)]
    #[serde(flatten)]
    base: BaseArgs,
}
