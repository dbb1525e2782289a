//! Tiny models for tests: every file of a real one, a few kilobytes in all.

use std::path::PathBuf;

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::weights::{Checkpoint, Dtype, NewTensor, write_model};
use super::{Family, ModelConfig, TensorSpec};
use crate::test_files::fetched;

/// Rows of the embedding; a few more than the tokenizer has tokens.
pub(crate) const VOCAB: usize = 266;

/// A model in a directory that goes when this is dropped.
pub(crate) struct Tiny {
    parent: TempDir,
}

impl Tiny {
    /// A model with these fields on top of the smallest configuration of the family, and weights stored as `dtype`.
    pub(crate) fn new(family: Family, changes: Value, dtype: Dtype) -> Self {
        let mut json = json!({
            "architectures": [format!("{}ForCausalLM", family.class_prefix())], "model_type": family.model_type(),
            "vocab_size": VOCAB, "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "sliding_window": null,
            "rms_norm_eps": 1e-5, "bos_token_id": 0, "eos_token_id": 1, "max_position_embeddings": 64,
        });
        for (key, value) in changes.as_object().unwrap() {
            json[key] = value.clone();
        }
        let tiny = Self { parent: tempfile::tempdir().unwrap() };
        let config = ModelConfig::from_json(&json, "config.json").unwrap();
        let mut specs = config.tensors();
        let head = |name: &str, rows| TensorSpec { name: name.into(), shape: vec![rows, config.hidden_size] };
        match config.num_labels {
            Some(labels) => specs.push(head("score.weight", labels)),
            None if !config.tie_word_embeddings => specs.push(head("lm_head.weight", VOCAB)),
            None => {}
        }
        let new = |TensorSpec { name, shape }| NewTensor { name, shape, dtype };
        let tensors: Vec<_> = specs.into_iter().map(new).collect();
        let files = [
            ("tokenizer.json".to_owned(), tokenizer().to_string().into_bytes()),
            ("tokenizer_config.json".to_owned(), tokenizer_config().to_string().into_bytes()),
        ];
        write_model(&tiny.path("model"), &json, &tensors, |tensor| Ok(values(tensor)), &files).unwrap();
        tiny
    }

    /// A place beside the model.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.parent.path().join(name)
    }

    /// The name to open the model by.
    pub(crate) fn source(&self) -> String {
        self.named("model")
    }

    /// The name to open a model beside it by.
    pub(crate) fn named(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The model, opened.
    pub(crate) fn open(&self) -> Checkpoint {
        Checkpoint::open(&self.source()).unwrap()
    }
}

/// Different values for every place and tensor, exact even in BF16.
fn values(tensor: &NewTensor) -> Vec<f32> {
    let start: usize = tensor.name.bytes().map(usize::from).sum();
    (0..tensor.count()).map(|i| ((start + i * 7) % 251) as f32 / 128.0 - 1.0).collect()
}

fn tokenizer() -> Value {
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let words = ["<s>", "</s>", "<think>"].into_iter().map(str::to_owned);
    let merged = ["he", "ll", "hell", "hello"].into_iter().map(str::to_owned);
    let tokens = words.chain(alphabet.into_iter().map(String::from)).chain(merged);
    let vocab: Map<String, Value> = tokens.enumerate().map(|(id, token)| (token, json!(id))).collect();
    let added = |id: u32, content: &str, special: bool| {
        json!({"id": id, "content": content, "special": special, "normalized": false, "single_word": false,
               "lstrip": false, "rstrip": false})
    };
    json!({
        "version": "1.0",
        "added_tokens": [added(0, "<s>", true), added(1, "</s>", true), added(2, "<think>", false)],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}},
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "fuse_unk": false, "byte_fallback": false, "vocab": vocab,
                  "merges": [["h", "e"], ["l", "l"], ["he", "ll"], ["hell", "o"]]},
    })
}

fn tokenizer_config() -> Value {
    json!({"bos_token": "<s>", "eos_token": {"content": "</s>"},
           "chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"})
}

/// A real model of 135 million weights, in Q4_1.
pub(crate) fn smollm2() -> Option<String> {
    Some(fetched("WGR_ASSETS", "smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")?.display().to_string())
}
