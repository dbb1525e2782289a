//! Tiny reward models whose tokens are words, and texts for them.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// Words in the vocabularies of all tiny models; the first three tokens are special.
pub(crate) const WORDS: std::ops::Range<usize> = 3..45;

/// Puts a model of `tests/golden` into `folder`, with a tokenizer of one token per word.
pub(crate) fn model(golden: &Path, folder: PathBuf) -> PathBuf {
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(golden.join(file), folder.join(file)).unwrap();
    }
    std::fs::write(folder.join("tokenizer.json"), tokenizer(WORDS.end).to_string()).unwrap();
    folder
}

/// A tokenizer of one token per word, `w3` being token 3.
pub(crate) fn tokenizer(words: usize) -> Value {
    let vocab: Map<String, Value> = (0..words)
        .map(|id| match id {
            0..3 => (["<unk>", "<s>", "</s>"][id].to_owned(), json!(id)),
            _ => (format!("w{id}"), json!(id)),
        })
        .collect();
    json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "post_processor": null, "decoder": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"},
    })
}

/// A text of 3 to 22 words, the same for a number.
pub(crate) fn text(number: usize) -> String {
    let mut state = number as u64 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let length = 3 + next() % 20;
    let words: Vec<String> = (0..length).map(|_| format!("w{}", WORDS.start + next() % WORDS.len())).collect();
    words.join(" ")
}
