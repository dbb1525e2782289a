//! Keys of a GGUF file that change a model's computation, and the values that the engine supports.
//!
//! Keys: `LLM_KV_NAMES` in `src/llama-arch.cpp` of llama.cpp. It does not matter here whether llama.cpp itself reads a
//! key for the architecture: whoever wrote it meant it.

use super::gguf::{Metadata, Value};
use crate::Result;

/// `pooling_type` of a model with a classification head (`enum llama_pooling_type`).
pub(super) const RANK: u32 = 4;

/// Keys of an architecture with the numbers, flags being 0 or 1, that change nothing.
const NEUTRAL: [(&str, &[f64]); 40] = [
    ("expert_count", &[0.0]),
    ("leading_dense_block_count", &[0.0]),
    ("nextn_predict_layers", &[0.0]),
    ("n_deepstack_layers", &[0.0]),
    ("full_attention_interval", &[0.0, 1.0]),
    ("embedding_length_per_layer_input", &[0.0]),
    ("use_parallel_residual", &[0.0]),
    ("swin_norm", &[0.0]),
    ("logit_scale", &[0.0, 1.0]),
    ("residual_scale", &[0.0, 1.0]),
    ("embedding_scale", &[0.0, 1.0]),
    ("attn_logit_softcapping", &[0.0]),
    ("final_logit_softcapping", &[0.0]),
    ("rescale_every_n_layers", &[0.0]),
    ("activation_sparsity_scale", &[0.0]),
    ("attention.causal", &[1.0]),
    ("attention.clamp_kqv", &[0.0]),
    ("attention.max_alibi_bias", &[0.0]),
    ("attention.relative_buckets_count", &[0.0]),
    ("attention.q_lora_rank", &[0.0]),
    ("attention.kv_lora_rank", &[0.0]),
    ("attention.output_lora_rank", &[0.0]),
    ("attention.key_length_mla", &[0.0]),
    ("attention.value_length_mla", &[0.0]),
    ("attention.output_scale", &[0.0, 1.0]),
    ("attention.value_scale", &[0.0, 1.0]),
    ("attention.temperature_length", &[0.0]),
    ("attention.temperature_scale", &[0.0]),
    ("attention.shared_kv_layers", &[0.0]),
    ("attention.recurrent_layers", &[0.0]),
    ("attention.indexer.head_count", &[0.0]),
    ("hyper_connection.count", &[0.0, 1.0]),
    ("rope.dimension_sections", &[0.0]),
    ("rope.scaling.alpha", &[0.0]),
    ("rope.scaling.attn_factor", &[1.0]),
    ("rope.scaling.yarn_attn_factor", &[1.0]),
    ("rope.scaling.yarn_log_multiplier", &[0.0]),
    ("altup.num_inputs", &[0.0, 1.0]),
    ("ssm.state_size", &[0.0]),
    ("decoder_block_count", &[0.0]),
];

/// Keys of an architecture that are read elsewhere, or describe the model and change nothing.
const READ: [&str; 22] = [
    "vocab_size",
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "pooling_type",
    "classifier.output_labels",
    "tensor_data_layout",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
];

/// Keys that repeat others.
pub(super) struct Facts {
    /// Width of the residual stream.
    pub hidden: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Whether there is a sliding window.
    pub window: bool,
}

/// Refuses keys of `architecture` whose values the engine does not support; warns about unknown keys, which are not
/// read.
pub(super) fn check(metadata: &Metadata, architecture: &str, facts: &Facts) -> Result<()> {
    check_type(metadata)?;
    let yarn = metadata.text(&format!("{architecture}.rope.scaling.type"))? == Some("yarn");
    let scale = 1.0 / f64::from(facts.head_dim).sqrt();
    let mut unknown = Vec::new();
    let mut keys: Vec<_> = metadata.keys().collect();
    keys.sort_unstable();
    for key in keys {
        let Some(name) = key.strip_prefix(architecture).and_then(|rest| rest.strip_prefix('.')) else { continue };
        let repeats: Option<f64> = match name {
            "embedding_length_out" => Some(facts.hidden.into()),
            "attention.key_length_swa" | "attention.value_length_swa" | "rope.dimension_count_swa" => {
                Some(facts.head_dim.into())
            }
            "rope.freq_base_swa" => Some(facts.rope_theta),
            "attention.scale" => Some(scale),
            _ => None,
        };
        let numbers = numbers(metadata.value(key));
        let all = |fits: &dyn Fn(f64) -> bool| numbers.as_ref().is_some_and(|all| all.iter().all(|n| fits(*n)));
        let neutral = match name {
            _ if repeats.is_some() => {
                all(&|n| repeats.is_some_and(|same| (n - same).abs() <= 1e-5 * same))
                    // llama.cpp takes 0 for the usual scale.
                    || name == "attention.scale" && all(&|n| n == 0.0)
            }
            // A flag for every layer, or after how many layers one is without a window, 0 being never.
            "attention.sliding_window_pattern" => {
                let every = if matches!(metadata.value(key), Some(Value::Number(_))) { 0.0 } else { 1.0 };
                !facts.window || all(&|n| n == every)
            }
            // Below 0 it is as the type of scaling has it.
            "rope.scaling.yarn_ext_factor" => all(&|n| n < 0.0 || n == f64::from(u8::from(yarn))),
            "hidden_activation" => metadata.text(key)? == Some("silu"),
            // Nothing to be read of experts that are not there.
            _ if name == "rope.scaling.finetuned" || name.starts_with("expert_") && name != "expert_count" => true,
            _ => match NEUTRAL.iter().find(|(known, _)| *known == name) {
                Some((_, neutral)) => all(&|n| neutral.contains(&n)),
                None if READ.contains(&name) => true,
                None => {
                    unknown.push(key);
                    true
                }
            },
        };
        if !neutral {
            let problem = format!("{} is not supported", shown(metadata.value(key)));
            return Err(metadata.error(key, problem, "wgr would compute a different model"));
        }
    }
    if !unknown.is_empty() {
        let (at, count) = (metadata.at(), unknown.len());
        tracing::warn!("{at}: {count} unknown keys of the architecture are not read: {}", unknown.join(", "));
    }
    Ok(())
}

/// Refuses files that are not language models: adapters, projectors, importance matrices.
fn check_type(metadata: &Metadata) -> Result<()> {
    let key = "general.type";
    match metadata.text(key)? {
        None | Some("model") => Ok(()),
        Some("adapter") => {
            let hint = "adapters are read in PEFT's format, a directory with adapter_config.json";
            Err(metadata.error(key, "\"adapter\" is not a model", hint))
        }
        Some(other) => Err(metadata.error(key, format!("{other:?} is not a model"), "")),
    }
}

/// Refuses poolings that do not give a classification head the last token. 0 and 3 are none and the last token.
pub(super) fn check_pooling(metadata: &Metadata, key: &str) -> Result<()> {
    match metadata.whole(key)? {
        None | Some(0 | 3 | RANK) => Ok(()),
        Some(other) => {
            let problem = format!("{other} is not supported for a model with a classification head");
            Err(metadata.error(key, problem, "wgr would compute a different model: its head sees the last token"))
        }
    }
}

/// A value as numbers, if it is any; flags are 0 and 1.
fn numbers(value: Option<&Value>) -> Option<Vec<f64>> {
    match value? {
        Value::Number(number) => Some(vec![*number]),
        Value::Flag(flag) => Some(vec![f64::from(u8::from(*flag))]),
        Value::Numbers(numbers) => Some(numbers.clone()),
        Value::Text(_) | Value::Texts(_) => None,
    }
}

fn shown(value: Option<&Value>) -> String {
    match value {
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Flag(flag)) => flag.to_string(),
        Some(Value::Text(text)) => format!("{text:?}"),
        Some(Value::Numbers(numbers)) => format!("{numbers:?}"),
        Some(Value::Texts(texts)) => format!("{texts:?}"),
        None => String::new(),
    }
}
