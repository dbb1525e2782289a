//! The metadata of a GGUF file as a Hugging Face configuration, and the reverse.
//!
//! Keys: `docs/gguf.md` of ggml and `gguf-py/gguf/constants.py` of llama.cpp.

use serde_json::{Map, Value, json};

use super::gguf::Metadata;
use super::gguf_field::{Field, NewMetadata};
use super::gguf_keys::{self, Facts};
use crate::model::config::{Family, ModelConfig};
use crate::model::rope::{Rope, RopeScaling};
use crate::model::{companions, gguf_tokenizer};
use crate::{Error, Result};

/// Llama 3 scaling as every release of the family has it; GGUF files store only the factors that follow from it.
const LLAMA3: (f64, f64, usize) = (1.0, 4.0, 8192);

/// The facts about a configuration that follow from a file's tensors.
pub(super) struct Shapes<'a> {
    /// The shape of a tensor, by Hugging Face name.
    pub shape: &'a dyn Fn(&str) -> Option<Vec<usize>>,
    /// The values of `rope_freqs.weight`: what each inverse frequency is divided by.
    pub rope_factors: Option<Vec<f32>>,
}

/// The key of the architecture, of which the other keys begin with the name.
pub(super) const ARCHITECTURE: &str = "general.architecture";

/// The `config.json` a GGUF file stands for.
pub(super) fn config_json(metadata: &Metadata, tensors: &Shapes) -> Result<Value> {
    let architecture = metadata.text(ARCHITECTURE)?.unwrap_or_default();
    let key = |name: &str| format!("{architecture}.{name}");
    let window = metadata.whole(&key("attention.sliding_window"))?.filter(|window| *window > 0);
    // llama.cpp runs Mistral as `llama`, so only the window tells them apart.
    let family = match architecture {
        "llama" if window.is_some() => Family::Mistral,
        "llama" => Family::Llama,
        "qwen2" => Family::Qwen2,
        "qwen3" => Family::Qwen3,
        other => {
            let problem = format!("{other:?} is not supported");
            return Err(metadata.error(ARCHITECTURE, problem, "wgr supports llama, qwen2 and qwen3"));
        }
    };
    let required = |name: &str| {
        let key = key(name);
        metadata.whole(&key)?.ok_or_else(|| metadata.error(&key, "is missing", ""))
    };
    let (hidden, heads) = (required("embedding_length")?, required("attention.head_count")?);
    let head_dim = match metadata.whole(&key("attention.key_length"))? {
        Some(length) => length,
        None => hidden.checked_div(heads).unwrap_or_default(),
    };
    for name in ["rope.dimension_count", "attention.value_length"] {
        if let Some(other) = metadata.whole(&key(name))?.filter(|length| *length != head_dim) {
            let problem = format!("{other} differs from the head width {head_dim}");
            return Err(metadata.error(&key(name), problem, "wgr rotates whole heads, all of the same width"));
        }
    }
    let rope_theta = metadata.number(&key("rope.freq_base"))?.map_or(10_000.0, short);
    gguf_keys::check(metadata, architecture, &Facts { hidden, head_dim, rope_theta, window: window.is_some() })?;
    let Some([vocab_size, _]) = (tensors.shape)("model.embed_tokens.weight").as_deref().map(|s| [s[0], s.len()]) else {
        return Err(Error::input(metadata.at(), "tensor \"token_embd.weight\" is missing", ""));
    };
    let tokens = metadata.texts("tokenizer.ggml.tokens")?.map_or(0, <[_]>::len);
    if tokens > vocab_size {
        let problem = format!("{tokens} tokens for the {vocab_size} rows of the embedding");
        return Err(metadata.error("tokenizer.ggml.tokens", problem, ""));
    }
    let labels = (tensors.shape)("score.weight").map(|shape| shape[0]);
    if labels.is_some() {
        gguf_keys::check_pooling(metadata, &key("pooling_type"))?;
    }
    let has = |name: &str| (tensors.shape)(name).is_some();
    let class = if labels.is_some() { "ForSequenceClassification" } else { "ForCausalLM" };
    let rms_norm_eps = key("attention.layer_norm_rms_epsilon");
    let rms_norm_eps =
        metadata.number(&rms_norm_eps)?.ok_or_else(|| metadata.error(&rms_norm_eps, "is missing", ""))?;
    let end_tokens = match gguf_tokenizer::end_tokens(metadata)?.as_slice() {
        [] => Value::Null,
        [one] => json!(one),
        several => json!(several),
    };
    let mut json = json!({
        "architectures": [format!("{}{class}", family.class_prefix())],
        "model_type": family.model_type(),
        "vocab_size": vocab_size,
        "hidden_size": hidden,
        "intermediate_size": required("feed_forward_length")?,
        "num_hidden_layers": required("block_count")?,
        "num_attention_heads": heads,
        "num_key_value_heads": metadata.whole(&key("attention.head_count_kv"))?.unwrap_or(heads),
        "head_dim": head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": required("context_length")?,
        "rms_norm_eps": short(rms_norm_eps),
        "rope_theta": rope_theta,
        "tie_word_embeddings": !has("lm_head.weight"),
        "attention_bias": has("model.layers.0.self_attn.q_proj.bias"),
        "mlp_bias": has("model.layers.0.mlp.gate_proj.bias"),
        "bos_token_id": metadata.whole("tokenizer.ggml.bos_token_id")?,
        "eos_token_id": end_tokens,
        "pad_token_id": gguf_tokenizer::minor_special(metadata, "tokenizer.ggml.padding_token_id")?,
        "rope_scaling": rope_scaling(metadata, architecture, tensors, head_dim)?,
    });
    if window.is_some() {
        json["sliding_window"] = json!(window);
        json["use_sliding_window"] = json!(true);
        json["max_window_layers"] = json!(0);
    }
    if let Some(labels) = labels {
        json["num_labels"] = json!(labels);
        name_labels(&mut json, metadata, &key("classifier.output_labels"), labels)?;
    }
    let (field, key) = companions::HEAD;
    if let Some(head) = metadata.text(key)? {
        json[field] = serde_json::from_str(head).map_err(|e| metadata.error(key, format!("is not JSON: {e}"), ""))?;
    }
    Ok(json)
}

/// The names of a classification head's outputs, if the file has them.
fn name_labels(json: &mut Value, metadata: &Metadata, key: &str, labels: usize) -> Result<()> {
    let Some(names) = metadata.texts(key)? else { return Ok(()) };
    if names.len() != labels {
        let problem = format!("{} names for the {labels} rows of tensor \"cls.output.weight\"", names.len());
        return Err(metadata.error(key, problem, ""));
    }
    let pairs = || names.iter().enumerate();
    json["id2label"] = pairs().map(|(i, name)| (i.to_string(), json!(name))).collect::<Map<_, _>>().into();
    json["label2id"] = pairs().map(|(i, name)| (name.clone(), json!(i))).collect::<Map<_, _>>().into();
    Ok(())
}

/// The names of a classifier's outputs as its configuration has them, if it names them all.
fn label_names(config: &ModelConfig) -> Option<Vec<String>> {
    let names = config.extra("id2label")?.as_object()?;
    let name = |i: usize| Some(names.get(&i.to_string())?.as_str()?.to_owned());
    (names.len() == config.num_labels?).then(|| (0..names.len()).map(name).collect())?
}

fn rope_scaling(metadata: &Metadata, architecture: &str, tensors: &Shapes, head_dim: u32) -> Result<Value> {
    let key = |name: &str| format!("{architecture}.rope.scaling.{name}");
    // The factor has an older name, and without a type it is that of linear scaling. 0 and 1 are none.
    let factor = match metadata.number(&key("factor"))? {
        Some(factor) => Some(factor),
        None => metadata.number(&format!("{architecture}.rope.scale_linear"))?,
    };
    let factor = factor.map(short).filter(|factor| ![0.0, 1.0].contains(factor));
    let kind = metadata.text(&key("type"))?.unwrap_or("linear");
    if tensors.rope_factors.is_some() && factor.is_some() && kind != "none" {
        let problem = "scales what tensor \"rope_freqs.weight\" scales too, which is not supported";
        return Err(metadata.error(&key("factor"), problem, ""));
    }
    if let Some(factors) = &tensors.rope_factors {
        let theta = metadata.number(&format!("{architecture}.rope.freq_base"))?.unwrap_or(10_000.0);
        let original = metadata.whole(&key("original_context_length"))?.map(|length| length as usize);
        let scaling = llama3(original, factors.iter().fold(1.0, |largest, factor| factor.max(largest)));
        let expected = llama3_factors(theta, &scaling, head_dim as usize);
        let follows = expected.len() == factors.len()
            && expected.iter().zip(factors).all(|(expected, found)| (found / expected - 1.0).abs() < 1e-3);
        if !follows {
            let at = format!("{}: tensor \"rope_freqs.weight\"", metadata.at());
            return Err(Error::input(at, "does not hold the factors of Llama 3 scaling", "wgr supports no others"));
        }
        let RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } =
            scaling
        else {
            return Ok(Value::Null);
        };
        return Ok(json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": low_freq_factor,
            "high_freq_factor": high_freq_factor,
            "original_max_position_embeddings": original_max_position_embeddings,
        }));
    }
    let number = |name: &str| Ok::<_, Error>(metadata.number(&key(name))?.map(short));
    match (kind, factor) {
        ("none", _) | ("linear" | "yarn", None) => Ok(Value::Null),
        ("linear", Some(factor)) => Ok(json!({"rope_type": "linear", "factor": factor})),
        ("yarn", Some(factor)) => Ok(json!({
            "rope_type": "yarn", "factor": factor, "beta_fast": number("yarn_beta_fast")?,
            "beta_slow": number("yarn_beta_slow")?,
            "original_max_position_embeddings": metadata.whole(&key("original_context_length"))?,
        })),
        (other, _) => {
            let hint = "wgr supports none, linear and yarn";
            Err(metadata.error(&key("type"), format!("{other:?} is not supported"), hint))
        }
    }
}

fn llama3(original: Option<usize>, factor: f32) -> RopeScaling {
    let (low_freq_factor, high_freq_factor, default) = LLAMA3;
    let original_max_position_embeddings = original.unwrap_or(default);
    RopeScaling::Llama3 {
        factor: short(factor.into()),
        low_freq_factor,
        high_freq_factor,
        original_max_position_embeddings,
    }
}

fn llama3_factors(theta: f64, scaling: &RopeScaling, head_dim: usize) -> Vec<f32> {
    let frequencies = |scaling: RopeScaling| Rope { theta, scaling }.inverse_frequencies(head_dim).0;
    let (plain, scaled) = (frequencies(RopeScaling::Default), frequencies(scaling.clone()));
    plain.iter().zip(scaled).map(|(plain, scaled)| (plain / scaled) as f32).collect()
}

/// The f64 nearest to the shortest decimal of a number stored as f32: 1e-5 rather than 9.99999974e-6.
fn short(number: f64) -> f64 {
    (number as f32).to_string().parse().unwrap_or(number)
}

/// The metadata of a configuration without its tokenizer, and the values of `rope_freqs.weight` where it needs them.
/// Errors name what GGUF cannot express at `at`.
pub(super) fn metadata(config: &ModelConfig, at: &str) -> Result<(NewMetadata, Option<Vec<f32>>)> {
    let architecture = architecture(config);
    let size = |size: usize| Field::U32(u32::try_from(size).unwrap_or(u32::MAX));
    let float = |number: f64| Field::F32(number as f32);
    let window = config.window(0);
    if (0..config.num_hidden_layers).any(|layer| config.window(layer) != window) {
        return Err(Error::input(format!("{at}: layer_types"), "GGUF has no windows on some layers only", ""));
    }
    let mut fields = vec![
        ("context_length", size(config.max_position_embeddings)),
        ("embedding_length", size(config.hidden_size)),
        ("block_count", size(config.num_hidden_layers)),
        ("feed_forward_length", size(config.intermediate_size)),
        ("vocab_size", size(config.vocab_size)),
        ("attention.head_count", size(config.num_attention_heads)),
        ("attention.head_count_kv", size(config.num_key_value_heads)),
        ("attention.key_length", size(config.head_dim)),
        ("attention.value_length", size(config.head_dim)),
        ("attention.layer_norm_rms_epsilon", Field::F32(config.rms_norm_eps)),
        ("rope.dimension_count", size(config.head_dim)),
        ("rope.freq_base", float(config.rope.theta)),
    ];
    fields.extend(window.map(|window| ("attention.sliding_window", size(window))));
    let mut rope_factors = None;
    match &config.rope.scaling {
        RopeScaling::Default => {}
        RopeScaling::Linear { factor } => fields
            .extend([("rope.scaling.type", Field::Text("linear".into())), ("rope.scaling.factor", float(*factor))]),
        scaling @ RopeScaling::Llama3 {
            low_freq_factor, high_freq_factor, original_max_position_embeddings, ..
        } => {
            if (*low_freq_factor, *high_freq_factor) != (LLAMA3.0, LLAMA3.1) {
                let problem = "GGUF files have Llama 3 scaling with low_freq_factor 1 and high_freq_factor 4 only";
                return Err(Error::input(format!("{at}: rope_scaling"), problem, ""));
            }
            fields.push(("rope.scaling.original_context_length", size(*original_max_position_embeddings)));
            rope_factors = Some(llama3_factors(config.rope.theta, scaling, config.head_dim));
        }
        RopeScaling::Yarn {
            factor,
            original_max_position_embeddings,
            attention_factor: None,
            beta_fast,
            beta_slow,
            mscale: None,
            mscale_all_dim: None,
            truncate: true,
        } => fields.extend([
            ("rope.scaling.type", Field::Text("yarn".into())),
            ("rope.scaling.factor", float(*factor)),
            ("rope.scaling.original_context_length", size(*original_max_position_embeddings)),
            ("rope.scaling.yarn_beta_fast", float(*beta_fast)),
            ("rope.scaling.yarn_beta_slow", float(*beta_slow)),
        ]),
        RopeScaling::Yarn { .. } => {
            let problem = "GGUF cannot express YaRN with attention_factor, mscale or without truncation";
            return Err(Error::input(format!("{at}: rope_scaling"), problem, ""));
        }
    }
    let general = [(ARCHITECTURE.to_owned(), Field::Text(architecture.into()))];
    let fields = fields.into_iter().map(|(name, field)| (format!("{architecture}.{name}"), field));
    Ok((general.into_iter().chain(fields).chain(head_metadata(config)).collect(), rope_factors))
}

/// The metadata about a score head; none for causal models.
pub(super) fn head_metadata(config: &ModelConfig) -> NewMetadata {
    let key = |name: &str| format!("{}.{name}", architecture(config));
    let mut fields = vec![];
    if config.num_labels.is_some() {
        fields.push((key("pooling_type"), Field::U32(gguf_keys::RANK)));
        fields.extend(label_names(config).map(|names| (key("classifier.output_labels"), Field::Texts(names))));
    }
    let (field, key) = companions::HEAD;
    fields.extend(config.extra(field).map(|head| (key.to_owned(), Field::Text(head.to_string()))));
    fields
}

/// The name of the architecture, as llama.cpp knows it.
fn architecture(config: &ModelConfig) -> &'static str {
    match config.family {
        Family::Llama | Family::Mistral => "llama",
        Family::Qwen2 => "qwen2",
        Family::Qwen3 => "qwen3",
    }
}
