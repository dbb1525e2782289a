//! Files of a checkpoint with the tensors of an optimizer, written and read one tensor at a time.

use std::io::BufWriter;
use std::path::{Path, PathBuf};

use crate::files::{fs, staged};
use crate::gpu::{Gpu, Tensor};
use crate::model::TensorSpec;
use crate::model::weights::{Dtype, NewTensor, SafetensorsWriter, Tensors};
use crate::ranks::Ranks;
use crate::{Error, Result};

/// A tensor of such a file: of one of several kinds, for one of the parameters.
pub(super) struct Listed {
    /// The place of the parameter.
    pub parameter: usize,
    /// The place of the kind.
    pub kind: usize,
    name: String,
    shape: Vec<usize>,
}

/// The tensors of all `kinds` for each of some parameters, in the order in which they are in the file: that of their names.
pub(super) fn listed(parameters: &[TensorSpec], kinds: &[&str]) -> Vec<Listed> {
    let of = |(parameter, spec): (usize, &TensorSpec)| {
        let one = |(kind, word): (usize, &&str)| Listed {
            parameter,
            kind,
            name: format!("{word}.{}", spec.name),
            shape: spec.shape.clone(),
        };
        kinds.iter().enumerate().map(one).collect::<Vec<_>>()
    };
    let mut listed: Vec<Listed> = parameters.iter().enumerate().flat_map(of).collect();
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    listed
}

/// A file on its way, under a temporary name until it is complete.
pub(super) struct NewTensorFile {
    path: PathBuf,
    writer: SafetensorsWriter<BufWriter<fs::Staged>>,
}

impl NewTensorFile {
    /// Begins a file whose values follow in the order of `listed`.
    ///
    /// # Errors
    /// I/O errors.
    pub(super) fn create(path: PathBuf, listed: &[Listed]) -> Result<Self> {
        let new =
            |tensor: &Listed| NewTensor { name: tensor.name.clone(), shape: tensor.shape.clone(), dtype: Dtype::F32 };
        let writer = SafetensorsWriter::to_file(staged(&path)?, &path, listed.iter().map(new).collect(), None)?;
        Ok(Self { path, writer })
    }

    /// Writes the next values, all of one tensor.
    ///
    /// # Errors
    /// Values that do not fit the shape; I/O errors.
    pub(super) fn append(&mut self, values: &[f32]) -> Result<()> {
        self.writer.append(values)
    }

    /// Moves the file to its place once it is on the disk.
    ///
    /// # Errors
    /// A tensor that lacks values; I/O errors.
    pub(super) fn finish(self) -> Result<()> {
        let io = |source| Error::io(&self.path, source);
        let staged = self.writer.finish()?.into_inner().map_err(|error| io(error.into_error()))?;
        staged.sync().and_then(|()| staged.persist(&self.path)).map_err(io)
    }
}

/// Writes a tensor that the rank `owner` has on its device, `own` there, to the file that the first rank writes, a piece at a
/// time. All ranks take part, unless it is the first rank's own; `like` is a tensor of the same shape on each.
///
/// # Errors
/// The device, the disk or another rank fails.
pub(super) async fn write_tensor(
    gpu: &Gpu,
    ranks: &Ranks,
    (owner, own): (usize, Option<&Tensor>),
    like: &Tensor,
    file: &mut Option<NewTensorFile>,
) -> Result<()> {
    if owner == 0 && !ranks.is_first() {
        return Ok(());
    }
    for rows in like.row_pieces() {
        let bytes = size_of::<f32>() * rows.len() * like.columns().len();
        let mut values = match own.filter(|_| owner == ranks.rank()) {
            Some(tensor) => tensor.read_rows(gpu, rows).await?,
            None => vec![],
        };
        if owner != 0 {
            let all = ranks.collect_large(bytemuck::cast_slice(&values).to_vec(), bytes).await?;
            values = bytemuck::pod_collect_to_vec(&all[owner]);
        }
        file.iter_mut().try_for_each(|file| file.append(&values))?;
    }
    Ok(())
}

/// A file that is read.
pub(super) struct TensorFile {
    path: PathBuf,
    tensors: Tensors,
}

impl TensorFile {
    /// Opens it.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let tensors = Tensors::of_file(&path).map_err(|error| match error {
            Error::Input { problem, .. } => damaged(&path, problem),
            other => other,
        })?;
        Ok(Self { path, tensors })
    }

    /// The values of a tensor.
    ///
    /// # Errors
    /// It is missing, or of another shape or type.
    pub(super) fn read(&self, wanted: &Listed) -> Result<Vec<f32>> {
        let Listed { name, shape, .. } = wanted;
        match self.tensors.info(name) {
            None => Err(damaged(&self.path, format!("tensor {name:?} is missing"))),
            Some(info) if info.shape != *shape || info.dtype != Dtype::F32 => {
                Err(damaged(&self.path, format!("tensor {name:?} is {} {:?}", info.dtype, info.shape)))
            }
            Some(_) => self.tensors.read_f32(name),
        }
    }

    /// Puts a tensor back on the device.
    ///
    /// # Errors
    /// As [`Self::read`]; the device fails.
    pub(super) fn restore(&self, gpu: &Gpu, wanted: &Listed, tensor: &Tensor) -> Result<()> {
        tensor.write(gpu, &self.read(wanted)?)?;
        gpu.flush("restoring the optimizer")
    }
}

/// The error about a file of a checkpoint that cannot be used.
pub(super) fn damaged(path: &Path, problem: String) -> Error {
    Error::input(path.display().to_string(), problem, "remove this checkpoint to resume from an earlier one")
}
