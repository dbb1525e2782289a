//! Adapter directories in PEFT's layout: reading them onto a base model, and writing them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::files::{fs, read_if_there};
use crate::model::config::{ModelConfig, TensorSpec};
use crate::model::fields::{read_json, read_json_if_there};
use crate::model::weights::tensors::Tensors;
use crate::model::weights::{DirectoryWriter, Dtype, NewTensor};
use crate::{Error, Result};

use super::config::LoraConfig;
use super::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, peft};

/// `wgr`'s record of an adapter's score head, besides PEFT's own files.
pub const HEAD_FILE: &str = "wgr_head.json";

/// PEFT's prefix of every tensor's name.
const PREFIX: &str = "base_model.model.";
/// The head that a classifier's adapter carries in full.
const HEAD: &str = "score.weight";

/// An adapter directory, opened.
#[derive(Debug)]
pub struct AdapterFiles {
    /// The directory.
    pub path: PathBuf,
    /// The adapters.
    pub config: LoraConfig,
    /// The name of the model they are for, as the directory states it.
    pub base: String,
    /// The directory's record of its score head, under `wgr` in the configuration of other models.
    pub head: Option<Value>,
}

impl AdapterFiles {
    /// Whether a directory holds an adapter and no model of its own.
    pub fn are_in(directory: &Path) -> bool {
        let has = |name: &str| fs::is_file(directory.join(name));
        has(ADAPTER_CONFIG) && !has("model.safetensors") && !has("model.safetensors.index.json")
    }

    /// Reads the configuration of a directory.
    ///
    /// # Errors
    /// Damaged files, and fields that ask for what the engine does not compute.
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.join(ADAPTER_CONFIG);
        let read = peft::from_json(&read_json(&file)?, &file.display().to_string())?;
        let head = read_json_if_there(&path.join(HEAD_FILE))?;
        Ok(Self { path: path.to_owned(), config: read.lora, base: read.base, head })
    }

    /// The path of the base model: as stated, or beside the adapter if it is relative.
    pub fn base_source(&self) -> String {
        let beside = self.path.join(&self.base);
        match fs::exists(&self.base) || !fs::exists(&beside) {
            true => self.base.clone(),
            false => beside.display().to_string(),
        }
    }

    /// An error about the name of the base model.
    pub fn base_error(&self, problem: impl Into<String>) -> Error {
        let at = format!("{}: base_model_name_or_path", self.path.join(ADAPTER_CONFIG).display());
        Error::input(at, problem, "set that field to the path or name of the base model")
    }

    /// The tensors, under the names they have in the model with adapters, checked against the base model.
    ///
    /// # Errors
    /// A tensor that is missing, of another shape, or not part of an adapter for this model.
    pub(in crate::model) fn tensors(&self, base: &ModelConfig) -> Result<Tensors> {
        peft::check_targets(&self.config, base, &self.path.join(ADAPTER_CONFIG).display().to_string())?;
        let mut tensors = Tensors::of_file(&self.path.join(ADAPTER_WEIGHTS))?;
        tensors.rename(|name| {
            let name = name.strip_prefix(PREFIX).unwrap_or(name);
            // Earlier releases of PEFT kept the wrapper of a module that is trained in full in the name.
            name.replace("score.modules_to_save.", "score.")
        })?;
        const HINT: &str = "the adapter is for a different model from its base_model_name_or_path";
        let expected = self.config.tensors(base);
        for TensorSpec { name, shape } in &expected {
            match tensors.info(name) {
                None => return Err(tensors.error(name, "is missing", HINT)),
                Some(info) if info.shape != *shape => {
                    let problem = format!("has the shape {:?}, not {shape:?}", info.shape);
                    return Err(tensors.error(name, problem, HINT));
                }
                Some(_) => {}
            }
        }
        if let Some(name) =
            tensors.names().find(|name| *name != HEAD && !expected.iter().any(|spec| spec.name == *name))
        {
            return Err(tensors.error(name, "is not part of an adapter that wgr can apply to this model", HINT));
        }
        if let Some(info) = tensors.info(HEAD)
            && (info.shape.len() != 2 || info.shape[1] != base.hidden_size)
        {
            let problem = format!("has the shape {:?}, not [labels, {}]", info.shape, base.hidden_size);
            return Err(tensors.error(HEAD, problem, HINT));
        }
        Ok(tensors)
    }

    /// A file of the directory, if there is one.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        read_if_there(&self.path.join(name))
    }
}

/// An adapter to be written.
pub struct NewAdapter<'a> {
    /// The adapters.
    pub config: &'a LoraConfig,
    /// The name to find the base model by.
    pub base: &'a str,
    /// Names, without PEFT's prefix, and shapes.
    pub tensors: Vec<TensorSpec>,
    /// Other files of the directory.
    pub files: Vec<(String, Vec<u8>)>,
}

impl NewAdapter<'_> {
    /// Begins a directory that PEFT reads, whose values follow in the order of the tensors.
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) fn begin(&self, directory: &Path) -> Result<DirectoryWriter> {
        let has_head = self.tensors.iter().any(|tensor| tensor.name == HEAD);
        let config = peft::to_json(self.config, self.base, has_head);
        DirectoryWriter::adapter(directory, &config, &self.listed(), &self.files)
    }

    /// The tensors as they are in the file.
    fn listed(&self) -> Vec<NewTensor> {
        let new = |TensorSpec { name, shape }: &TensorSpec| NewTensor {
            name: format!("{PREFIX}{name}"),
            shape: shape.clone(),
            dtype: Dtype::F32,
        };
        self.tensors.iter().map(new).collect()
    }
}

/// Writes an adapter directory that PEFT reads, complete or not at all. `read` gives the values of a tensor by the name
/// it has in `adapter`.
///
/// # Errors
/// I/O errors; whatever `read` returns.
pub fn write_adapter(
    directory: &Path,
    adapter: &NewAdapter,
    mut read: impl FnMut(&str) -> Result<Vec<f32>>,
) -> Result<()> {
    let values = |tensor: &NewTensor| read(tensor.name.trim_start_matches(PREFIX));
    adapter.begin(directory)?.write(&adapter.listed(), values)
}
