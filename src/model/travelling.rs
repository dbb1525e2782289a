//! The files of a model directory that are copied wherever the model is saved.

/// Files that travel with a model, beside its chat templates: its tokenizer's, and what `transformers` generates with by
/// default, of which the end tokens are read here.
pub(crate) const TRAVELLING_FILES: [&str; 10] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "vocab.txt",
    GENERATION_CONFIG,
];

/// Those of them that name the pad token.
pub(crate) const NAMES_PAD: [&str; 2] = ["tokenizer_config.json", "special_tokens_map.json"];

/// The generation defaults of `transformers`.
pub(crate) const GENERATION_CONFIG: &str = "generation_config.json";
