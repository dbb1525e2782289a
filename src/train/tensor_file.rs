//! Files of a checkpoint with the tensors of an optimizer.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use crate::model::TensorSpec;
use crate::{Error, Result};

/// Names and shapes of some tensors for each of some parameters.
pub(super) fn named<const N: usize>(
    parameters: &[TensorSpec],
    kinds: [&'static str; N],
) -> impl Iterator<Item = (String, Vec<usize>)> {
    let of =
        move |parameter: &TensorSpec| kinds.map(|kind| (format!("{kind}.{}", parameter.name), parameter.shape.clone()));
    parameters.iter().flat_map(of)
}

/// The bytes of a file with such tensors and their values.
pub(super) fn bytes_of<'a>(
    named: impl Iterator<Item = (String, Vec<usize>)>,
    values: impl Iterator<Item = &'a Vec<f32>>,
) -> Result<Vec<u8>> {
    let views = named.zip(values).map(|((name, shape), values)| {
        let bytes = bytemuck::cast_slice(values);
        let view = TensorView::new(safetensors::Dtype::F32, shape, bytes).expect("as many bytes as the shape says");
        (name, view)
    });
    safetensors::serialize(views, None).map_err(|e| Error::run(format!("the state of the optimizer: {e}"), ""))
}

/// A file that was read.
pub(super) struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl TensorFile {
    /// Reads all of it.
    pub(super) fn read(path: PathBuf) -> Result<Self> {
        let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        Ok(Self { path, bytes })
    }

    /// The values of tensors of these names and shapes, one after the other as they are asked for.
    pub(super) fn values(
        &self,
        wanted: impl Iterator<Item = (String, Vec<usize>)>,
    ) -> Result<impl Iterator<Item = Result<Vec<f32>>>> {
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(|e| damaged(&self.path, e.to_string()))?;
        Ok(wanted.map(move |(name, shape)| {
            let view = tensors.tensor(&name).map_err(|e| damaged(&self.path, e.to_string()))?;
            if view.shape() != shape || view.dtype() != safetensors::Dtype::F32 {
                return Err(damaged(&self.path, format!("tensor {name:?} is {:?} {:?}", view.dtype(), view.shape())));
            }
            Ok(bytemuck::pod_collect_to_vec(view.data()))
        }))
    }
}

/// The error about a file of a checkpoint that cannot be used.
pub(super) fn damaged(path: &Path, problem: String) -> Error {
    Error::input(path.display().to_string(), problem, "remove this checkpoint to resume from an earlier one")
}
