//! Models before training: a configuration, and a tokenizer made from the rows they will see.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::files::write;
use super::rows::exchange;
use super::tokenizer::tokenizer;

/// The purpose of a model.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// To rate responses.
    Reward,
    /// To give them.
    Policy,
}

/// How the policy reads a conversation.
const CHAT_TEMPLATE: &str = "{% for message in messages %}{{ message.role }} {{ message.content }} \
                             {% if message.role == 'assistant' %}</s> {% endif %}{% endfor %}\
                             {% if add_generation_prompt %}assistant {% endif %}";

/// Writes the directory of a new model.
pub(super) fn new_model(directory: &Path, rows: &[Value], kind: Kind) -> Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let texts: Vec<&str> = rows.iter().flat_map(exchange).chain(["user assistant"]).collect();
    let tokenizer = tokenizer(texts.into_iter())?;
    tokenizer.save(directory.join("tokenizer.json"), false).map_err(anyhow::Error::from_boxed)?;
    let mut settings = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    });
    if kind == Kind::Policy {
        settings["chat_template"] = json!(CHAT_TEMPLATE);
    }
    write(&directory.join("tokenizer_config.json"), &settings.to_string())?;
    write(&directory.join("config.json"), &config(tokenizer.get_vocab_size(true), kind).to_string())
}

/// The architecture, small enough to train in a minute on a software adapter.
fn config(vocabulary: usize, kind: Kind) -> Value {
    json!({
        "architectures": [match kind {
            Kind::Reward => "Qwen3ForSequenceClassification",
            Kind::Policy => "Qwen3ForCausalLM",
        }],
        "model_type": "qwen3",
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "hidden_act": "silu",
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": true,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "initializer_range": 0.1,
    })
}
