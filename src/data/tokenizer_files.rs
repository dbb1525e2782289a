//! The files beside a tokenizer: its special tokens and chat templates, as saved and read by `transformers`.

use std::path::PathBuf;

use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use super::chat_template::{NamedTemplate, SpecialTokens};
use crate::files::{fs, read_if_there};
use crate::{Error, Result};

/// Special tokens by name, and the other tokens of a model.
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Special tokens again, where older releases keep them.
const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
/// The chat template of newer releases; it stands above that in the configuration.
const CHAT_TEMPLATE: &str = "chat_template.jinja";
/// The template of a processor of images, of older releases: `{"chat_template": …}`. Tokenizers do not read it, so it counts
/// where they have none.
const CHAT_TEMPLATE_JSON: &str = "chat_template.json";
/// Files of the default chat template.
pub(crate) const CHAT_TEMPLATES: [&str; 2] = [CHAT_TEMPLATE, CHAT_TEMPLATE_JSON];
/// Chat templates beside the default one, `NAME.jinja` each.
pub(crate) const MORE_TEMPLATES: &str = "additional_chat_templates";

/// Names of special tokens in the configuration of a tokenizer.
const SPECIAL_TOKENS: [&str; 8] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
    "additional_special_tokens",
];

/// Objects in it that give names to further special tokens: of newer releases, and of older ones.
const NAMED_TOKENS: [&str; 2] = ["model_specific_special_tokens", "extra_special_tokens"];

/// Directories in which the files of a tokenizer are looked for, the first that has one counting.
#[derive(Clone, Debug)]
pub struct TokenizerFiles {
    directories: Vec<PathBuf>,
}

impl TokenizerFiles {
    /// The files of some directories.
    pub fn new(directories: Vec<PathBuf>) -> Self {
        Self { directories }
    }

    /// A file with the place it was found at.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<(PathBuf, Vec<u8>)>> {
        for directory in &self.directories {
            let path = directory.join(name);
            if let Some(bytes) = read_if_there(&path)? {
                return Ok(Some((path, bytes)));
            }
        }
        Ok(None)
    }

    fn text(&self, name: &str) -> Result<Option<(PathBuf, String)>> {
        let Some((path, bytes)) = self.read(name)? else { return Ok(None) };
        let text =
            String::from_utf8(bytes).map_err(|_| Error::input(path.display().to_string(), "is not UTF-8", ""))?;
        Ok(Some((path, text)))
    }

    fn json(&self, name: &str) -> Result<Option<(PathBuf, Value)>> {
        let Some((path, bytes)) = self.read(name)? else { return Ok(None) };
        let json = serde_json::from_slice(&bytes)
            .map_err(|e| Error::input(path.display().to_string(), format!("is not valid JSON: {e}"), ""))?;
        Ok(Some((path, json)))
    }

    /// Names of the files in a folder that end with `ending`, sorted; of the first directory that has the folder.
    fn list(&self, folder: &str, ending: &str) -> Result<Vec<String>> {
        let Some(folder) = self.directories.iter().map(|d| d.join(folder)).find(|folder| fs::is_dir(folder)) else {
            return Ok(vec![]);
        };
        let failed = |e| Error::io(&folder, e);
        let mut names = vec![];
        for path in fs::entries(&folder).map_err(failed)? {
            let name = path.file_name().and_then(|name| name.to_str());
            names.extend(name.filter(|name| name.ends_with(ending)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// The names of all chat template files, relative to the directories.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn template_files(&self) -> Result<Vec<String>> {
        let more = self.list(MORE_TEMPLATES, ".jinja")?;
        let names = CHAT_TEMPLATES.map(str::to_owned);
        Ok(names.into_iter().chain(more.into_iter().map(|name| format!("{MORE_TEMPLATES}/{name}"))).collect())
    }

    /// The chat templates; none if there is no such file.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn chat_templates(&self) -> Result<Vec<NamedTemplate>> {
        let default = self.text(CHAT_TEMPLATE)?;
        let has_default = default.is_some();
        let mut found: Vec<NamedTemplate> =
            default.into_iter().map(|(path, source)| NamedTemplate::only(path.display().to_string(), source)).collect();
        for file in self.list(MORE_TEMPLATES, ".jinja")? {
            let Some((path, source)) = self.text(&format!("{MORE_TEMPLATES}/{file}"))? else { continue };
            let name = file.trim_end_matches(".jinja").to_owned();
            found.push(NamedTemplate { name, at: path.display().to_string(), source });
        }
        if has_default {
            return Ok(found);
        }
        // Files stand above the configuration, which adds what they lack.
        for named in self.templates_in(TOKENIZER_CONFIG)? {
            if !found.iter().any(|file| file.name == named.name) {
                found.push(named);
            }
        }
        match found.is_empty() {
            true => self.templates_in(CHAT_TEMPLATE_JSON),
            false => Ok(found),
        }
    }

    /// The chat templates that a JSON file holds: one, a list of named ones, or an object of them.
    fn templates_in(&self, file: &str) -> Result<Vec<NamedTemplate>> {
        let Some((path, json)) = self.json(file)? else { return Ok(vec![]) };
        let at = format!("{}: chat_template", path.display());
        let of_object =
            |(name, source): (&String, &Value)| of_list(&at, &serde_json::json!({"name": name, "template": source}));
        match &json["chat_template"] {
            Value::String(source) => Ok(vec![NamedTemplate::only(at, source.as_str())]),
            Value::Array(named) => named.iter().map(|entry| of_list(&at, entry)).collect(),
            Value::Object(named) => named.iter().map(of_object).collect(),
            _ => Ok(vec![]),
        }
    }

    /// The configuration of the tokenizer, with its location; nothing if there is none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn configuration(&self) -> Result<Option<(PathBuf, Value)>> {
        self.json(TOKENIZER_CONFIG)
    }

    /// The special tokens.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn special_tokens(&self) -> Result<SpecialTokens> {
        let mut tokens = SpecialTokens::new();
        for file in [TOKENIZER_CONFIG, SPECIAL_TOKENS_MAP] {
            let Some((_, json)) = self.json(file)? else { continue };
            for name in SPECIAL_TOKENS {
                if let (false, Some(token)) = (tokens.contains_key(name), content(&json[name])) {
                    tokens.insert(name.into(), token);
                }
            }
            // Tokens of a model's own stand in the open, too, as `image_token`.
            let own = json.as_object().into_iter().flat_map(Map::iter);
            let own = own.filter(|(name, value)| name.ends_with("_token") && !value.is_array());
            let own = own.filter(|(name, _)| !SPECIAL_TOKENS.contains(&name.as_str()));
            let named = NAMED_TOKENS.into_iter().filter_map(|object| json[object].as_object()).flat_map(Map::iter);
            tokens.extend(own.chain(named).filter_map(|(name, token)| Some((name.clone(), content(token)?))));
        }
        Ok(tokens)
    }
}

/// A special token is a string, or an object that describes it, or a list of them.
fn content(token: &Value) -> Option<Value> {
    match token {
        Value::String(_) => Some(token.clone()),
        Value::Object(described) => described.get("content").filter(|content| content.is_string()).cloned(),
        Value::Array(tokens) => Some(tokens.iter().filter_map(content).collect()),
        _ => None,
    }
}

/// The text of a special token.
pub(crate) fn special_token<'a>(tokens: &'a SpecialTokens, name: &str) -> Option<&'a str> {
    tokens.get(name).and_then(Value::as_str).filter(|token| !token.is_empty())
}

/// The row of the embedding that a special token has; none where the tokenizer does not know it.
pub(crate) fn special_token_id(tokens: &SpecialTokens, tokenizer: &Tokenizer, name: &str) -> Option<u32> {
    tokenizer.token_to_id(special_token(tokens, name)?)
}

fn of_list(at: &str, entry: &Value) -> Result<NamedTemplate> {
    match (entry["name"].as_str(), entry["template"].as_str()) {
        (Some(name), Some(source)) => Ok(NamedTemplate { name: name.into(), at: at.into(), source: source.into() }),
        _ => Err(Error::input(at, "holds an entry without `name` and `template`", "")),
    }
}

/// The chat templates and special tokens of a directory.
#[cfg(test)]
pub(crate) fn of_directory(directory: &std::path::Path) -> TokenizerFiles {
    TokenizerFiles::new(vec![directory.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ChatTemplate, Message, Role, TemplateInputs};
    use serde_json::json;

    fn files(files: &[(&str, String)]) -> (tempfile::TempDir, TokenizerFiles) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let found = of_directory(folder.path());
        (folder, found)
    }

    fn names(found: &TokenizerFiles) -> Vec<(String, String)> {
        found.chat_templates().unwrap().into_iter().map(|template| (template.name, template.source)).collect()
    }

    #[test]
    fn templates_are_found_wherever_releases_have_put_them() {
        let pair = |name: &str, source: &str| (name.to_owned(), source.to_owned());
        let named =
            json!({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]});
        let config = ("tokenizer_config.json", named.to_string());
        assert_eq!(names(&files(std::slice::from_ref(&config)).1), [pair("tool_use", "t"), pair("default", "d")]);
        let processor = ("chat_template.json", json!({"chat_template": "p"}).to_string());
        let tokenizers = [pair("tool_use", "t"), pair("default", "d")];
        assert_eq!(names(&files(&[config.clone(), processor.clone()]).1), tokenizers);
        assert_eq!(names(&files(&[("tokenizer_config.json", "{}".into()), processor]).1), [pair("default", "p")]);
        let single = ("tokenizer_config.json", json!({"chat_template": "d"}).to_string());
        let for_tools = ("additional_chat_templates/tool_use.jinja", "file".to_owned());
        let both = [pair("tool_use", "file"), pair("default", "d")];
        assert_eq!(names(&files(&[single, for_tools.clone()]).1), both);
        assert_eq!(names(&files(&[config.clone(), for_tools]).1), both);
        let (jinja, more) =
            (("chat_template.jinja", "j".to_owned()), ("additional_chat_templates/rag.jinja", "r".to_owned()));
        let (_folder, found) = files(&[config, jinja, more]);
        assert_eq!(names(&found), [pair("default", "j"), pair("rag", "r")]);
        assert!(found.template_files().unwrap().contains(&"additional_chat_templates/rag.jinja".to_owned()));
        assert_eq!(names(&files(&[("tokenizer_config.json", "{}".into())]).1), []);
        let broken = files(&[("tokenizer_config.json", "{".into())]);
        assert!(broken.1.chat_templates().unwrap_err().to_string().contains("is not valid JSON"));
        let nameless = files(&[("tokenizer_config.json", json!({"chat_template": [{"template": "x"}]}).to_string())]);
        assert!(nameless.1.chat_templates().unwrap_err().to_string().contains("without `name`"));
    }

    #[test]
    fn special_tokens_are_strings_or_described_and_the_first_directory_counts() {
        let (_a, first) = files(&[(
            "tokenizer_config.json",
            json!({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": null}).to_string(),
        )]);
        let (_b, second) = files(&[
            ("tokenizer_config.json", json!({"bos_token": "<other>"}).to_string()),
            ("special_tokens_map.json", json!({"pad_token": "<pad>", "bos_token": "<x>"}).to_string()),
        ]);
        let both = TokenizerFiles::new([first.directories, second.directories].concat());
        let tokens = both.special_tokens().unwrap();
        let token = |name: &str| special_token(&tokens, name);
        assert_eq!(
            (token("bos_token"), token("eos_token"), token("pad_token"), token("unk_token")),
            (Some("<s>"), Some("</s>"), Some("<pad>"), None)
        );
    }

    #[test]
    fn tokens_of_a_model_s_own_have_names() {
        let (_folder, found) = files(&[(
            "tokenizer_config.json",
            json!({
                "bos_token": "<s>", "video_token": "<video>", "add_bos_token": true, "cut_token": 3,
                "model_specific_special_tokens": {"image_token": "<image>", "audio_token": {"content": "<audio>"}},
                "extra_special_tokens": {"think_token": "<think>"},
            })
            .to_string(),
        )]);
        let expected = json!({
            "bos_token": "<s>", "video_token": "<video>", "image_token": "<image>", "audio_token": "<audio>",
            "think_token": "<think>",
        });
        assert_eq!(Value::from(found.special_tokens().unwrap()), expected);
        let source = "{{ image_token }}{{ video_token }}{{ bos_token }}";
        let template = ChatTemplate::compile(vec![NamedTemplate::only("t", source)], &found.special_tokens().unwrap());
        let text = template.unwrap().render(&[], &TemplateInputs::default(), false).unwrap();
        assert_eq!(text, "<image><video><s>");
    }

    #[test]
    fn real_templates_render_as_transformers_renders_them() {
        let Some(tokenizers) = crate::test_files::fetched("WGR_ASSETS", "tokenizers") else { return };
        let messages = [
            Message::new(Role::System, "Be brief."),
            Message::new(Role::User, "Hi <b>"),
            Message::new(Role::Assistant, "Hello"),
            Message::new(Role::User, "Why?"),
        ];
        for (name, expected) in [
            (
                "qwen3",
                "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi <b><|im_end|>\n\
                 <|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n",
            ),
            (
                "llama3_1",
                "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>\
                 <|start_header_id|>user<|end_header_id|>\n\nHi <b><|eot_id|>\
                 <|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>\
                 <|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>\
                 <|start_header_id|>assistant<|end_header_id|>\n\n",
            ),
        ] {
            let files = of_directory(&tokenizers.join(name));
            let template =
                ChatTemplate::compile(files.chat_templates().unwrap(), &files.special_tokens().unwrap()).unwrap();
            assert_eq!(template.render(&messages, &TemplateInputs::default(), true).unwrap(), expected, "{name}");
        }
    }
}
