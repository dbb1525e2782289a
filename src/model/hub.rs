//! Models of the Hugging Face hub.

use std::path::PathBuf;

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo};

use super::companions;
use super::lora::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, HEAD_FILE};
use super::travelling::TRAVELLING_FILES;
use crate::{Error, Result};

/// The directory of a model: its configuration, safetensors, tokenizer files and companions, downloaded to the cache shared
/// with Python tools; `HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` have the same meaning as there.
///
/// # Errors
/// When the hub cannot be reached and the cache does not have it.
pub(super) fn snapshot(name: &str) -> Result<PathBuf> {
    from_hub(name, &Cache::from_env(), is_offline())
}

fn is_wanted(file: &str) -> bool {
    let names = [
        "config.json",
        "model.safetensors.index.json",
        "chat_template.jinja",
        "chat_template.json",
        "modules.json",
        "1_Pooling/config.json",
        "config_sentence_transformers.json",
        companions::TEMPLATE,
        companions::CALIBRATION,
        ADAPTER_CONFIG,
        ADAPTER_WEIGHTS,
        HEAD_FILE,
    ];
    let lengths = file.starts_with("sentence_") && file.ends_with("_config.json");
    names.contains(&file)
        || TRAVELLING_FILES.contains(&file)
        || file.starts_with("additional_chat_templates/")
        || lengths
        || file.starts_with("model") && file.ends_with(".safetensors") && !file.contains('/')
}

fn from_hub(name: &str, cache: &Cache, offline: bool) -> Result<PathBuf> {
    let cached = cache.model(name.to_owned());
    if offline {
        let problem = "is not in the cache, and HF_HUB_OFFLINE is set";
        return cached_snapshot(&cached).ok_or_else(|| Error::input(name, problem, "download it first"));
    }
    download(name, &cached).or_else(|error| {
        let snapshot = cached_snapshot(&cached).ok_or_else(|| {
            let hint = "check the name and the network; gated models need HF_TOKEN";
            Error::input(name, format!("could not be fetched from the Hugging Face hub: {error}"), hint)
        })?;
        tracing::warn!("{name}: the hub could not be reached ({error}); using the cached copy");
        Ok(snapshot)
    })
}

fn is_offline() -> bool {
    let value = std::env::var("HF_HUB_OFFLINE").unwrap_or_default().to_ascii_lowercase();
    ["1", "on", "yes", "true"].contains(&value.as_str())
}

/// The cached revision of a model; one whose weights never arrived does not count.
fn cached_snapshot(cached: &CacheRepo) -> Option<PathBuf> {
    let has = |files: &[&str]| files.iter().any(|file| cached.get(file).is_some());
    let (config, has_weights) = match has(&["model.safetensors", "model.safetensors.index.json"]) {
        false if has(&[ADAPTER_CONFIG]) => (ADAPTER_CONFIG, has(&[ADAPTER_WEIGHTS])),
        has_model => ("config.json", has_model),
    };
    Some(cached.get(config)?.parent()?.to_owned()).filter(|_| has_weights)
}

fn download(name: &str, cached: &CacheRepo) -> Result<PathBuf, ApiError> {
    let mut builder = ApiBuilder::from_env();
    if let Ok(token) = std::env::var("HF_TOKEN") {
        builder = builder.with_token(Some(token));
    }
    let repo: ApiRepo = builder.build()?.repo(Repo::model(name.to_owned()));
    let info = repo.info()?;
    // Files of two revisions must not mix: what is cached counts only if it is of the revision the hub has now.
    let current = cached_snapshot(cached).is_some_and(|path| path.ends_with(&info.sha));
    for file in info.siblings.iter().map(|sibling| sibling.rfilename.as_str()).filter(|file| is_wanted(file)) {
        if current {
            repo.get(file)?
        } else {
            repo.download(file)?
        };
    }
    let missing = || {
        std::io::Error::other(
            "it has no config.json or no safetensors weights; for a GGUF model, download the file and pass its path",
        )
    };
    cached_snapshot(cached).ok_or_else(|| missing().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_model_needs_is_downloaded() {
        for file in [
            "config.json",
            "model.safetensors",
            "model-00001-of-00002.safetensors",
            "1_Pooling/config.json",
            "chat_template.json",
            "additional_chat_templates/tool_use.jinja",
            "generation_config.json",
            "spiece.model",
            "vocab.txt",
            "wgr_template.jinja",
            "calibration.json",
        ] {
            assert!(is_wanted(file), "{file}");
        }
        for file in [
            "pytorch_model.bin",
            "onnx/model.safetensors",
            "README.md",
            "consolidated.safetensors",
            "old/calibration.json",
        ] {
            assert!(!is_wanted(file), "{file}");
        }
    }

    #[test]
    fn offline_the_cache_decides() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path().to_owned());
        let model = directory.path().join("models--owner--name");
        let snapshot = model.join("snapshots/abc");
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::create_dir_all(model.join("refs")).unwrap();
        std::fs::write(model.join("refs/main"), "abc").unwrap();
        std::fs::write(snapshot.join("config.json"), "{}").unwrap();
        let message = from_hub("owner/name", &cache, true).unwrap_err().to_string();
        assert!(message.starts_with("owner/name: is not in the cache"), "{message}");
        std::fs::write(snapshot.join("model.safetensors"), "").unwrap();
        assert_eq!(from_hub("owner/name", &cache, true).unwrap(), snapshot);
    }
}
