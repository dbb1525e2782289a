//! The configuration of a decoder, read from a Hugging Face `config.json`.
//!
//! A field that the engine does not implement is an error that names it: a model that loads gives the numbers its
//! authors meant.

use serde_json::{Map, Value, json};

use super::base::BaseDtype;
use super::fields::Fields;
use super::rope::Rope;
use super::weights::Dtype;
use crate::{Error, Result};

/// The architectures the engine runs; they differ in biases, norms and windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Llama 2 and 3, SmolLM2 and everything else of `model_type` `llama`.
    Llama,
    /// Mistral: Llama with a sliding window.
    Mistral,
    /// Qwen 2 and 2.5: biases on queries, keys and values.
    Qwen2,
    /// Qwen 3: RMS norms on the heads of queries and keys.
    Qwen3,
}

impl Family {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Llama, "llama", "Llama"),
        (Self::Mistral, "mistral", "Mistral"),
        (Self::Qwen2, "qwen2", "Qwen2"),
        (Self::Qwen3, "qwen3", "Qwen3"),
    ];

    /// The `model_type` of a configuration: `llama`.
    pub fn model_type(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The prefix of the class names: `Llama`, as in `LlamaForCausalLM`.
    pub fn class_prefix(self) -> &'static str {
        Self::ALL[self as usize].2
    }
}

/// A decoder's sizes and switches; the fields are named as in `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The architecture.
    pub family: Family,
    /// Rows of the token embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated MLP.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Width of a head; even, and not always `hidden_size / num_attention_heads`.
    pub head_dim: usize,
    /// Epsilon of every RMS norm.
    pub rms_norm_eps: f32,
    /// The rotary embedding.
    pub rope: Rope,
    /// Whether `q_proj`, `k_proj` and `v_proj` have biases.
    pub qkv_bias: bool,
    /// Whether `o_proj` has a bias.
    pub output_bias: bool,
    /// Whether `gate_proj`, `up_proj` and `down_proj` have biases.
    pub mlp_bias: bool,
    /// Whether the heads of queries and keys are RMS-normalised.
    pub qk_norm: bool,
    /// Whether the language-model head is the token embedding.
    pub tie_word_embeddings: bool,
    /// The longest sequence the model was made for, in tokens.
    pub max_position_embeddings: usize,
    /// Standard deviation of new weights.
    pub initializer_range: f32,
    /// The token a sequence begins with, if any.
    pub bos_token_id: Option<u32>,
    /// The tokens that end a sequence; the first is the one to append.
    pub eos_token_id: Vec<u32>,
    /// The padding token, which the engine itself never uses.
    pub pad_token_id: Option<u32>,
    /// Outputs of the classification head; `None` unless the model is `…ForSequenceClassification`.
    pub num_labels: Option<usize>,
    windows: Vec<Option<usize>>,
    json: Map<String, Value>,
}

/// The name and shape of one tensor of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// The Hugging Face name, e.g. `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// Rows first: a linear layer is `[outputs, inputs]`.
    pub shape: Vec<usize>,
}

/// The widest projection a configuration may ask for; products of two sizes stay far from overflowing.
const MAX_WIDTH: usize = 1 << 24;

/// Fields that change what a model computes, with the values under which it is still the model the engine runs.
const ONLY: [(&str, &[&str]); 13] = [
    ("hidden_act", &["\"silu\"", "\"swish\""]),
    ("hidden_activation", &["\"silu\"", "\"swish\""]),
    ("is_causal", &["true"]),
    ("use_bidirectional_attention", &["false"]),
    ("is_encoder_decoder", &["false"]),
    ("add_cross_attention", &["false"]),
    ("num_experts", &[]),
    ("num_local_experts", &[]),
    ("n_routed_experts", &[]),
    ("moe_intermediate_size", &[]),
    ("attn_logit_softcapping", &[]),
    ("final_logit_softcapping", &[]),
    ("query_pre_attn_scalar", &[]),
];

/// How weights are stored other than as numbers.
const QUANTIZATION: &str = "quantization_config";

/// Shares of values that `transformers` drops while it trains a model, and never else.
const DROPOUTS: [&str; 7] = [
    "attention_dropout",
    "hidden_dropout",
    "residual_dropout",
    "resid_pdrop",
    "embd_pdrop",
    "classifier_dropout",
    "summary_first_dropout",
];

impl ModelConfig {
    /// Checks that the engine trains the model as `transformers` would: it has no dropout but that of adapters.
    ///
    /// # Errors
    /// The configuration asks for some.
    pub fn check_trainable(&self) -> Result<()> {
        let asks = |name: &&&str| self.json.get(**name).and_then(Value::as_f64).is_some_and(|share| share != 0.0);
        match DROPOUTS.iter().find(asks) {
            None => Ok(()),
            Some(name) => {
                let problem = format!("{} asks for dropout, which wgr does not support", self.json[*name]);
                Err(Error::input(format!("config.json: {name}"), problem, "set it to 0 to train without"))
            }
        }
    }

    /// Reads a `config.json` found at `at`, which errors name with the field at fault.
    ///
    /// # Errors
    /// A field is missing, of the wrong type or out of range, or asks for what wgr does not compute.
    pub fn from_json(value: &Value, at: &str) -> Result<Self> {
        let fields = Fields::new(value, at)?;
        let family = family(&fields)?;
        for (name, allowed) in ONLY {
            if let Some(value) = fields.get(name).filter(|value| !allowed.contains(&value.to_string().as_str())) {
                return Err(fields.error(
                    name,
                    format!("{value} is not supported"),
                    "wgr would compute a different model",
                ));
            }
        }
        check_quantization(&fields)?;
        let hidden_size = fields.required_size("hidden_size")?;
        let num_attention_heads = fields.required_size("num_attention_heads")?;
        let num_hidden_layers = fields.whole("num_hidden_layers", 1, 4096)?;
        let num_hidden_layers = num_hidden_layers.ok_or_else(|| fields.error("num_hidden_layers", "is missing", ""))?;
        let default_kv_heads = if family == Family::Mistral { 8 } else { num_attention_heads };
        let num_key_value_heads = fields.size("num_key_value_heads")?.unwrap_or(default_kv_heads);
        if !num_attention_heads.is_multiple_of(num_key_value_heads) {
            let problem = format!("{num_key_value_heads} does not divide the {num_attention_heads} attention heads");
            return Err(fields.error("num_key_value_heads", problem, ""));
        }
        let default_positions = match family {
            Family::Llama => 2048,
            Family::Mistral => 131_072,
            Family::Qwen2 | Family::Qwen3 => 32_768,
        };
        let max_position_embeddings =
            fields.whole("max_position_embeddings", 1, u64::from(u32::MAX))?.unwrap_or(default_positions);
        let flag = |name: &str, default: bool| Ok::<_, Error>(fields.flag(name)?.unwrap_or(default));
        let attention_bias = matches!(family, Family::Llama | Family::Qwen3) && flag("attention_bias", false)?;
        Ok(Self {
            family,
            vocab_size: fields.required_size("vocab_size")?,
            hidden_size,
            intermediate_size: fields.required_size("intermediate_size")?,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads,
            head_dim: head_dim(&fields, family, hidden_size, num_attention_heads)?,
            rms_norm_eps: fields.positive("rms_norm_eps")?.unwrap_or(1e-6) as f32,
            rope: Rope::from_fields(&fields, at, max_position_embeddings)?,
            qkv_bias: attention_bias || family == Family::Qwen2,
            output_bias: attention_bias,
            mlp_bias: family == Family::Llama && flag("mlp_bias", false)?,
            qk_norm: family == Family::Qwen3,
            tie_word_embeddings: flag("tie_word_embeddings", false)?,
            max_position_embeddings,
            initializer_range: fields.positive("initializer_range")?.unwrap_or(0.02) as f32,
            bos_token_id: fields.token("bos_token_id")?,
            eos_token_id: eos_tokens(&fields)?,
            pad_token_id: pad_token(&fields)?,
            num_labels: num_labels(&fields, family)?,
            windows: windows(&fields, family, num_hidden_layers)?,
            json: value.as_object().cloned().unwrap_or_default(),
        })
    }

    /// Whether completions may share a prompt in a batch: there is no rule for that in a sliding window.
    pub fn shares_prompts(&self) -> bool {
        self.windows.iter().all(Option::is_none)
    }

    /// The sliding window of a layer: a query sees itself and the `window - 1` positions before it.
    /// `None` where a layer sees everything, and for layers the model does not have.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.windows.get(layer).copied().flatten()
    }

    /// The same with a score head of this many outputs and another field that is not part of the architecture.
    pub(super) fn set_head(&mut self, outputs: usize, field: &str, value: Option<&Value>) {
        self.num_labels = Some(outputs);
        match value {
            Some(value) => drop(self.json.insert(field.into(), value.clone())),
            None => drop(self.json.remove(field)),
        }
    }

    /// A field of `config.json` that is not part of the architecture.
    pub fn extra(&self, field: &str) -> Option<&Value> {
        self.json.get(field)
    }

    /// The type that the configuration says its weights have, if the engine stores it.
    pub(crate) fn named_dtype(&self) -> Option<BaseDtype> {
        let name = ["dtype", "torch_dtype"].iter().find_map(|field| self.json.get(*field)?.as_str())?;
        match name {
            "float16" => Some(BaseDtype::F16),
            "bfloat16" => Some(BaseDtype::Bf16),
            _ => None,
        }
    }

    /// Width of all query heads together.
    pub fn query_width(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all key heads, or value heads, together.
    pub fn key_value_width(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Every tensor of the body in the order of computation: embedding, layers, final norm. No head.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let (queries, keys) = (self.query_width(), self.key_value_width());
        let mut tensors = Vec::new();
        let mut add = |name: String, shape: &[usize]| tensors.push(TensorSpec { name, shape: shape.to_vec() });
        add("model.embed_tokens.weight".into(), &[self.vocab_size, hidden]);
        for layer in 0..self.num_hidden_layers {
            let prefix = format!("model.layers.{layer}");
            add(format!("{prefix}.input_layernorm.weight"), &[hidden]);
            for (name, rows, columns, bias) in [
                ("self_attn.q_proj", queries, hidden, self.qkv_bias),
                ("self_attn.k_proj", keys, hidden, self.qkv_bias),
                ("self_attn.v_proj", keys, hidden, self.qkv_bias),
                ("self_attn.o_proj", hidden, queries, self.output_bias),
                ("mlp.gate_proj", inner, hidden, self.mlp_bias),
                ("mlp.up_proj", inner, hidden, self.mlp_bias),
                ("mlp.down_proj", hidden, inner, self.mlp_bias),
            ] {
                add(format!("{prefix}.{name}.weight"), &[rows, columns]);
                if bias {
                    add(format!("{prefix}.{name}.bias"), &[rows]);
                }
            }
            if self.qk_norm {
                add(format!("{prefix}.self_attn.q_norm.weight"), &[self.head_dim]);
                add(format!("{prefix}.self_attn.k_norm.weight"), &[self.head_dim]);
            }
            add(format!("{prefix}.post_attention_layernorm.weight"), &[hidden]);
        }
        add("model.norm.weight".into(), &[hidden]);
        tensors
    }

    /// Whether the configuration says that matrices are stored as 4-bit weights of bitsandbytes.
    pub(super) fn is_packed(&self) -> bool {
        self.json.get(QUANTIZATION).is_some_and(|value| !value.is_null())
    }

    /// The `config.json` this was read from, unknown fields included, for weights saved as `dtype`.
    pub fn to_json(&self, dtype: Dtype) -> Value {
        let mut json = self.json.clone();
        // What was packed is written as `dtype`.
        json.shift_remove(QUANTIZATION);
        json.insert("tie_word_embeddings".into(), json!(self.tie_word_embeddings));
        // transformers 5 reads `dtype`, earlier releases `torch_dtype`.
        for key in ["dtype", "torch_dtype"] {
            if key == "dtype" || json.contains_key(key) {
                json.insert(key.into(), json!(dtype.torch_name()));
            }
        }
        Value::Object(json)
    }

    /// The same model as a sequence classifier with these outputs. Servers go by `problem_type`: one logit is served as it
    /// is, several as independent probabilities.
    pub fn to_classifier_json(&self, labels: &[String], dtype: Dtype) -> Value {
        let mut json = self.to_json(dtype);
        let id2label: Map<_, _> = labels.iter().enumerate().map(|(i, label)| (i.to_string(), json!(label))).collect();
        let label2id: Map<_, _> = labels.iter().enumerate().map(|(i, label)| (label.clone(), json!(i))).collect();
        json["architectures"] = json!([format!("{}ForSequenceClassification", self.family.class_prefix())]);
        json["num_labels"] = json!(labels.len());
        json["id2label"] = Value::Object(id2label);
        json["label2id"] = Value::Object(label2id);
        match labels {
            [_] => json["problem_type"] = json!("regression"),
            [first, ..] if first.starts_with("y>") => json["problem_type"] = json!("multi_label_classification"),
            // The meaning of the outputs is unknown.
            _ => {}
        }
        // transformers finds the last token of a padded row by this id.
        json["pad_token_id"] = json!(self.pad_token_id);
        json
    }
}

/// Of all ways to quantise weights, only the 4-bit weights of bitsandbytes say in the checkpoint what they are, and compute as
/// the values that they stand for.
fn check_quantization(fields: &Fields) -> Result<()> {
    let Some(value) = fields.get(QUANTIZATION) else { return Ok(()) };
    let is_on = |name: &str| value[name].as_bool() == Some(true);
    let method = value["quant_method"].as_str();
    if matches!(method, Some("bitsandbytes") | None) && (is_on("load_in_4bit") || is_on("_load_in_4bit")) {
        return Ok(());
    }
    let problem = match method {
        Some("bitsandbytes") => "weights of bitsandbytes in 8 bits are not read".into(),
        Some(method) => format!("weights quantised by {method} are not read"),
        None => format!("{value} is not supported"),
    };
    let hint = "GGUF files and 4-bit weights of bitsandbytes are read; or take the model before it was quantised";
    Err(fields.error(QUANTIZATION, problem, hint))
}

fn family(fields: &Fields) -> Result<Family> {
    let known = "wgr supports llama, mistral, qwen2 and qwen3";
    let Some(model_type) = fields.text("model_type")? else {
        return Err(fields.error("model_type", "is missing", known));
    };
    let found = Family::ALL.iter().find(|(_, name, _)| *name == model_type);
    found
        .map(|(family, ..)| *family)
        .ok_or_else(|| fields.error("model_type", format!("{model_type:?} is not supported"), known))
}

fn head_dim(fields: &Fields, family: Family, hidden_size: usize, heads: usize) -> Result<usize> {
    let head_dim = match fields.size("head_dim")? {
        Some(head_dim) => head_dim,
        None if family == Family::Qwen3 => 128,
        None if hidden_size.is_multiple_of(heads) => hidden_size / heads,
        None => {
            let problem = format!("{hidden_size} is not a multiple of the {heads} attention heads");
            return Err(fields.error("hidden_size", problem, "or set head_dim"));
        }
    };
    if !head_dim.is_multiple_of(2) {
        return Err(fields.error("head_dim", format!("{head_dim} is odd"), "rotary embedding rotates pairs"));
    }
    if head_dim.checked_mul(heads).is_none_or(|width| width > MAX_WIDTH) {
        return Err(fields.error("head_dim", format!("{heads} heads of {head_dim} are implausibly wide"), ""));
    }
    Ok(head_dim)
}

fn pad_token(fields: &Fields) -> Result<Option<u32>> {
    // Some Llama 2 configurations write -1 for "none".
    if fields.get("pad_token_id") == Some(&json!(-1)) { Ok(None) } else { fields.token("pad_token_id") }
}

fn eos_tokens(fields: &Fields) -> Result<Vec<u32>> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match fields.get("eos_token_id") {
        None => Ok(Vec::new()),
        Some(Value::Array(ids)) => ids
            .iter()
            .map(|value| {
                id(value).ok_or_else(|| fields.error("eos_token_id", format!("{value} is not a token id"), ""))
            })
            .collect(),
        Some(_) => Ok(fields.token("eos_token_id")?.into_iter().collect()),
    }
}

fn num_labels(fields: &Fields, family: Family) -> Result<Option<usize>> {
    let architecture = match fields.texts("architectures")?.as_deref() {
        None | Some([]) => return Ok(None),
        Some([architecture]) => *architecture,
        Some(_) => return Err(fields.error("architectures", "names several classes", "")),
    };
    match architecture.strip_prefix(family.class_prefix()) {
        Some("ForCausalLM" | "Model") => Ok(None),
        Some("ForSequenceClassification") => {
            let named = fields.get("id2label").and_then(Value::as_object).map(Map::len);
            // Two labels is what transformers assumes where a configuration is silent.
            Ok(Some(fields.size("num_labels")?.or(named).unwrap_or(2)))
        }
        _ => {
            let hint = "wgr reads …ForCausalLM and …ForSequenceClassification of the same family as model_type";
            Err(fields.error("architectures", format!("{architecture:?} is not supported"), hint))
        }
    }
}

/// The window of every layer, by the rules of each family's configuration class in `transformers`.
fn windows(fields: &Fields, family: Family, layers: usize) -> Result<Vec<Option<usize>>> {
    // Absent and null differ here: null means no window, absent the default of the classes.
    let size = || -> Result<Option<usize>> {
        let stated = fields.whole("sliding_window", 1, u64::from(u32::MAX))?;
        Ok(if fields.is_null("sliding_window") { None } else { Some(stated.unwrap_or(4096)) })
    };
    let (window, first) = match family {
        Family::Llama => return Ok(vec![None; layers]),
        Family::Mistral => (size()?, 0),
        Family::Qwen2 | Family::Qwen3 if fields.flag("use_sliding_window")? == Some(true) => {
            (size()?, fields.whole("max_window_layers", 0, 4096)?.unwrap_or(28))
        }
        Family::Qwen2 | Family::Qwen3 => (None, 0),
    };
    let by_position: Vec<_> = (0..layers).map(|layer| window.filter(|_| layer >= first)).collect();
    let Some(kinds) = fields.texts("layer_types")? else { return Ok(by_position) };
    if kinds.len() != layers {
        let problem = format!("{} entries for {layers} layers", kinds.len());
        return Err(fields.error("layer_types", problem, ""));
    }
    let by_kind = kinds
        .into_iter()
        .map(|kind| match kind {
            "full_attention" => Ok(None),
            "sliding_attention" if window.is_some() => Ok(window),
            "sliding_attention" => Err(fields.error("layer_types", "asks for a window that is switched off", "")),
            other => Err(fields.error("layer_types", format!("{other:?} is not supported"), "")),
        })
        .collect::<Result<Vec<_>>>()?;
    if family == Family::Mistral && by_kind != by_position {
        return Err(fields.error("layer_types", "mixes windows, which Mistral models do not", ""));
    }
    Ok(by_kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(family: &str) -> Value {
        json!({"model_type": family, "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48,
               "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2})
    }

    fn with(family: &str, changes: Value) -> Result<ModelConfig> {
        let mut json = base(family);
        for (key, value) in changes.as_object().unwrap() {
            json[key] = value.clone();
        }
        ModelConfig::from_json(&json, "config.json")
    }

    #[test]
    fn families_differ_in_biases_and_norms() {
        let plain = with("llama", json!({})).unwrap();
        assert_eq!((plain.qkv_bias, plain.output_bias, plain.mlp_bias, plain.qk_norm), (false, false, false, false));
        assert_eq!((plain.head_dim, plain.rope.theta, plain.max_position_embeddings), (8, 10_000.0, 2048));
        let biased = with("llama", json!({"attention_bias": true, "mlp_bias": true})).unwrap();
        assert_eq!((biased.qkv_bias, biased.output_bias, biased.mlp_bias), (true, true, true));
        let qwen2 = with("qwen2", json!({})).unwrap();
        assert_eq!((qwen2.qkv_bias, qwen2.output_bias), (true, false));
        let qwen3 = with("qwen3", json!({})).unwrap();
        assert_eq!((qwen3.qkv_bias, qwen3.qk_norm, qwen3.head_dim), (false, true, 128));
    }

    #[test]
    fn tensors_have_the_names_and_shapes_of_transformers() {
        let config = with("qwen3", json!({"head_dim": 6, "attention_bias": true, "num_hidden_layers": 1})).unwrap();
        let found: Vec<_> = config.tensors().into_iter().map(|t| (t.name, t.shape)).collect();
        let layer = |name: &str| format!("model.layers.0.{name}");
        let expected = [
            ("model.embed_tokens.weight".into(), vec![64, 32]),
            (layer("input_layernorm.weight"), vec![32]),
            (layer("self_attn.q_proj.weight"), vec![24, 32]),
            (layer("self_attn.q_proj.bias"), vec![24]),
            (layer("self_attn.k_proj.weight"), vec![12, 32]),
            (layer("self_attn.k_proj.bias"), vec![12]),
            (layer("self_attn.v_proj.weight"), vec![12, 32]),
            (layer("self_attn.v_proj.bias"), vec![12]),
            (layer("self_attn.o_proj.weight"), vec![32, 24]),
            (layer("self_attn.o_proj.bias"), vec![32]),
            (layer("mlp.gate_proj.weight"), vec![48, 32]),
            (layer("mlp.up_proj.weight"), vec![48, 32]),
            (layer("mlp.down_proj.weight"), vec![32, 48]),
            (layer("self_attn.q_norm.weight"), vec![6]),
            (layer("self_attn.k_norm.weight"), vec![6]),
            (layer("post_attention_layernorm.weight"), vec![32]),
            ("model.norm.weight".into(), vec![32]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn windows_follow_each_family() {
        let windows = |family: &str, changes: Value| {
            let config = with(family, changes).unwrap();
            (0..4).map(|layer| config.window(layer)).collect::<Vec<_>>()
        };
        assert_eq!(windows("llama", json!({"sliding_window": 7})), [None; 4]);
        assert_eq!(windows("mistral", json!({"sliding_window": 7})), [Some(7); 4]);
        assert_eq!(windows("mistral", json!({"sliding_window": null})), [None; 4]);
        assert_eq!(windows("mistral", json!({})), [Some(4096); 4]);
        assert_eq!(windows("qwen2", json!({"sliding_window": 7, "use_sliding_window": false})), [None; 4]);
        let some = json!({"sliding_window": 7, "use_sliding_window": true, "max_window_layers": 3});
        assert_eq!(windows("qwen2", some), [None, None, None, Some(7)]);
        let kinds = ["sliding_attention", "full_attention", "full_attention", "sliding_attention"];
        let listed = json!({"sliding_window": 7, "use_sliding_window": true, "layer_types": kinds});
        assert_eq!(windows("qwen3", listed), [Some(7), None, None, Some(7)]);
        assert_eq!(with("qwen3", json!({})).unwrap().window(4), None);
    }

    #[test]
    fn token_ids_may_be_lists_null_or_minus_one() {
        let config = with("llama", json!({"eos_token_id": [3, 4], "bos_token_id": null, "pad_token_id": -1})).unwrap();
        assert_eq!((config.eos_token_id, config.bos_token_id, config.pad_token_id), (vec![3, 4], None, None));
        assert_eq!(with("llama", json!({"eos_token_id": 2})).unwrap().eos_token_id, [2]);
    }

    #[test]
    fn labels_are_those_of_classifiers() {
        let labels = |changes: Value| with("llama", changes).unwrap().num_labels;
        let classifier = json!(["LlamaForSequenceClassification"]);
        assert_eq!(labels(json!({"architectures": ["LlamaForCausalLM"], "num_labels": 5})), None);
        assert_eq!(labels(json!({"architectures": classifier, "num_labels": 5})), Some(5));
        assert_eq!(labels(json!({"architectures": classifier, "id2label": {"0": "A"}})), Some(1));
        assert_eq!(labels(json!({"architectures": classifier})), Some(2));
    }

    #[test]
    fn what_the_engine_would_not_compute_is_named() {
        for (family, changes, field) in [
            ("llama", json!({"hidden_act": "gelu"}), "hidden_act"),
            ("llama", json!({"quantization_config": {"bits": 4}}), "quantization_config"),
            ("llama", json!({"quantization_config": {"quant_method": "gptq", "bits": 4}}), "quantization_config"),
            (
                "llama",
                json!({"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": true}}),
                "quantization_config",
            ),
            ("llama", json!({"num_local_experts": 8}), "num_local_experts"),
            ("llama", json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor"),
            ("llama", json!({"head_dim": 5}), "head_dim"),
            ("llama", json!({"hidden_size": 30}), "hidden_size"),
            ("llama", json!({"hidden_size": 0}), "hidden_size"),
            ("llama", json!({"hidden_size": 1e30}), "hidden_size"),
            ("llama", json!({"vocab_size": null}), "vocab_size"),
            ("llama", json!({"num_attention_heads": 16_777_216, "head_dim": 16_777_216}), "head_dim"),
            ("llama", json!({"num_key_value_heads": 3}), "num_key_value_heads"),
            ("llama", json!({"rms_norm_eps": 0}), "rms_norm_eps"),
            ("llama", json!({"eos_token_id": ["a"]}), "eos_token_id"),
            ("llama", json!({"architectures": ["LlamaForTokenClassification"]}), "architectures"),
            ("llama", json!({"architectures": ["Qwen2ForCausalLM"]}), "architectures"),
            ("gemma2", json!({}), "model_type"),
            ("qwen2_moe", json!({}), "model_type"),
            ("qwen2", json!({"is_causal": false}), "is_causal"),
            ("qwen3", json!({"layer_types": vec!["sliding_attention"; 4]}), "layer_types"),
            ("qwen3", json!({"layer_types": ["full_attention"]}), "layer_types"),
        ] {
            let error = with(family, changes.clone()).unwrap_err();
            let message = error.to_string();
            assert!(message.starts_with(&format!("config.json: {field}: ")), "{changes}: {message}");
            assert_eq!(error.exit_code(), 2);
        }
        ModelConfig::from_json(&json!([]), "config.json").unwrap_err();
    }

    #[test]
    fn dropout_matters_to_training_alone() {
        with("llama", json!({"attention_dropout": 0.0, "resid_pdrop": null})).unwrap().check_trainable().unwrap();
        for name in ["attention_dropout", "classifier_dropout"] {
            let config = with("llama", json!({name: 0.1})).unwrap();
            let error = config.check_trainable().unwrap_err();
            assert!(error.to_string().contains(&format!("{name}: 0.1 asks for dropout")), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn a_classifier_keeps_unknown_fields_and_states_its_labels() {
        let changes = json!({"architectures": ["LlamaForCausalLM"], "mine": {"a": 1}, "torch_dtype": "float16",
                             "eos_token_id": [7, 8]});
        let json = with("llama", changes).unwrap().to_classifier_json(&["y>1".into(), "y>2".into()], Dtype::BF16);
        assert_eq!(json["mine"], json!({"a": 1}));
        assert_eq!((&json["dtype"], &json["torch_dtype"]), (&json!("bfloat16"), &json!("bfloat16")));
        assert_eq!(json["id2label"], json!({"0": "y>1", "1": "y>2"}));
        assert_eq!(json["label2id"], json!({"y>1": 0, "y>2": 1}));
        assert_eq!(json["problem_type"], "multi_label_classification");
        // The end token is not made the pad token: transformers would not read it.
        assert_eq!(json["pad_token_id"], Value::Null);
        let read = ModelConfig::from_json(&json, "config.json").unwrap();
        assert_eq!((read.num_labels, read.pad_token_id), (Some(2), None));
        let one = with("llama", json!({"pad_token_id": 3})).unwrap().to_classifier_json(&["reward".into()], Dtype::F32);
        assert_eq!((&one["problem_type"], &one["pad_token_id"]), (&json!("regression"), &json!(3)));
    }
}
