//! The configuration of a BERT-family encoder, read from a Hugging Face `config.json`.

use serde_json::Value;

use crate::Result;
use crate::kernels::attention::MAX_HEAD_DIM;
use crate::kernels::gelu::Gelu;
use crate::model::config::TensorSpec;
use crate::model::fields::Fields;

/// The encoders the engine runs. They are one architecture and differ in how positions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// BERT (arXiv 1810.04805): positions from 0.
    Bert,
    /// RoBERTa (arXiv 1907.11692): positions from `pad_token_id + 1`.
    Roberta,
    /// XLM-RoBERTa (arXiv 1911.02116): as RoBERTa.
    XlmRoberta,
}

/// An encoder's sizes and switches; the fields are named as in `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderConfig {
    /// The architecture.
    pub family: Family,
    /// Rows of the token embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Rows of the position embedding.
    pub max_position_embeddings: usize,
    /// Rows of the token type embedding.
    pub type_vocab_size: usize,
    /// Epsilon of every LayerNorm.
    pub layer_norm_eps: f32,
    /// The activation of the MLP.
    pub hidden_act: Gelu,
    /// The padding token. It never enters the engine as padding, but RoBERTa counts positions from it.
    pub pad_token_id: u32,
}

/// Fields that change what a model computes, with the values under which it is still the model the engine runs.
const ONLY: [(&str, &[&str]); 6] = [
    ("position_embedding_type", &["\"absolute\""]),
    ("is_decoder", &["false"]),
    ("add_cross_attention", &["false"]),
    ("is_encoder_decoder", &["false"]),
    ("embedding_size", &[]),
    ("quantization_config", &[]),
];

impl EncoderConfig {
    /// Reads a `config.json` found at `at`, which errors name with the field at fault.
    ///
    /// # Errors
    /// A field is missing, is out of range, or asks for something that the engine would not compute.
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
        let hidden_size = fields.required_size("hidden_size")?;
        let num_attention_heads = fields.required_size("num_attention_heads")?;
        let head_dim = hidden_size / num_attention_heads;
        if !hidden_size.is_multiple_of(num_attention_heads) || !head_dim.is_multiple_of(2) || head_dim > MAX_HEAD_DIM {
            let problem =
                format!("{hidden_size} is not {num_attention_heads} heads of an even width to {MAX_HEAD_DIM}");
            return Err(fields.error("hidden_size", problem, "wgr supports no other heads"));
        }
        let layers = fields.whole("num_hidden_layers", 1, 4096)?;
        let config = Self {
            family,
            vocab_size: fields.required_size("vocab_size")?,
            hidden_size,
            intermediate_size: fields.required_size("intermediate_size")?,
            num_hidden_layers: layers.ok_or_else(|| fields.error("num_hidden_layers", "is missing", ""))?,
            num_attention_heads,
            max_position_embeddings: fields.required_size("max_position_embeddings")?,
            type_vocab_size: fields.size("type_vocab_size")?.unwrap_or(2),
            layer_norm_eps: fields.positive("layer_norm_eps")?.unwrap_or(1e-12) as f32,
            hidden_act: activation(&fields)?,
            pad_token_id: fields.token("pad_token_id")?.unwrap_or(u32::from(family != Family::Bert)),
        };
        if config.first_position() as usize >= config.max_position_embeddings {
            let problem = format!("{} leaves no position after the padding token", config.max_position_embeddings);
            return Err(fields.error("max_position_embeddings", problem, ""));
        }
        Ok(config)
    }

    /// Width of a head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// The position of the first token of a sequence.
    fn first_position(&self) -> u32 {
        match self.family {
            Family::Bert => 0,
            Family::Roberta | Family::XlmRoberta => self.pad_token_id.saturating_add(1),
        }
    }

    /// Tokens of the longest sequence that has a position for each.
    pub fn max_length(&self) -> usize {
        self.max_position_embeddings - self.first_position() as usize
    }

    /// The position of every token of a sequence.
    ///
    /// RoBERTa finds padding by its id. None is ever in a sequence, but text can spell the padding token out, and gets
    /// the padding's position then, as the model was trained.
    pub fn positions<'a>(&self, ids: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
        let mut next = self.first_position();
        let padding = (self.family != Family::Bert).then_some(self.pad_token_id);
        ids.iter().map(move |id| {
            if padding == Some(*id) {
                return *id;
            }
            next += 1;
            next - 1
        })
    }

    /// Every tensor in the order of computation, by the names of a body that was saved alone.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let mut tensors = Vec::new();
        let mut add = |name: String, shape: &[usize]| tensors.push(TensorSpec { name, shape: shape.to_vec() });
        for (name, rows) in [
            ("word_embeddings", self.vocab_size),
            ("position_embeddings", self.max_position_embeddings),
            ("token_type_embeddings", self.type_vocab_size),
        ] {
            add(format!("embeddings.{name}.weight"), &[rows, hidden]);
        }
        add("embeddings.LayerNorm.weight".into(), &[hidden]);
        add("embeddings.LayerNorm.bias".into(), &[hidden]);
        for layer in 0..self.num_hidden_layers {
            for (name, shape) in [
                ("attention.self.query", &[hidden, hidden][..]),
                ("attention.self.key", &[hidden, hidden]),
                ("attention.self.value", &[hidden, hidden]),
                ("attention.output.dense", &[hidden, hidden]),
                ("attention.output.LayerNorm", &[hidden]),
                ("intermediate.dense", &[inner, hidden]),
                ("output.dense", &[hidden, inner]),
                ("output.LayerNorm", &[hidden]),
            ] {
                add(format!("encoder.layer.{layer}.{name}.weight"), shape);
                add(format!("encoder.layer.{layer}.{name}.bias"), &shape[..1]);
            }
        }
        tensors
    }
}

fn family(fields: &Fields) -> Result<Family> {
    let known = "wgr supports bert, roberta and xlm-roberta";
    match fields.text("model_type")? {
        Some("bert") => Ok(Family::Bert),
        Some("roberta") => Ok(Family::Roberta),
        Some("xlm-roberta") => Ok(Family::XlmRoberta),
        Some(other) => Err(fields.error("model_type", format!("{other:?} is not supported"), known)),
        None => Err(fields.error("model_type", "is missing", known)),
    }
}

fn activation(fields: &Fields) -> Result<Gelu> {
    match fields.text("hidden_act")?.unwrap_or("gelu") {
        "gelu" => Ok(Gelu::Erf),
        "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Gelu::Tanh),
        other => {
            let hint = "wgr supports gelu, gelu_new, gelu_fast and gelu_pytorch_tanh";
            Err(fields.error("hidden_act", format!("{other:?} is not supported"), hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(changes: Value) -> Result<EncoderConfig> {
        let mut json = json!({"model_type": "bert", "vocab_size": 30, "hidden_size": 24, "intermediate_size": 40,
                              "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 16});
        for (key, value) in changes.as_object().unwrap() {
            json[key] = value.clone();
        }
        EncoderConfig::from_json(&json, "config.json")
    }

    #[test]
    fn roberta_counts_positions_from_its_padding_token() {
        let bert = with(json!({"pad_token_id": 1})).unwrap();
        assert_eq!(bert.positions(&[5, 1, 6]).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(bert.max_length(), 16);
        for family in ["roberta", "xlm-roberta"] {
            let roberta = with(json!({"model_type": family})).unwrap();
            assert_eq!(roberta.positions(&[5, 1, 6]).collect::<Vec<_>>(), [2, 1, 3]);
            assert_eq!(roberta.max_length(), 14);
        }
    }

    #[test]
    fn both_kinds_of_gelu_are_told_apart() {
        assert_eq!(with(json!({})).unwrap().hidden_act, Gelu::Erf);
        assert_eq!(with(json!({"hidden_act": "gelu_new"})).unwrap().hidden_act, Gelu::Tanh);
    }

    #[test]
    fn what_the_engine_would_not_compute_is_named() {
        for (changes, field) in [
            (json!({"hidden_act": "relu"}), "hidden_act"),
            (json!({"position_embedding_type": "relative_key"}), "position_embedding_type"),
            (json!({"is_decoder": true}), "is_decoder"),
            (json!({"model_type": "mpnet"}), "model_type"),
            (json!({"model_type": null}), "model_type"),
            (json!({"num_attention_heads": 5}), "hidden_size"),
            (json!({"num_attention_heads": 8}), "hidden_size"),
            (json!({"hidden_size": 1024}), "hidden_size"),
            (json!({"num_hidden_layers": null}), "num_hidden_layers"),
            (json!({"model_type": "roberta", "pad_token_id": 15}), "max_position_embeddings"),
            (json!({"layer_norm_eps": 0}), "layer_norm_eps"),
        ] {
            let message = with(changes.clone()).unwrap_err().to_string();
            assert!(message.starts_with(&format!("config.json: {field}: ")), "{changes}: {message}");
        }
    }
}
