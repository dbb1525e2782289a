//! Sentence embedders: an encoder in the directory layout of sentence-transformers (arXiv 1908.10084), with its
//! tokenizer.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;
use tokenizers::normalizers::utils::{Lowercase, Sequence};
use tokenizers::{PostProcessor, Tokenizer, TruncationParams};
use twox_hash::XxHash3_128;

use super::checkpoint::EncoderCheckpoint;
use crate::files::fs;
use crate::kernels::pooling::Pooling;
use crate::model::fields::{Fields, read_json, read_json_if_there};
use crate::model::source::{self, Source};
use crate::{Error, Result};

/// The modules that the engine runs, in their order; the last may be absent.
const MODULES: [&str; 3] = ["Transformer", "Pooling", "Normalize"];
/// The switches of pooling modes, and the modes' names since they became one field.
const POOLING_MODES: [(&str, &str); 6] = [
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_tokens", "mean"),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ("pooling_mode_lasttoken", "lasttoken"),
];
/// The file that states the maximum length, by the architecture that a model was first saved with.
const SETTINGS: [&str; 3] =
    ["sentence_bert_config.json", "sentence_roberta_config.json", "sentence_xlm-roberta_config.json"];

/// A sentence embedder opened for reading.
#[derive(Debug)]
pub struct SentenceModel {
    /// The encoder.
    pub checkpoint: EncoderCheckpoint,
    /// How a sequence becomes one row.
    pub pooling: Pooling,
    /// Whether rows get unit length.
    pub normalise: bool,
    /// Tokens of a sequence, special ones included; the rest of a text is cut off.
    pub max_length: usize,
    tokenizer: Tokenizer,
    tokenizer_path: PathBuf,
    identity: u128,
}

impl SentenceModel {
    /// Opens a directory or hub name: the layout of sentence-transformers, or a plain encoder, whose tokens are
    /// averaged and normalised.
    ///
    /// # Errors
    /// Names the file and field at fault: besides those of [`EncoderCheckpoint::open`], modules and poolings that the
    /// engine does not run, and a tokenizer that does not fit.
    pub fn open(name: &str) -> Result<Self> {
        let path = match source::resolve(name)? {
            Source::Directory(path) => path,
            Source::Gguf(path) | Source::Config(path) => {
                let hint = "give a directory with config.json, model.safetensors and tokenizer.json, or a hub name";
                return Err(Error::input(path.display().to_string(), "is not an embedder", hint));
            }
        };
        refuse_prompt(&path.join("config_sentence_transformers.json"))?;
        let Modules { transformer, pooling, normalise } = Modules::of(&path)?;
        let checkpoint = EncoderCheckpoint::open(&transformer)?;
        let Settings { max_length, lower_case } = Settings::of(&transformer, checkpoint.config().max_length())?;
        let tokenizer_path = transformer.join("tokenizer.json");
        let bytes = fs::read(&tokenizer_path).map_err(|source| Error::io(&tokenizer_path, source))?;
        let tokenizer = tokenizer(&bytes, max_length, lower_case).map_err(|error| {
            Error::input(tokenizer_path.display().to_string(), format!("no tokenizer: {error}"), "")
        })?;
        let settings = format!("{pooling:?} {normalise} {max_length} {lower_case}");
        let hashes = [&bytes[..], settings.as_bytes()].map(XxHash3_128::oneshot);
        let hashes: Vec<u8> = checkpoint.hashes().chain(hashes).flat_map(u128::to_le_bytes).collect();
        let identity = XxHash3_128::oneshot(&hashes);
        Ok(Self { checkpoint, pooling, normalise, max_length, tokenizer, tokenizer_path, identity })
    }

    /// Differs between models that may embed a text differently.
    pub fn identity(&self) -> u128 {
        self.identity
    }

    /// Token ids of a text, special ones included, at most [`Self::max_length`] and never none.
    ///
    /// # Errors
    /// The tokenizer fails, finds no token, or does not belong to the encoder.
    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>> {
        let at = || self.tokenizer_path.display().to_string();
        let encoding = self.tokenizer.encode_fast(text, true);
        let ids = encoding.map_err(|error| Error::input(at(), error.to_string(), ""))?.get_ids().to_vec();
        if ids.is_empty() {
            return Err(Error::input(at(), format!("finds no tokens in {text:?}"), "it should add special tokens"));
        }
        let vocab_size = self.checkpoint.config().vocab_size;
        match ids.iter().find(|id| **id as usize >= vocab_size) {
            None => Ok(ids),
            Some(id) => {
                let problem = format!("gives the token id {id}, and the encoder has {vocab_size} embeddings");
                Err(Error::input(at(), problem, "tokenizer and weights do not match"))
            }
        }
    }
}

/// The tokenizer without padding, cutting texts off.
fn tokenizer(bytes: &[u8], max_length: usize, lower_case: bool) -> tokenizers::Result<Tokenizer> {
    let mut tokenizer = Tokenizer::from_bytes(bytes)?;
    let special = tokenizer.get_post_processor().map_or(0, |post_processor| post_processor.added_tokens(false));
    if special >= max_length {
        return Err(format!("{special} special tokens leave no room in {max_length}").into());
    }
    if lower_case {
        let normalisers = std::iter::once(Lowercase.into()).chain(tokenizer.get_normalizer().cloned());
        tokenizer.with_normalizer(Some(Sequence::new(normalisers.collect())))?;
    }
    tokenizer.with_padding(None);
    tokenizer.with_truncation(Some(TruncationParams { max_length, ..Default::default() }))?;
    Ok(tokenizer)
}

/// Some models want a prompt before every text; cosines of texts without it would be others.
fn refuse_prompt(path: &Path) -> Result<()> {
    let Some(json) = read_json_if_there(path)? else { return Ok(()) };
    let at = path.display().to_string();
    let fields = Fields::new(&json, &at)?;
    match fields.text("default_prompt_name")? {
        Some(name) if json["prompts"][name] != "" => {
            let problem = format!("{name:?} asks for a prompt before every text");
            Err(fields.error("default_prompt_name", problem, "wgr embeds texts as they are"))
        }
        _ => Ok(()),
    }
}

/// The entries of `modules.json`.
struct Modules {
    /// The directory of the encoder.
    transformer: PathBuf,
    pooling: Pooling,
    normalise: bool,
}

impl Modules {
    fn of(directory: &Path) -> Result<Self> {
        let file = directory.join("modules.json");
        let Some(json) = read_json_if_there(&file)? else {
            return Ok(Self { transformer: directory.to_owned(), pooling: Pooling::Mean, normalise: true });
        };
        let at = file.display().to_string();
        let Some(modules) = json.as_array() else { return Err(Error::input(at, "is not a list of modules", "")) };
        if modules.len() < 2 {
            return Err(Error::input(at, "has no pooling", "an embedder turns a sequence into one row"));
        }
        let mut paths = Vec::new();
        for (index, module) in modules.iter().enumerate() {
            let fields = Fields::new(module, &at)?;
            let kind = fields.text("type")?.unwrap_or_default();
            if MODULES.get(index).is_none_or(|known| kind.rsplit('.').next() != Some(known)) {
                let hint = "wgr supports Transformer, Pooling and Normalize, in this order";
                return Err(fields.error("type", format!("{kind:?} is not supported in place {}", index + 1), hint));
            }
            let path = Path::new(fields.text("path")?.unwrap_or_default());
            if !path.components().all(|component| matches!(component, Component::Normal(_))) {
                return Err(fields.error("path", format!("{path:?} leaves the directory"), ""));
            }
            paths.push(directory.join(path));
        }
        let pooling = pooling(&paths[1].join("config.json"))?;
        Ok(Self { transformer: paths.swap_remove(0), pooling, normalise: modules.len() == MODULES.len() })
    }
}

/// The mode of a pooling module.
fn pooling(file: &Path) -> Result<Pooling> {
    let (json, at) = (read_json(file)?, file.display().to_string());
    let fields = Fields::new(&json, &at)?;
    let modes = match fields.get("pooling_mode") {
        Some(Value::Array(_)) => fields.texts("pooling_mode")?.unwrap_or_default(),
        Some(_) => fields.text("pooling_mode")?.into_iter().collect(),
        None => {
            let mut modes = Vec::new();
            for (switch, mode) in POOLING_MODES {
                modes.extend(fields.flag(switch)?.filter(|on| *on).map(|_| mode));
            }
            modes
        }
    };
    match modes[..] {
        ["mean"] | [] => Ok(Pooling::Mean),
        ["cls"] => Ok(Pooling::First),
        _ => {
            let problem = format!("{} is not supported", modes.join(" with "));
            Err(fields.error("pooling_mode", problem, "wgr pools by mean or cls"))
        }
    }
}

/// How texts are cut into tokens.
struct Settings {
    max_length: usize,
    lower_case: bool,
}

impl Settings {
    /// The settings in the encoder's directory; no sequence is longer than `positions` tokens.
    fn of(directory: &Path, positions: usize) -> Result<Self> {
        let file = SETTINGS.into_iter().map(|name| directory.join(name)).find(|file| fs::exists(file));
        let (mut stated, mut lower_case) = (None, false);
        if let Some(file) = file {
            let (json, at) = (read_json(&file)?, file.display().to_string());
            let fields = Fields::new(&json, &at)?;
            stated = fields.size("max_seq_length")?;
            lower_case = fields.flag("do_lower_case")?.unwrap_or(false);
        }
        let length = stated.map_or_else(|| tokenizer_length(directory), Ok)?;
        Ok(Self { max_length: length.min(positions), lower_case })
    }
}

/// The length that the tokenizer's settings state; without one there is no limit.
fn tokenizer_length(directory: &Path) -> Result<usize> {
    let file = directory.join("tokenizer_config.json");
    let Some(json) = read_json_if_there(&file)? else { return Ok(usize::MAX) };
    // transformers writes 1e30 for no limit.
    let length = Fields::new(&json, &file.display().to_string())?.positive("model_max_length")?;
    Ok(length.map_or(usize::MAX, |length| length as usize))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    /// A directory with these files.
    fn directory(files: &[(&str, Value)]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, json) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, json.to_string()).unwrap();
        }
        directory
    }

    fn modules(kinds: &[(&str, &str)]) -> Value {
        kinds.iter().map(|(kind, path)| json!({"type": format!("any.package.{kind}"), "path": path})).collect()
    }

    fn opened(list: Value, pooling: Value) -> Result<(PathBuf, Pooling, bool)> {
        let directory = directory(&[("modules.json", list), ("1_Pooling/config.json", pooling)]);
        let Modules { transformer, pooling, normalise } = Modules::of(directory.path())?;
        Ok((transformer.strip_prefix(directory.path()).unwrap().to_owned(), pooling, normalise))
    }

    const TWO: [(&str, &str); 2] = [("Transformer", ""), ("Pooling", "1_Pooling")];

    #[test]
    fn modules_say_where_the_encoder_is_and_what_follows_it() {
        let mean = json!({"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true});
        let three = [("Transformer", "0_Transformer"), TWO[1], ("Normalize", "2_Normalize")];
        assert_eq!(opened(modules(&three), mean.clone()).unwrap(), ("0_Transformer".into(), Pooling::Mean, true));
        assert_eq!(opened(modules(&TWO), mean).unwrap(), ("".into(), Pooling::Mean, false));
        for cls in
            [json!({"pooling_mode_cls_token": true}), json!({"pooling_mode": "cls"}), json!({"pooling_mode": ["cls"]})]
        {
            assert_eq!(opened(modules(&TWO), cls).unwrap().1, Pooling::First);
        }
        let plain = Modules::of(directory(&[]).path()).unwrap();
        assert_eq!((plain.pooling, plain.normalise), (Pooling::Mean, true));
    }

    #[test]
    fn what_the_engine_would_not_run_is_named() {
        let mean = || json!({"pooling_mode": "mean"});
        let dense = [TWO[0], TWO[1], ("Dense", "2_Dense")];
        for (list, pooling, problem) in [
            (modules(&dense), mean(), "modules.json: type: \"any.package.Dense\" is not supported in place 3"),
            (modules(&[TWO[1], TWO[0]]), mean(), "Pooling\" is not supported in place 1"),
            (modules(&TWO[..1]), mean(), "has no pooling"),
            (modules(&[("Transformer", "../elsewhere"), TWO[1]]), mean(), "leaves the directory"),
            (json!({}), mean(), "is not a list"),
            (modules(&TWO), json!({"pooling_mode": "weightedmean"}), "pooling_mode: weightedmean is not supported"),
            (
                modules(&TWO),
                json!({"pooling_mode_max_tokens": true}),
                "1_Pooling/config.json: pooling_mode: max is not",
            ),
            (modules(&TWO), json!({"pooling_mode": ["cls", "mean"]}), "cls with mean is not supported"),
        ] {
            let message = opened(list, pooling).unwrap_err().to_string();
            assert!(message.contains(problem), "{problem}: {message}");
        }
        let prompt = |name: Value, prompt: &str| {
            let json = json!({"default_prompt_name": name, "prompts": {"query": prompt}});
            refuse_prompt(&directory(&[("c.json", json)]).path().join("c.json"))
        };
        assert!(prompt(json!("query"), "query: ").unwrap_err().to_string().contains("asks for a prompt"));
        assert!(prompt(json!("query"), "").is_ok() && prompt(Value::Null, "query: ").is_ok());
    }

    #[test]
    fn the_shortest_length_stated_counts() {
        let length = |files: &[(&str, Value)]| {
            let settings = Settings::of(directory(files).path(), 512).unwrap();
            (settings.max_length, settings.lower_case)
        };
        let own = |json: Value| ("sentence_roberta_config.json", json);
        let tokenizer = |length: f64| ("tokenizer_config.json", json!({"model_max_length": length}));
        assert_eq!(length(&[]), (512, false));
        assert_eq!(length(&[tokenizer(1e30)]), (512, false));
        assert_eq!(length(&[tokenizer(128.0)]), (128, false));
        assert_eq!(
            length(&[own(json!({"max_seq_length": 256, "do_lower_case": true})), tokenizer(128.0)]),
            (256, true)
        );
        assert_eq!(length(&[own(json!({"max_seq_length": null})), tokenizer(128.0)]), (128, false));
        assert_eq!(length(&[own(json!({"max_seq_length": 514}))]), (512, false));
    }
}
