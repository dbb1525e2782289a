//! Settings of `wgr serve`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wgr::data::Overlong;
use wgr::model::base::BaseDtype;
use wgr::train::HeadReading;
use wgr::{Error, Result};

/// What `/classify` answers as `probs`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Classify {
    /// The score alone, which is what trainers take from the end of the list.
    #[default]
    Score,
    /// P(y > k) for every threshold k.
    Thresholds,
}

/// Settings of `wgr serve`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServeConfig {
    /// Reward model: a directory, `.gguf` file or hub name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Causal model: a directory, `.gguf` file or hub name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate: Option<String>,
    /// Address to listen on.
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Environment variable of the key that clients must send.
    pub api_key_env: String,
    /// Listen on other hosts than loopback without a key.
    pub no_auth: bool,
    /// Longest row in tokens.
    pub max_length: usize,
    /// What becomes of longer rows.
    pub truncate: Overlong,
    /// Maximum tokens per batch; a single longer row gets a batch of its own.
    pub max_batch_tokens: usize,
    /// Maximum rows that wait or are being scored.
    pub max_queue: usize,
    /// What `/classify` answers.
    pub classify: Classify,
    /// Folder of the models that `/v1/reload` may load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload_root: Option<PathBuf>,
    /// Prompt template; the one saved with the model, or the built-in one, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<PathBuf>,
    /// The meaning of the head's outputs, if the model does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadReading>,
    /// How matrices are held on the device; as stored when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_dtype: Option<BaseDtype>,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            model: None,
            generate: None,
            host: "127.0.0.1".into(),
            port: 8000,
            api_key_env: "WGR_API_KEY".into(),
            no_auth: false,
            max_length: 4096,
            truncate: Overlong::Truncate,
            max_batch_tokens: 4096,
            max_queue: 8192,
            classify: Classify::Score,
            reload_root: None,
            template: None,
            head: None,
            base_dtype: None,
        }
    }
}

impl ServeConfig {
    /// Refuses settings that cannot be served, before anything is loaded.
    ///
    /// # Errors
    /// The first such setting.
    pub fn validate(&self) -> Result<()> {
        if self.model.is_none() && self.generate.is_none() {
            return Err(Error::Missing { setting: "model" });
        }
        let at_least_one = [
            ("max_length", self.max_length),
            ("max_batch_tokens", self.max_batch_tokens),
            ("max_queue", self.max_queue),
        ];
        for (setting, value) in at_least_one {
            if value == 0 {
                return Err(Error::input(format!("`.{setting}`"), "0 is too small", "use at least 1"));
            }
        }
        if let Some(root) = &self.reload_root
            && !root.is_dir()
        {
            let at = format!("`.reload_root` {}", root.display());
            return Err(Error::input(at, "is not a folder", "name the folder that holds the models to come"));
        }
        Ok(())
    }
}
