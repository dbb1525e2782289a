//! `adapter_config.json`, between PEFT and the engine. A field that the engine does not implement is an error that
//! names it.

use serde_json::{Value, json};

use crate::Result;
use crate::model::config::ModelConfig;
use crate::model::fields::Fields;

use super::config::{LoraConfig, PROJECTIONS};

/// Fields that change what an adapter computes or what it contains, with the values under which it is still what the
/// engine computes. A field that is absent or null is off.
const ONLY: [(&str, &[&str]); 19] = [
    ("peft_type", &["\"LORA\""]),
    ("task_type", &["\"SEQ_CLS\"", "\"CAUSAL_LM\""]),
    ("bias", &["\"none\""]),
    ("use_dora", &["false"]),
    ("use_qalora", &["false"]),
    ("use_bdlora", &["false"]),
    ("lora_bias", &["false"]),
    ("fan_in_fan_out", &["false"]),
    ("rank_pattern", &["{}"]),
    ("alpha_pattern", &["{}"]),
    ("layers_to_transform", &[]),
    ("layers_pattern", &[]),
    ("exclude_modules", &[]),
    ("layer_replication", &[]),
    ("target_parameters", &[]),
    ("trainable_token_indices", &[]),
    ("alora_invocation_tokens", &[]),
    ("megatron_config", &[]),
    // The other ways change the base model as well.
    ("init_lora_weights", &["true", "false", "\"gaussian\"", "\"eva\"", "\"orthogonal\""]),
];

/// Modules that PEFT trains in full for classifiers; a decoder has the second alone.
const HEADS: [&str; 2] = ["classifier", "score"];

/// The content of an adapter's configuration.
#[derive(Debug)]
pub(super) struct PeftConfig {
    /// The adapters.
    pub lora: LoraConfig,
    /// The model they are for.
    pub base: String,
}

/// Reads an `adapter_config.json` found at `at`.
pub(super) fn from_json(value: &Value, at: &str) -> Result<PeftConfig> {
    let fields = Fields::new(value, at)?;
    for (name, allowed) in ONLY {
        if let Some(value) = fields.get(name).filter(|value| !allowed.contains(&value.to_string().as_str())) {
            return Err(fields.error(name, format!("{value} is not supported"), "wgr would compute a different model"));
        }
    }
    if fields.get("peft_type").is_none() {
        return Err(fields.error("peft_type", "is missing", "wgr reads LORA adapters"));
    }
    for name in fields.texts("modules_to_save")?.unwrap_or_default() {
        if !HEADS.contains(&name) {
            let problem = format!("{name:?} is not supported");
            return Err(fields.error("modules_to_save", problem, "wgr reads adapters and the head score"));
        }
    }
    let missing = |name: &str| fields.error(name, "is missing", "PEFT always writes it");
    let targets = match fields.get("target_modules") {
        Some(Value::String(all)) if all == "all-linear" => PROJECTIONS.map(str::to_owned).to_vec(),
        Some(Value::String(pattern)) => {
            let problem = format!("the pattern {pattern:?} is not supported");
            return Err(fields.error("target_modules", problem, "list the modules by name"));
        }
        _ => {
            let names = fields.texts("target_modules")?.ok_or_else(|| missing("target_modules"))?;
            names.into_iter().map(str::to_owned).collect()
        }
    };
    let lora = LoraConfig {
        rank: fields.size("r")?.ok_or_else(|| missing("r"))?,
        alpha: fields.positive("lora_alpha")?.ok_or_else(|| missing("lora_alpha"))?,
        dropout: fields.number("lora_dropout")?.unwrap_or(0.0),
        targets,
        rslora: fields.flag("use_rslora")?.unwrap_or(false),
    };
    let base = fields.text("base_model_name_or_path")?.ok_or_else(|| missing("base_model_name_or_path"))?;
    Ok(PeftConfig { lora: lora.normalized(), base: base.to_owned() })
}

/// The `adapter_config.json` of an adapter for the model found by the name `base`, with or without a score head.
pub(super) fn to_json(lora: &LoraConfig, base: &str, has_head: bool) -> Value {
    json!({
        "peft_type": "LORA",
        "task_type": if has_head { "SEQ_CLS" } else { "CAUSAL_LM" },
        "base_model_name_or_path": base,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": lora.targets,
        "use_rslora": lora.rslora,
        "modules_to_save": if has_head { json!(["score"]) } else { Value::Null },
        "bias": "none",
        "use_dora": false,
        "fan_in_fan_out": false,
        "rank_pattern": {},
        "alpha_pattern": {},
        "inference_mode": true,
        "init_lora_weights": true,
    })
}

/// Checks that every target is a linear layer of a model.
pub(super) fn check_targets(lora: &LoraConfig, model: &ModelConfig, at: &str) -> Result<()> {
    let projections = super::config::all_projections(model);
    for target in &lora.targets {
        let alone = LoraConfig { targets: vec![target.clone()], ..lora.clone() };
        if !projections.iter().any(|projection| alone.adapts(&projection.name)) {
            let problem = format!("{target:?} is not a linear layer of the base model");
            let hint = format!("wgr adapts {}; the adapter may be for another model", PROJECTIONS.join(", "));
            return Err(crate::Error::input(format!("{at}: target_modules"), problem, hint));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> LoraConfig {
        let targets = vec!["q_proj".to_owned(), "v_proj".to_owned()];
        LoraConfig { rank: 3, alpha: 6.0, dropout: 0.1, targets, rslora: true }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for has_head in [true, false] {
            let read = from_json(&to_json(&config(), "owner/name", has_head), "adapter_config.json").unwrap();
            assert_eq!((read.lora, read.base.as_str()), (config(), "owner/name"));
        }
    }

    #[test]
    fn what_the_engine_would_not_compute_is_named() {
        for (field, value) in [
            ("peft_type", json!("IA3")),
            ("peft_type", json!(null)),
            ("bias", json!("all")),
            ("use_dora", json!(true)),
            ("rank_pattern", json!({"q_proj": 4})),
            ("alpha_pattern", json!({"q_proj": 4})),
            ("layers_to_transform", json!([1])),
            ("target_modules", json!(".*_proj")),
            ("target_modules", json!(null)),
            ("modules_to_save", json!(["embed_tokens"])),
            ("init_lora_weights", json!("pissa")),
            ("task_type", json!("TOKEN_CLS")),
            ("r", json!(0)),
            ("lora_alpha", json!("x")),
            ("base_model_name_or_path", json!(null)),
        ] {
            let mut json = to_json(&config(), "owner/name", true);
            json[field] = value.clone();
            let error = from_json(&json, "adapter_config.json").unwrap_err();
            assert!(error.to_string().starts_with(&format!("adapter_config.json: {field}: ")), "{value}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
