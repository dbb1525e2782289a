//! From the user's name for a model to files on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::hub;
use super::lora::ADAPTER_CONFIG;
use super::weights::gguf_split::PartName;
use crate::files::fs;
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
/// files are those of [`hub::snapshot`].
///
/// # Errors
/// When nothing of that name is there, and when the hub cannot be reached and the cache does not have it.
pub(super) fn resolve(name: &str) -> Result<Source> {
    let path = Path::new(name);
    if fs::is_dir(path) {
        let Some(gguf) = gguf_in(path)? else { return Ok(Source::Directory(path.to_owned())) };
        if fs::exists(path.join("config.json")) {
            // It would be the configuration of a new model otherwise.
            tracing::warn!("{name}: opening {}; the config.json beside it is not read", gguf.display());
        }
        return Ok(Source::Gguf(gguf));
    }
    if fs::is_file(path) {
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
    Ok(Source::Directory(hub::snapshot(name)?))
}

/// The one GGUF model, or its first part, in a directory without other weights.
fn gguf_in(directory: &Path) -> Result<Option<PathBuf>> {
    let has = |name: &&str| fs::exists(directory.join(name));
    if ["model.safetensors", "model.safetensors.index.json", ADAPTER_CONFIG, "modules.json"].iter().any(has) {
        return Ok(None);
    }
    let io = |source| Error::io(directory, source);
    // Parts of one model are adjacent, the first one first.
    let mut models: BTreeMap<_, (u32, PathBuf)> = BTreeMap::new();
    for path in fs::entries(directory).map_err(io)? {
        if path.extension().is_none_or(|extension| extension != "gguf") || !fs::is_file(&path) {
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
}
