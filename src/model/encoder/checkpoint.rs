//! An encoder's directory: configuration, and weights under one set of names.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_128;

use super::config::EncoderConfig;
use crate::gpu;
use crate::model::fields::read_json;
use crate::model::weights::tensors::Tensors;
use crate::model::weights::{Dtype, TensorInfo};
use crate::{Error, Result};

/// The prefix of weights in a model with a head: `bert.encoder…` for `encoder…`.
const PREFIXES: [&str; 2] = ["bert.", "roberta."];

/// An encoder opened for reading. Weights stay on disk until they are asked for.
#[derive(Debug)]
pub struct EncoderCheckpoint {
    path: PathBuf,
    config: EncoderConfig,
    tensors: Tensors,
}

impl EncoderCheckpoint {
    /// Opens a directory with `config.json` and safetensors. Names may have the prefix of a model with a head, and the
    /// norms' names of the first BERT (`gamma`, `beta`); heads are left alone.
    ///
    /// # Errors
    /// Names the file, field or tensor at fault: unreadable files, a configuration that the engine does not support,
    /// tensors that are missing, unknown or of another shape than the configuration asks for.
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.join("config.json");
        let config = EncoderConfig::from_json(&read_json(&file)?, &file.display().to_string())?;
        let mut tensors = Tensors::of_directory(path)?;
        if tensors.is_empty() {
            let hint = "an embedder needs model.safetensors";
            return Err(Error::input(path.display().to_string(), "has no weights", hint));
        }
        tensors.rename(body_name)?;
        Self { path: path.to_owned(), config, tensors }.checked()
    }

    fn checked(self) -> Result<Self> {
        let expected = self.config.tensors();
        for spec in &expected {
            let Some(info) = self.tensors.info(&spec.name) else {
                return Err(self.tensors.error(&spec.name, "is missing", "the configuration asks for it"));
            };
            if info.shape != spec.shape {
                let problem = format!("has the shape {:?}, not {:?}", info.shape, spec.shape);
                let hint = "configuration and weights do not match";
                return Err(self.tensors.error(&spec.name, problem, hint));
            }
        }
        let known: HashSet<_> = expected.iter().map(|spec| spec.name.as_str()).collect();
        let in_body = |name: &str| name.starts_with("embeddings.") || name.starts_with("encoder.");
        if let Some(name) = self.tensors.names().find(|name| in_body(name) && !known.contains(name)) {
            return Err(self.tensors.error(name, "is not part of this architecture", "wgr would ignore it"));
        }
        Ok(self)
    }

    /// The path of the checkpoint.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// How a tensor will be stored on the device: as on disk.
    pub(super) fn storage(&self, name: &str) -> gpu::Dtype {
        match self.tensors.info(name) {
            Some(TensorInfo { dtype: Dtype::F16, .. }) => gpu::Dtype::F16,
            Some(TensorInfo { dtype: Dtype::BF16, .. }) => gpu::Dtype::Bf16,
            _ => gpu::Dtype::F32,
        }
    }

    /// The values of a tensor by its name in a body saved alone, row by row.
    ///
    /// # Errors
    /// There is no such tensor, or a value is not finite.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        self.tensors.read_finite(name)
    }

    /// Hashes of the weight files, and of their interpretation by the configuration.
    pub(super) fn hashes(&self) -> impl Iterator<Item = u128> {
        let config = XxHash3_128::oneshot(format!("{:?}", self.config).as_bytes());
        std::iter::once(config).chain(self.tensors.files().map(XxHash3_128::oneshot))
    }
}

/// The name of a tensor in a body that was saved alone.
fn body_name(name: &str) -> String {
    let name = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
}
