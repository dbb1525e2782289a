//! What is known of a tensor before it is written.

use std::path::Path;

use super::{Dtype, Entry};
use crate::{Error, Result};

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTensor {
    /// The name it gets in the file.
    pub name: String,
    /// Rows first.
    pub shape: Vec<usize>,
    /// How to store it. Safetensors hold F32, F16 and BF16; GGUF files blocks as well.
    pub dtype: Dtype,
}

impl From<&Entry> for NewTensor {
    fn from(entry: &Entry) -> Self {
        Self { name: entry.name.clone(), shape: entry.info.shape.clone(), dtype: entry.info.dtype }
    }
}

impl NewTensor {
    /// Values of the tensor.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn size(&self) -> Option<usize> {
        self.dtype.bytes(self.count())
    }

    /// The bytes of `values`, of which there must be as many as the shape says.
    pub(super) fn encode(&self, values: &[f32], path: &Path) -> Result<Vec<u8>> {
        match values.len() == self.count() {
            true => self.encode_part(values, path),
            false => Err(self.misfit(values.len(), path)),
        }
    }

    /// The bytes of some of its values, whole blocks of them.
    pub(super) fn encode_part(&self, values: &[f32], path: &Path) -> Result<Vec<u8>> {
        self.dtype.encode(values).map_err(|problem| Error::input(self.place(path), problem, ""))
    }

    /// The error about another number of values than the shape says.
    pub(super) fn misfit(&self, values: usize, path: &Path) -> Error {
        Error::input(self.place(path), format!("{values} values do not fill {:?}", self.shape), "")
    }

    pub(super) fn place(&self, path: &Path) -> String {
        format!("{}: tensor {:?}", path.display(), self.name)
    }
}
