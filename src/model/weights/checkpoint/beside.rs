//! The files of a checkpoint besides its weights: the tokenizer and its templates, generation defaults, companions.

use std::path::Path;

use serde_json::Value;
use tokenizers::Tokenizer;

use super::super::gguf::Metadata;
use super::Checkpoint;
use crate::data::{ChatTemplate, NamedTemplate, SpecialTokens, TokenizerFiles, tokenizer_settings};
use crate::files::{fs, read_if_there};
use crate::model::travelling::{GENERATION_CONFIG, NAMES_PAD, TRAVELLING_FILES};
use crate::model::{companions, gguf_tokenizer};
use crate::{Error, Result};

impl Checkpoint {
    /// The tokenizer.
    ///
    /// # Errors
    /// There is none that can be read.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let (at, bytes) = match self.metadata() {
            Some(metadata) => (metadata.at().to_owned(), gguf_tokenizer::tokenizer_json(metadata)?.to_string().into()),
            None => {
                let found = self.files().read("tokenizer.json")?;
                let (path, bytes) = found.ok_or_else(|| self.no_tokenizer())?;
                (path.display().to_string(), bytes)
            }
        };
        let mut tokenizer =
            Tokenizer::from_bytes(bytes).map_err(|error| Error::input(at, format!("no tokenizer: {error}"), ""))?;
        if self.metadata().is_none()
            && let Some((path, config)) = self.files().configuration()?
        {
            let tokens = self.special_tokens()?;
            tokenizer_settings::apply(&mut tokenizer, &config, &tokens, &path.display().to_string())?;
        }
        Ok(tokenizer)
    }

    /// The error for a missing `tokenizer.json`, with how to make one from the other files.
    fn no_tokenizer(&self) -> Error {
        let directory = self.directory();
        let others = ["tokenizer.model", "spiece.model", "vocab.json", "merges.txt", "vocab.txt"];
        let others: Vec<&str> = others.into_iter().filter(|name| fs::is_file(directory.join(name))).collect();
        let hint = match others.as_slice() {
            [] => "fetch it from the model's source; every fast tokenizer of transformers has one".to_owned(),
            others => format!(
                "the directory holds {}: transformers makes the file from it, with \
                 AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)",
                others.join(" and ")
            ),
        };
        Error::input(directory.join("tokenizer.json").display().to_string(), "is missing", hint)
    }

    /// The chat templates, by name; none if the model has none.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn chat_templates(&self) -> Result<Vec<NamedTemplate>> {
        let Some(metadata) = self.metadata() else { return self.files().chat_templates() };
        let at = format!("{}: tokenizer.chat_template", metadata.at());
        let named = gguf_tokenizer::chat_templates(metadata)?.into_iter();
        Ok(named.map(|(name, source)| NamedTemplate { name, at: at.clone(), source }).collect())
    }

    /// The chat template, if the model has one.
    ///
    /// # Errors
    /// It cannot be read, or is not valid Jinja.
    pub fn chat_template(&self) -> Result<Option<ChatTemplate>> {
        let templates = self.chat_templates()?;
        match templates.is_empty() {
            true => Ok(None),
            false => ChatTemplate::compile(templates, &self.special_tokens()?).map(Some),
        }
    }

    /// The special tokens, as chat templates name them.
    ///
    /// # Errors
    /// The tokenizer's configuration cannot be read.
    pub fn special_tokens(&self) -> Result<SpecialTokens> {
        match self.metadata() {
            Some(metadata) => gguf_tokenizer::special_tokens(metadata),
            None => self.files().special_tokens(),
        }
    }

    /// The tokens that end what the model generates: those of `generation_config.json` where it names some, else those of
    /// the configuration.
    ///
    /// # Errors
    /// The file cannot be read, or names something else than token ids.
    pub fn end_tokens(&self) -> Result<Vec<u32>> {
        let Some((path, json)) = self.generation_config()? else { return Ok(self.config.eos_token_id.clone()) };
        let ids = match json.get("eos_token_id") {
            None | Some(Value::Null) => return Ok(self.config.eos_token_id.clone()),
            Some(Value::Array(ids)) => ids.as_slice(),
            Some(id) => std::slice::from_ref(id),
        };
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        ids.iter()
            .map(|value| {
                let problem = || format!("{value} is not a token id");
                id(value).ok_or_else(|| Error::input(format!("{path}: eos_token_id"), problem(), ""))
            })
            .collect()
    }

    /// The generation defaults of `transformers`, and their location.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn generation_config(&self) -> Result<Option<(String, Value)>> {
        if let Some(metadata) = self.metadata() {
            let json = gguf_tokenizer::generation_config(metadata)?;
            return Ok(json.map(|json| (metadata.at().to_owned(), json)));
        }
        let Some((path, bytes)) = self.files().read(GENERATION_CONFIG)? else { return Ok(None) };
        let at = path.display().to_string();
        let json = serde_json::from_slice(&bytes);
        Ok(Some((at.clone(), json.map_err(|e| Error::input(at, format!("is not valid JSON: {e}"), ""))?)))
    }

    /// Names and contents of the files that go with a model wherever it is saved: those of the tokenizer, its chat
    /// templates, and `generation_config.json`; generated where the source is GGUF.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn travelling_files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut found = match self.metadata() {
            Some(metadata) => gguf_tokenizer::files(metadata)?,
            None => vec![],
        };
        if self.metadata().is_none() {
            let files = self.files();
            let templates = files.template_files()?;
            for name in TRAVELLING_FILES.into_iter().chain(templates.iter().map(String::as_str)) {
                found.extend(files.read(name)?.map(|(_, bytes)| (name.to_owned(), bytes)));
            }
        }
        if let Some(pad) = &self.pad {
            for (name, bytes) in found.iter_mut().filter(|(name, _)| NAMES_PAD.contains(&name.as_str())) {
                set_pad_token(name, bytes, pad.as_deref())?;
            }
        }
        Ok(found)
    }

    /// Sets the pad token that the model is saved with, in the configurations of model and tokenizer.
    pub fn set_pad(&mut self, id: Option<u32>, text: Option<String>) {
        self.config.pad_token_id = id;
        self.pad = Some(text);
    }

    /// The content of a companion file, if the model has it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn companion(&self, name: &str) -> Result<Option<Vec<u8>>> {
        if let Some(adapter) = &self.adapter {
            return adapter.file(name);
        }
        let Some(metadata) = &self.metadata else { return read_if_there(&self.directory().join(name)) };
        match companions::KEYS.iter().find(|(file, _)| *file == name) {
            Some((_, key)) => Ok(metadata.text(key)?.map(|text| text.as_bytes().to_vec())),
            None => Ok(None),
        }
    }

    /// All companions that the model has, with their names.
    ///
    /// # Errors
    /// One of them cannot be read, or is no text in the metadata of a GGUF file.
    pub fn companions(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut found = vec![];
        for (name, _) in companions::KEYS {
            found.extend(self.companion(name)?.map(|bytes| (name.to_owned(), bytes)));
        }
        Ok(found)
    }

    /// The metadata that holds the tokenizer, where that is in a GGUF file.
    pub(super) fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref().filter(|_| self.tokenizer_of_adapter().is_none())
    }

    /// Whether there are adapters that came with a tokenizer.
    pub(in crate::model) fn brings_tokenizer(&self) -> bool {
        self.tokenizer_of_adapter().is_some()
    }

    /// The directory of an adapter that came with a tokenizer.
    fn tokenizer_of_adapter(&self) -> Option<&Path> {
        self.adapter
            .as_ref()
            .map(|adapter| adapter.path.as_path())
            .filter(|path| fs::is_file(path.join("tokenizer.json")))
    }

    /// The files of the tokenizer; an adapter with one takes missing files from its base model.
    pub(super) fn files(&self) -> TokenizerFiles {
        let base = match self.path.parent() {
            Some(parent) if fs::is_file(&self.path) => parent,
            _ => &self.path,
        };
        let of_adapter = self.tokenizer_of_adapter().map(Path::to_owned);
        TokenizerFiles::new(of_adapter.into_iter().chain([base.to_owned()]).collect())
    }

    /// The path of the tokenizer files of a model that is not a GGUF file.
    pub(super) fn directory(&self) -> &Path {
        if let Some(directory) = self.tokenizer_of_adapter() {
            return directory;
        }
        match self.path.parent() {
            Some(parent) if fs::is_file(&self.path) => parent,
            _ => &self.path,
        }
    }
}

/// Puts another pad token into a file that names the special tokens; a file that needs no change keeps its bytes.
fn set_pad_token(name: &str, bytes: &mut Vec<u8>, pad: Option<&str>) -> Result<()> {
    let broken = |e: serde_json::Error| Error::input(name, format!("is not valid JSON: {e}"), "");
    let mut json: Value = serde_json::from_slice(bytes).map_err(broken)?;
    let token = &json["pad_token"];
    if token.as_str().or(token["content"].as_str()) == pad {
        return Ok(());
    }
    json["pad_token"] = pad.map_or(Value::Null, Value::from);
    *bytes = format!("{json:#}\n").into_bytes();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::model::tiny::Tiny;
    use crate::model::{Dtype, Family};

    fn tiny(changes: Value) -> Tiny {
        Tiny::new(Family::Llama, changes, Dtype::F32)
    }

    #[test]
    fn end_tokens_are_those_of_the_generation_config() {
        let tiny = tiny(json!({}));
        assert_eq!(tiny.open().end_tokens().unwrap(), [1]);
        let write = |value: Value| fs::write(tiny.path("model").join(GENERATION_CONFIG), value.to_string()).unwrap();
        write(json!({"temperature": 0.6}));
        assert_eq!(tiny.open().end_tokens().unwrap(), [1]);
        write(json!({"eos_token_id": 7}));
        assert_eq!(tiny.open().end_tokens().unwrap(), [7]);
        write(json!({"eos_token_id": [7, 1]}));
        assert_eq!(tiny.open().end_tokens().unwrap(), [7, 1]);
        write(json!({"eos_token_id": ["</s>"]}));
        assert!(tiny.open().end_tokens().unwrap_err().to_string().contains("generation_config.json: eos_token_id"));
    }

    #[test]
    fn everything_that_changes_what_a_model_says_travels_with_it() {
        let tiny = tiny(json!({}));
        let write = |name: &str, text: &str| {
            let path = tiny.path("model").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let names = || tiny.open().travelling_files().unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(), ["tokenizer.json", "tokenizer_config.json"]);
        write("generation_config.json", r#"{"eos_token_id": [1, 2], "temperature": 0.6}"#);
        write("special_tokens_map.json", "{}");
        write("chat_template.jinja", "j");
        write("additional_chat_templates/rag.jinja", "r");
        write("README.md", "not read");
        let expected = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"];
        assert_eq!(names(), [&expected[..], &["chat_template.jinja", "additional_chat_templates/rag.jinja"]].concat());
        let template = tiny.open().chat_template().unwrap().unwrap();
        assert!(Path::new(template.place()).ends_with("model/chat_template.jinja") && template.source() == "j");
    }

    #[test]
    fn a_missing_tokenizer_says_what_would_help() {
        let tiny = tiny(json!({}));
        fs::remove_file(tiny.path("model/tokenizer.json")).unwrap();
        let refused = || tiny.open().tokenizer().unwrap_err();
        assert!(refused().to_string().contains("tokenizer.json: is missing (fetch it"), "{}", refused());
        for name in ["vocab.json", "merges.txt"] {
            fs::write(tiny.path("model").join(name), "").unwrap();
        }
        let error = refused().to_string();
        assert!(error.contains("holds vocab.json and merges.txt") && error.contains("save_pretrained"), "{error}");
        assert_eq!(refused().exit_code(), 2);
    }
}
