//! From the user's name for a model to files on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo};

use super::companions;
use super::lora::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, HEAD_FILE};
use super::travelling::TRAVELLING_FILES;
use super::weights::gguf_split::PartName;
use crate::{Error, Result};

/// Files of a model, on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A Hugging Face model directory, perhaps without weights.
    Directory(PathBuf),
    /// A `.gguf` file.
    Gguf(PathBuf),
    /// A configuration of a model yet to be made.
    Config(PathBuf),
}

/// Finds a model: a directory, a `.gguf` or `.json` file, or `owner/name` on the Hugging Face hub. A directory without
/// weights of its own stands for the one GGUF model in it, a file or its parts. For a model on the hub the
/// configuration, safetensors, tokenizer files and companions are downloaded to the cache shared with Python tools;
/// `HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` have the same meaning as there.
///
/// # Errors
/// When nothing of that name is there, and when the hub cannot be reached and the cache does not have it.
pub(super) fn resolve(name: &str) -> Result<Source> {
    let path = Path::new(name);
    if path.is_dir() {
        let Some(gguf) = gguf_in(path)? else { return Ok(Source::Directory(path.to_owned())) };
        if path.join("config.json").exists() {
            // It would be the configuration of a new model otherwise.
            tracing::warn!("{name}: opening {}; the config.json beside it is not read", gguf.display());
        }
        return Ok(Source::Gguf(gguf));
    }
    if path.is_file() {
        return match path.extension().and_then(|extension| extension.to_str()) {
            Some("gguf") => Ok(Source::Gguf(path.to_owned())),
            Some("json") => Ok(Source::Config(path.to_owned())),
            _ => Err(Error::input(name, "is not a model", "give a directory, a .gguf file or a config.json")),
        };
    }
    if !is_hub_name(name) {
        let hint = "give a directory, a .gguf file, a config.json, or owner/name on the Hugging Face hub";
        return Err(Error::input(name, "there is no such model", hint));
    }
    Ok(Source::Directory(from_hub(name, &Cache::from_env(), is_offline())?))
}

/// The one GGUF model, or its first part, in a directory without other weights.
fn gguf_in(directory: &Path) -> Result<Option<PathBuf>> {
    let has = |name: &&str| directory.join(name).exists();
    if ["model.safetensors", "model.safetensors.index.json", ADAPTER_CONFIG, "modules.json"].iter().any(has) {
        return Ok(None);
    }
    let io = |source| Error::io(directory, source);
    // Parts of one model are adjacent, the first one first.
    let mut models: BTreeMap<_, (u32, PathBuf)> = BTreeMap::new();
    for entry in directory.read_dir().map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_none_or(|extension| extension != "gguf") || !path.is_file() {
            continue;
        }
        let (model, number) = match PartName::of(&path) {
            Some(name) => (format!("{}-of-{}", name.prefix, name.total), name.number),
            None => (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), 0),
        };
        match models.get_mut(&model) {
            Some(first) if first.0 <= number => {}
            Some(first) => *first = (number, path),
            None => drop(models.insert(model, (number, path))),
        }
    }
    if models.len() > 1 {
        let name = |(_, path): &(u32, PathBuf)| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let names: Vec<_> = models.values().map(name).collect();
        let problem = format!("holds {} GGUF models: {}", names.len(), names.join(", "));
        return Err(Error::input(directory.display().to_string(), problem, "give the file of one of them"));
    }
    Ok(models.into_values().next().map(|(_, path)| path))
}

/// `owner/name` of letters, digits, `-`, `_` and `.`; nothing that is plainly a path.
fn is_hub_name(name: &str) -> bool {
    let valid = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    match name.split_once('/') {
        Some((owner, model)) => valid(owner) && valid(model) && ![".gguf", ".json"].iter().any(|e| model.ends_with(e)),
        None => false,
    }
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
    fn files_and_directories_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let resolved = |name: &str| resolve(directory.path().join(name).to_str().unwrap());
        for name in ["c.json", "weights.bin"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(resolved("").unwrap(), Source::Directory(directory.path().join("")));
        std::fs::write(directory.path().join("m.gguf"), "").unwrap();
        assert_eq!(resolved("m.gguf").unwrap(), Source::Gguf(directory.path().join("m.gguf")));
        assert_eq!(resolved("c.json").unwrap(), Source::Config(directory.path().join("c.json")));
        assert!(resolved("weights.bin").unwrap_err().to_string().contains("is not a model"));
        assert!(resolved("absent").unwrap_err().to_string().contains("no such model"));
    }

    #[test]
    fn a_directory_stands_for_the_one_gguf_model_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let write = |name: &str| std::fs::write(path(name), "").unwrap();
        let resolved = || resolve(directory.path().to_str().unwrap());
        let itself = Source::Directory(directory.path().to_owned());
        write("README.md");
        write("config.json");
        assert_eq!(resolved().unwrap(), itself);
        write("m-00002-of-00002.gguf");
        assert_eq!(resolved().unwrap(), Source::Gguf(path("m-00002-of-00002.gguf")));
        write("m-00001-of-00002.gguf");
        assert_eq!(resolved().unwrap(), Source::Gguf(path("m-00001-of-00002.gguf")));
        write("m-00001-of-00003.gguf");
        write("other.gguf");
        let message = resolved().unwrap_err().to_string();
        assert!(
            message.contains("holds 3 GGUF models: m-00001-of-00002.gguf, m-00001-of-00003.gguf, other.gguf"),
            "{message}"
        );
        for own in ["model.safetensors", "model.safetensors.index.json", ADAPTER_CONFIG] {
            write(own);
            assert_eq!(resolved().unwrap(), itself, "{own}");
            std::fs::remove_file(path(own)).unwrap();
        }
    }

    #[test]
    fn only_owner_and_name_go_to_the_hub() {
        assert!(is_hub_name("Qwen/Qwen2.5-0.5B") && is_hub_name("meta-llama/Llama-3.2-1B"));
        for path in ["model", "a/b/c", "./model", "models/x.gguf", "../x", "/x", "a/", "a b/c"] {
            assert!(!is_hub_name(path), "{path}");
        }
    }

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
