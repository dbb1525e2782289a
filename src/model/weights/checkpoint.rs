//! A checkpoint in any format: a configuration, tensors under Hugging Face names, a tokenizer.

mod beside;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_128;

use super::gguf::Metadata;
use super::gguf_config::{self, Shapes};
use super::gguf_names::{self, ROPE_FACTORS, rotary_rows};
use super::gguf_split::{self, Part};
use super::tensors::Tensors;
use super::writer::CONFIG;
use super::{Dtype, TensorInfo};
use crate::data::tokenizer_files::special_token_id;
use crate::files::{fs, read_if_there};
use crate::gpu::Quantized;
use crate::model::base::BaseDtype;
use crate::model::config::{ModelConfig, TensorSpec};
use crate::model::fields::read_json;
use crate::model::lora::{ADAPTER_CONFIG, AdapterFiles, Lora, LoraConfig};
use crate::model::source::{self, Source};
use crate::model::travelling::{GENERATION_CONFIG, NAMES_PAD};
use crate::{Error, Result};

/// The language-model head, where it is not tied to the embedding.
const LM_HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

/// Prefixes that wrappers of PyTorch modules add to the names of tensors: data parallel training, and `torch.compile`.
const WRAPPERS: [&str; 3] = ["module.", "_orig_mod.", "_fsdp_wrapped_module."];

/// PEFT's prefix of a model's tensors, if model and adapters are saved as one.
const PEFT_PREFIX: &str = "base_model.model.";

/// A checkpoint opened for reading. Weights stay on disk until they are asked for.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    config: ModelConfig,
    tensors: Tensors,
    /// The prefix that a wrapper had added to every name, and that was removed.
    prefix: Option<String>,
    /// The metadata of a GGUF file, which holds its tokenizer; `None` for directories.
    metadata: Option<Metadata>,
    /// Adapters on the model, whose tensors are among the others.
    adapter: Option<AdapterFiles>,
    /// The name to find the model again, without adapters.
    base_name: String,
    /// The pad token that its tokenizer is saved with, where that was settled.
    pad: Option<Option<String>>,
    /// Whether the configuration ties a language-model head that has weights of its own.
    untied: bool,
    /// How matrices are held on the device that are not trained; as stored when absent.
    base: Option<BaseDtype>,
}

impl Checkpoint {
    /// Opens a model directory, a `.gguf` file (or any part of a split one), a `config.json` or directory without weights
    /// (a new model), or a model of the Hugging Face hub by its `owner/name`, which is downloaded unless it is in the
    /// cache.
    ///
    /// # Errors
    /// Names the file, field or tensor at fault: unreadable or damaged files, configurations the engine does not
    /// support, tensors that are missing, unknown or of another shape than the configuration asks for.
    pub fn open(source: &str) -> Result<Self> {
        match source::resolve(source)? {
            Source::Directory(path) if AdapterFiles::are_in(&path) => Self::open_adapter(&path),
            found => Self::open_model(source, found),
        }
    }

    /// Opens a model that is not an adapter, found by the name `source`.
    fn open_model(source: &str, found: Source) -> Result<Self> {
        let mut checkpoint = match &found {
            Source::Gguf(path) => Self::open_gguf(path)?,
            Source::Directory(path) => Self::open_directory(path)?,
            Source::Config(path) => Self::without_weights(path, read_config(path)?),
        };
        // Paths in full, since an adapter that names them may be opened from anywhere.
        let path = match &found {
            // The last link stays: it may lead to a file whose name says neither its format nor which part it is.
            Source::Gguf(path) => std::path::absolute(path).ok(),
            _ => fs::canonical(Path::new(source)).ok(),
        };
        checkpoint.base_name = path.map_or_else(|| source.to_owned(), |path| path.display().to_string());
        Ok(checkpoint)
    }

    fn without_weights(path: &Path, config: ModelConfig) -> Self {
        Self {
            path: path.to_owned(),
            config,
            tensors: Tensors::none(path),
            prefix: None,
            metadata: None,
            adapter: None,
            base_name: String::new(),
            pad: None,
            untied: false,
            base: None,
        }
    }

    fn open_directory(path: &Path) -> Result<Self> {
        let mut checkpoint = Self::without_weights(path, read_config(&path.join(CONFIG))?);
        checkpoint.tensors = Tensors::of_directory(path)?;
        if checkpoint.is_new() {
            return Ok(checkpoint);
        }
        if checkpoint.config.is_packed() && checkpoint.packed() == 0 {
            let at = format!("{}: quantization_config", path.join(CONFIG).display());
            let hint = "remove the field if the weights are plain, or fetch them again";
            return Err(Error::input(at, "says that weights are packed into 4 bits, but none are", hint));
        }
        if checkpoint.names().all(|name| name.starts_with(PEFT_PREFIX)) {
            let problem = format!("holds a model wrapped in PEFT: its tensors begin with {PEFT_PREFIX:?}");
            let hint = "save the result of PEFT's merge_and_unload, or the adapters alone";
            return Err(Error::input(path.display().to_string(), problem, hint));
        }
        checkpoint.prefix = checkpoint.tensors.without_prefixes(&WRAPPERS)?;
        // The body may have been saved without the causal or classification model around it.
        if !checkpoint.names().any(|name| name.starts_with("model.")) {
            let is_body =
                |name: &str| ["embed_tokens.", "layers.", "norm."].iter().any(|start| name.starts_with(start));
            checkpoint.tensors.rename(|name| match is_body(name) {
                true => format!("model.{name}"),
                false => name.to_owned(),
            })?;
        }
        checkpoint.checked()
    }

    /// Opens the base model of an adapter directory and lays the adapters over it.
    fn open_adapter(path: &Path) -> Result<Self> {
        let adapter = AdapterFiles::open(path)?;
        let base = adapter.base_source();
        let no_weights = || adapter.base_error(format!("{base:?} is not a model with weights of its own"));
        let opened = source::resolve(&base).and_then(|found| match found {
            // An adapter on an adapter, or on itself, would have to be merged first.
            Source::Directory(path) if AdapterFiles::are_in(&path) => Err(no_weights()),
            found => Self::open_model(&base, found),
        });
        let mut checkpoint = opened.map_err(|error| adapter.base_error(error.to_string()))?;
        if checkpoint.is_new() {
            return Err(no_weights());
        }
        let tensors = adapter.tensors(&checkpoint.config)?;
        let outputs = tensors.info("score.weight").map(|info| info.shape[0]);
        checkpoint.tensors.overlay(tensors);
        if let Some(outputs) = outputs {
            checkpoint.config.set_head(outputs, "wgr", adapter.head.as_ref());
        }
        let brings_tokens = NAMES_PAD.iter().any(|name| fs::exists(adapter.path.join(name)));
        checkpoint.adapter = Some(adapter);
        if outputs.is_some() && brings_tokens {
            checkpoint.take_pad_of_tokenizer()?;
        }
        Ok(checkpoint)
    }

    /// Takes the pad token of the tokenizer: the one an adapter was trained with, which its base model may not have.
    fn take_pad_of_tokenizer(&mut self) -> Result<()> {
        let (tokenizer, tokens) = (self.tokenizer()?, self.special_tokens()?);
        self.config.pad_token_id = special_token_id(&tokens, &tokenizer, "pad_token");
        Ok(())
    }

    fn open_gguf(path: &Path) -> Result<Self> {
        let (metadata, mut parts) = gguf_split::open(path)?;
        let mut rope_factors = None;
        for Part { file, entries } in &mut parts {
            entries.retain(|entry| {
                let is_factors = entry.name == ROPE_FACTORS;
                if is_factors {
                    rope_factors = Some(entry.info.dtype.decode(&file[entry.range.clone()]));
                }
                !is_factors
            });
            entries.iter_mut().for_each(|entry| entry.name = gguf_names::from_gguf(&entry.name));
        }
        let entries = parts.iter().flat_map(|part| &part.entries);
        let shape = |name: &str| Some(entries.clone().find(|entry| entry.name == name)?.info.shape.clone());
        let json = gguf_config::config_json(&metadata, &Shapes { shape: &shape, rope_factors })?;
        let mut checkpoint = Self::without_weights(path, ModelConfig::from_json(&json, metadata.at())?);
        for Part { file, entries } in parts {
            checkpoint.tensors.add(file, entries)?;
        }
        checkpoint.metadata = Some(metadata);
        checkpoint.tensors.set_rotary(|name| rotary_rows(name, &checkpoint.config));
        checkpoint.checked()
    }

    /// Compares every tensor with the configuration, and settles whether the language-model head is tied.
    fn checked(mut self) -> Result<Self> {
        if self.config.num_labels.is_none() && !self.contains(LM_HEAD) {
            self.config.tie_word_embeddings = true;
        }
        let mut expected = self.config.tensors();
        let head = |name: &str, rows| TensorSpec { name: name.into(), shape: vec![rows, self.config.hidden_size] };
        let outputs = self.config.num_labels.unwrap_or(0);
        let bias = TensorSpec { name: "score.bias".into(), shape: vec![outputs] };
        let heads = [head(LM_HEAD, self.config.vocab_size), head("score.weight", outputs), bias];
        let body = expected.len();
        expected.extend(heads.into_iter().filter(|head| self.contains(&head.name)));
        for spec in &expected {
            let Some(info) = self.info(&spec.name) else {
                return Err(self.tensors.error(&spec.name, "is missing", "the configuration asks for it"));
            };
            let no_labels = spec.name.starts_with("score.") && self.config.num_labels.is_none();
            if info.shape != spec.shape && !no_labels {
                let problem = format!("has the shape {:?}, not {:?}", info.shape, spec.shape);
                let hint = "configuration and weights do not match";
                return Err(self.tensors.error(&spec.name, problem, hint));
            }
        }
        // Nothing in a GGUF file is there for nothing; directories hold leftovers of other classes, heads among them.
        let is_gguf = self.metadata.is_some();
        let known = if is_gguf { &expected[..] } else { &expected[..body] };
        let known: HashSet<_> = known.iter().map(|spec| spec.name.as_str()).collect();
        // Old Llama checkpoints carry the rotary frequencies, which follow from the configuration.
        let is_known = |name: &str| known.contains(name) || name.ends_with("rotary_emb.inv_freq");
        if let Some(name) = self.names().find(|name| (is_gguf || name.starts_with("model.")) && !is_known(name)) {
            return Err(self.tensors.error(name, "is not part of this architecture", "wgr would ignore it"));
        }
        // A head of its own is used, whatever the configuration says about it, as in `transformers` since version 5.
        let is_tied = self.config.num_labels.is_none() && self.config.tie_word_embeddings;
        if is_tied && self.contains(LM_HEAD) && !self.tensors.are_equal(LM_HEAD, EMBEDDING)? {
            self.config.tie_word_embeddings = false;
            self.untied = true;
        }
        Ok(self)
    }

    /// The path of the checkpoint: a directory or file, in the cache for models of the hub.
    pub fn path(&self) -> &Path {
        self.adapter.as_ref().map_or(&self.path, |adapter| &adapter.path)
    }

    /// The GGUF file, or the part of one, that holds the model or that under its adapters.
    pub(in crate::model) fn gguf(&self) -> Option<&Path> {
        self.metadata.as_ref().map(|_| self.path.as_path())
    }

    /// The adapters on the model, where it was opened by their directory.
    pub fn adapter(&self) -> Option<&AdapterFiles> {
        self.adapter.as_ref()
    }

    /// The name by which the model, or that under its adapters, is opened again: a path in full or a hub name.
    pub fn base_name(&self) -> &str {
        &self.base_name
    }

    /// The adapters that a run trains on this model: those that it has, or those that the run asks for; without any,
    /// all weights are trained.
    ///
    /// # Errors
    /// The model has adapters of another kind, or adapters where none are wanted, or has no weights to adapt.
    pub fn adapters_to_train(&self, wanted: Option<Lora>) -> Result<Option<Lora>> {
        let at = self.path().display().to_string();
        match (wanted, &self.adapter) {
            (None, Some(adapter)) => {
                let rank = adapter.config.rank;
                let hint =
                    format!("continue training it with `.lora_rank` {rank}, or merge it with `wgr convert --merge`");
                Err(Error::input(at, "is an adapter", hint))
            }
            (Some(_), None) if self.is_new() => {
                let hint = "leave `.lora_rank` out to train all weights of a new model";
                Err(Error::input(at, "has no weights to adapt", hint))
            }
            (Some(wanted), Some(adapter)) => {
                adapter.config.check_same(&wanted.config, &at)?;
                let config = LoraConfig { dropout: wanted.config.dropout, ..adapter.config.clone() };
                Ok(Some(Lora { config, ..wanted }))
            }
            (wanted, _) => Ok(wanted),
        }
    }

    /// The values of a tensor with what its adapter adds, summed in f32.
    ///
    /// # Errors
    /// The tensor is missing; a value of its adapter is missing or not finite.
    pub fn read_merged(&self, name: &str) -> Result<Vec<f32>> {
        let mut values = self.read_f32(name)?;
        let layer = name.trim_end_matches(".weight");
        if let Some(adapter) = self.adapter.as_ref().filter(|adapter| adapter.config.adapts(layer)) {
            let [a, b] = ["lora_A", "lora_B"].map(|which| self.read_finite(&format!("{layer}.{which}.weight")));
            adapter.config.merge(&mut values, &a?, &b?);
        }
        Ok(values)
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Whether there are no weights, only a configuration to draw new ones for.
    pub fn is_new(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The Hugging Face names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.names()
    }

    /// The prefix that a wrapper (`module.`, `_orig_mod.`) had added to the name of every tensor; it was removed.
    pub fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }

    /// Whether the configuration ties the language-model head to the embedding, but the weights hold another one, which is
    /// used.
    pub fn is_untied(&self) -> bool {
        self.untied
    }

    /// Tensors that were packed into 4 bits by bitsandbytes, and are computed with as the values that they stand for.
    pub fn packed(&self) -> usize {
        self.tensors.packed()
    }

    /// Tensors that nothing reads, in a causal model or, with `is_causal` false, a classifier.
    pub fn unread(&self, is_causal: bool) -> impl Iterator<Item = &str> {
        let heads: &[&str] = if is_causal { &[LM_HEAD] } else { &["score.weight", "score.bias"] };
        let follows = |name: &str| name.ends_with("rotary_emb.inv_freq");
        self.names().filter(move |name| !in_body(name) && !heads.contains(name) && !follows(name))
    }

    /// Whether there is a tensor of this Hugging Face name.
    pub fn contains(&self, name: &str) -> bool {
        self.info(name).is_some()
    }

    /// Shape and dtype of a tensor.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.info(name)
    }

    /// The values of a tensor, row by row, widened or dequantised.
    ///
    /// # Errors
    /// There is no such tensor.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        self.tensors.read_f32(name)
    }

    /// As [`Self::read_f32`], for weights to compute with.
    ///
    /// # Errors
    /// A value is not finite.
    pub fn read_finite(&self, name: &str) -> Result<Vec<f32>> {
        self.tensors.read_finite(name)
    }

    /// The bits of a tensor stored as F16 or BF16; any other is an error.
    ///
    /// # Errors
    /// There is no such tensor, or it is stored otherwise.
    pub fn read_16(&self, name: &str) -> Result<Vec<u16>> {
        self.tensors.read_16(name)
    }

    /// The same checkpoint, to be held otherwise on the device where it is not trained.
    pub fn held_in(self, base: Option<BaseDtype>) -> Self {
        Self { base, ..self }
    }

    /// How it is to be held on the device where it is not trained; as stored if not said.
    pub fn base(&self) -> Option<BaseDtype> {
        self.base
    }

    /// The storage on the device that holds the quantised blocks of a tensor; `None` for any other.
    pub fn layout(&self, name: &str) -> Option<Quantized> {
        match self.info(name)?.dtype {
            Dtype::Quantized(kind) => Some(kind.layout()),
            _ => None,
        }
    }

    /// The blocks of a quantised matrix, as the rows of its [`Self::layout`].
    ///
    /// # Errors
    /// The tensor is missing, is not quantised, or has a scale that is not finite.
    pub fn read_rows(&self, name: &str) -> Result<Vec<u32>> {
        self.tensors.read_rows(name)
    }

    /// A hash of everything that decides what the model says: weights, configuration, tokenizer. Reads all of them.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn fingerprint(&self) -> Result<u128> {
        let mut hashes: Vec<u128> = self.tensors.files().map(XxHash3_128::oneshot).collect();
        // A GGUF file holds the others too.
        if let Some(adapter) = &self.adapter {
            hashes.push(XxHash3_128::oneshot(&adapter.file(ADAPTER_CONFIG)?.unwrap_or_default()));
        }
        if self.metadata().is_none() {
            for name in [CONFIG, "tokenizer.json"] {
                hashes.push(XxHash3_128::oneshot(&read_if_there(&self.directory().join(name))?.unwrap_or_default()));
            }
            // Its end tokens decide where a completion ends.
            hashes.extend(self.files().read(GENERATION_CONFIG)?.map(|(_, bytes)| XxHash3_128::oneshot(&bytes)));
        }
        // Other weights than those of the files are computed with.
        hashes.extend(self.base.map(|base| XxHash3_128::oneshot(base.to_string().as_bytes())));
        let bytes: Vec<u8> = hashes.into_iter().flat_map(u128::to_le_bytes).collect();
        Ok(XxHash3_128::oneshot(&bytes))
    }
}

fn in_body(name: &str) -> bool {
    name.starts_with("model.") || name.starts_with("blk.")
}

fn read_config(path: &Path) -> Result<ModelConfig> {
    ModelConfig::from_json(&read_json(path)?, &path.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::super::tensors::SINGLE;
    use super::super::writer::INDEX;
    use super::super::{Dtype, NewTensor, write_model};
    use super::*;
    use crate::model::Family;
    use crate::model::tiny::Tiny;

    const Q_PROJ: &str = "model.layers.0.self_attn.q_proj.weight";

    fn tiny(changes: Value) -> Tiny {
        Tiny::new(Family::Llama, changes, Dtype::F32)
    }

    /// Writes the tensors of a model again, changed, and opens that.
    fn rewritten(tiny: &Tiny, change: impl Fn(&mut Vec<NewTensor>)) -> Result<Checkpoint> {
        let original = tiny.open();
        let info = |name: &str| original.info(name).unwrap().clone();
        let new = |name: &str| NewTensor { name: name.into(), shape: info(name).shape, dtype: info(name).dtype };
        let mut tensors: Vec<_> = original.names().map(new).collect();
        change(&mut tensors);
        let config = serde_json::from_slice(&fs::read(tiny.path("model/config.json")).unwrap()).unwrap();
        write_model(&tiny.path("again"), &config, &tensors, |tensor| Ok(vec![1.5; tensor.count()]), &[]).unwrap();
        Checkpoint::open(&tiny.named("again"))
    }

    fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn tensors_that_do_not_fit_the_configuration_are_named() {
        let tiny = tiny(json!({}));
        let missing = message(rewritten(&tiny, |tensors| tensors.retain(|tensor| tensor.name != Q_PROJ)));
        assert!(missing.contains(Q_PROJ) && missing.contains("is missing"), "{missing}");
        let turn = |tensor: &mut NewTensor| tensor.shape.reverse();
        let shape = message(rewritten(&tiny, |tensors| {
            tensors.iter_mut().filter(|tensor| tensor.name == Q_PROJ).for_each(turn);
        }));
        assert!(shape.contains("model.safetensors") && shape.contains("[8, 16], not [16, 8]"), "{shape}");
        let bias = |tensors: &mut Vec<NewTensor>| {
            tensors.push(NewTensor { name: Q_PROJ.replace("weight", "bias"), shape: vec![16], dtype: Dtype::F32 });
        };
        assert!(message(rewritten(&tiny, bias)).contains("not part of this architecture"));
    }

    #[test]
    fn a_head_that_differs_from_the_embedding_is_not_tied_to_it() {
        let tiny = tiny(json!({"tie_word_embeddings": true}));
        let with_head = |change: fn(&mut Vec<f32>)| {
            let original = tiny.open();
            let info = original.info(EMBEDDING).unwrap().clone();
            let mut tensors: Vec<_> = original.names().filter(|name| *name != LM_HEAD).collect();
            tensors.push(LM_HEAD);
            let new = |name: &&str| {
                let info = original.info(name).unwrap_or(&info);
                NewTensor { name: (*name).into(), shape: info.shape.clone(), dtype: info.dtype }
            };
            let new: Vec<_> = tensors.iter().map(new).collect();
            let config = serde_json::from_slice(&fs::read(tiny.path("model/config.json")).unwrap()).unwrap();
            let read = |tensor: &NewTensor| match tensor.name == LM_HEAD {
                true => original.read_f32(EMBEDDING).map(|mut values| {
                    change(&mut values);
                    values
                }),
                false => original.read_f32(&tensor.name),
            };
            write_model(&tiny.path("again"), &config, &new, read, &[]).unwrap();
            let opened = Checkpoint::open(&tiny.named("again")).unwrap();
            (opened.config().tie_word_embeddings, opened.is_untied())
        };
        assert_eq!(with_head(|_| {}), (true, false));
        assert_eq!(with_head(|values| values[3] += 1.0), (false, true));
    }

    #[test]
    fn a_body_saved_alone_gets_the_prefix_and_is_tied() {
        let tiny = tiny(json!({"tie_word_embeddings": false}));
        let body = rewritten(&tiny, |tensors| {
            tensors.retain(|tensor| tensor.name != "lm_head.weight");
            tensors.iter_mut().for_each(|tensor| tensor.name = tensor.name.replacen("model.", "", 1));
        });
        let body = body.unwrap();
        assert_eq!(body.read_f32(Q_PROJ).unwrap(), [1.5; 128]);
        assert!(body.config().tie_word_embeddings && !tiny.open().config().tie_word_embeddings);
    }

    #[test]
    fn shards_are_read_through_the_index_and_checked_against_it() {
        let tiny = tiny(json!({}));
        let expected = tiny.open().read_f32(Q_PROJ).unwrap();
        let path = |name: &str| tiny.path("model").join(name);
        fs::rename(path(SINGLE), path("part.safetensors")).unwrap();
        let index = |map: Value| fs::write(path(INDEX), json!({"weight_map": map}).to_string()).unwrap();
        index(json!({Q_PROJ: "part.safetensors"}));
        assert_eq!(tiny.open().read_f32(Q_PROJ).unwrap(), expected);
        let refused = || message(Checkpoint::open(&tiny.source()));
        index(json!({"model.other.weight": "part.safetensors"}));
        assert!(refused().contains("in none of the files"));
        index(json!({Q_PROJ: "../model/part.safetensors"}));
        assert!(refused().contains("not the name of a file"));
        index(json!({Q_PROJ: "absent.safetensors"}));
        assert!(refused().contains("absent.safetensors"));
        fs::copy(path("part.safetensors"), path("more.safetensors")).unwrap();
        index(json!({Q_PROJ: "part.safetensors", "model.norm.weight": "more.safetensors"}));
        assert!(refused().contains("exists twice"));
    }

    #[test]
    fn files_that_were_not_fetched_are_said_to_be_pointers() {
        for name in [CONFIG, SINGLE, "tokenizer.json", "tokenizer_config.json"] {
            let tiny = tiny(json!({}));
            let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
            fs::write(tiny.path("model").join(name), pointer).unwrap();
            let error = match Checkpoint::open(&tiny.source()) {
                Ok(checkpoint) => message(checkpoint.tokenizer()),
                error => message(error),
            };
            assert!(error.contains(&format!("{name}: is a Git LFS pointer")), "{error}");
            assert!(error.contains("git lfs pull"), "{error}");
        }
    }

    #[test]
    fn a_configuration_without_weights_is_a_new_model() {
        let tiny = tiny(json!({}));
        let config = Checkpoint::open(&tiny.named("model/config.json")).unwrap();
        fs::remove_file(tiny.path("model/model.safetensors")).unwrap();
        for new in [config, tiny.open()] {
            assert!(new.is_new() && !new.contains(Q_PROJ));
            assert_eq!(new.config().num_hidden_layers, 2);
            assert_eq!(new.tokenizer().unwrap().token_to_id("hello"), Some(262));
            assert_eq!(new.travelling_files().unwrap().len(), 2);
            assert!(new.read_f32(Q_PROJ).unwrap_err().to_string().contains("is missing"));
        }
        fs::write(tiny.path("model/pytorch_model.bin"), "").unwrap();
        assert!(message(Checkpoint::open(&tiny.source())).contains("pytorch_model.bin"));
    }

    #[test]
    fn prefixes_of_wrappers_are_taken_off() {
        let tiny = tiny(json!({}));
        for prefix in ["module.", "_orig_mod.", "module._orig_mod."] {
            let wrapped = rewritten(&tiny, |tensors| {
                tensors.iter_mut().for_each(|tensor| tensor.name = format!("{prefix}{}", tensor.name));
            });
            let wrapped = wrapped.unwrap();
            assert_eq!(wrapped.read_f32(Q_PROJ).unwrap(), [1.5; 128]);
            assert_eq!(wrapped.prefix(), Some(prefix));
        }
        assert_eq!(tiny.open().prefix(), None);
        let around = rewritten(&tiny, |tensors| {
            tensors.iter_mut().for_each(|tensor| tensor.name = format!("{PEFT_PREFIX}{}", tensor.name));
        });
        assert!(message(around).contains("merge_and_unload"));
    }

    #[test]
    fn weights_that_nobody_reads_are_named() {
        let tiny = tiny(json!({}));
        let more = |name: &str| NewTensor { name: name.into(), shape: vec![1, 8], dtype: Dtype::F32 };
        let odd =
            rewritten(&tiny, |tensors| tensors.extend([more("value_head.weight"), more("v_head.summary.weight")]));
        assert_eq!(odd.unwrap().unread(true).collect::<Vec<_>>(), ["v_head.summary.weight", "value_head.weight"]);
        assert_eq!(tiny.open().unread(true).collect::<Vec<_>>(), [""; 0]);
        assert_eq!(tiny.open().unread(false).collect::<Vec<_>>(), ["lm_head.weight"]);
    }
}
