//! Settings of `wgr generate`, named as in flags and TOML files.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::sampler::Sampling;
use crate::gpu::Dtype;
use crate::model::base::BaseDtype;
use crate::{Error, Result};

/// How completions are drawn and when they end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Maximum tokens of a completion, including the one that ends it.
    pub max_new_tokens: usize,
    /// Texts before which a completion ends.
    pub stop: Vec<String>,
}

/// How keys and values are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheDtype {
    /// Exactly.
    F32,
    /// In half the memory, rounded.
    F16,
}

impl CacheDtype {
    /// The storage type.
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
        }
    }
}

/// Settings of `wgr generate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GenerateConfig {
    /// Directory, `.gguf` file or hub name of a causal model.
    pub model: String,
    /// How matrices are held on the device; as stored when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_dtype: Option<BaseDtype>,
    /// The prompt; or else `input` and `output`.
    pub prompt: Option<String>,
    /// Rows with prompts.
    pub input: Option<PathBuf>,
    /// One row for each completion, in the order of the input.
    pub output: Option<PathBuf>,
    /// Maximum tokens of a completion.
    pub max_new_tokens: usize,
    /// How tokens are drawn.
    #[serde(flatten)]
    pub sampling: Sampling,
    /// Texts before which a completion ends.
    pub stop: Vec<String>,
    /// Completions of each prompt.
    pub n: usize,
    /// Seed of all draws.
    pub seed: u64,
    /// Sequences that run at once.
    pub batch_size: usize,
    /// Whether prompts are continued as they stand, without a chat template.
    pub raw: bool,
    /// Storage of keys and values.
    pub cache_dtype: CacheDtype,
    /// Go on where an interrupted run stopped.
    pub resume: bool,
    /// Replace an existing output.
    pub force: bool,
}

impl Default for GenerateConfig {
    fn default() -> Self {
        Self {
            model: String::new(),
            base_dtype: None,
            prompt: None,
            input: None,
            output: None,
            max_new_tokens: 128,
            sampling: Sampling::default(),
            stop: vec![],
            n: 1,
            seed: 42,
            batch_size: 16,
            raw: false,
            cache_dtype: CacheDtype::F32,
            resume: false,
            force: false,
        }
    }
}

impl GenerateConfig {
    /// The part that decides what is drawn.
    pub fn settings(&self) -> Settings {
        Settings { sampling: self.sampling, max_new_tokens: self.max_new_tokens, stop: self.stop.clone() }
    }

    /// Refuses what cannot be run; the error names the setting.
    ///
    /// # Errors
    /// A setting is missing, means nothing, or contradicts another.
    pub fn validate(&self) -> Result<()> {
        let need = |setting: &str, problem: &str, hint: &str| Err(Error::input(setting, problem, hint));
        if self.model.is_empty() {
            return need("`.model`", "is missing", "give a causal model: a directory, a .gguf file or a hub name");
        }
        match (&self.prompt, &self.input, &self.output) {
            (None, None, _) => return need("`.prompt`", "is missing", "or pass `.input` and `.output`"),
            (Some(_), Some(_), _) => return need("`.prompt`", "cannot be used with `.input`", "use one of them"),
            (Some(_), _, Some(_)) => {
                return need("`.output`", "needs `.input`", "`.prompt` is answered on the terminal");
            }
            (Some(_), None, None) if self.resume || self.force => {
                return need("`.prompt`", "has no output to resume or replace", "pass `.input` and `.output`");
            }
            (None, Some(_), None) => return need("`.output`", "is missing", "give the file for the completions"),
            _ => {}
        }
        if self.resume && self.force {
            return need("`.resume`", "cannot be used with `.force`", "use one of them");
        }
        for (setting, value) in
            [("`.max_new_tokens`", self.max_new_tokens), ("`.n`", self.n), ("`.batch_size`", self.batch_size)]
        {
            if value == 0 {
                return need(setting, "cannot be 0", "");
            }
        }
        if self.stop.iter().any(String::is_empty) {
            return need("`.stop`", "cannot be empty", "");
        }
        self.sampling.validate()
    }
}
