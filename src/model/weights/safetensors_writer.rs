//! Writes a safetensors file piece by piece. Sizes are known beforehand, so the header comes first, and no more of the
//! values than the next piece has to be in memory.

use std::collections::VecDeque;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::Dtype;
use super::new_tensor::NewTensor;
use crate::files::fs;
use crate::{Error, Result};

/// A file on its way.
pub(crate) struct SafetensorsWriter<W> {
    out: W,
    /// Where it will be, for errors.
    path: PathBuf,
    /// Tensors that are not complete, and the values that each has so far.
    due: VecDeque<(NewTensor, usize)>,
}

impl<W: Write> SafetensorsWriter<BufWriter<W>> {
    /// Begins to write to `file`, which will be moved to `path`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn to_file(file: W, path: &Path, tensors: Vec<NewTensor>, metadata: Option<&Value>) -> Result<Self> {
        Self::new(BufWriter::with_capacity(1 << 20, file), path, tensors, metadata)
    }
}

impl SafetensorsWriter<BufWriter<fs::File>> {
    /// Waits until the file is on the disk.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn sync(self) -> Result<()> {
        let path = self.path.clone();
        let io = |source| Error::io(&path, source);
        let file = self.finish()?.into_inner().map_err(|error| io(error.into_error()))?;
        file.sync_all().map_err(io)
    }
}

impl<W: Write> SafetensorsWriter<W> {
    /// Writes the header of a file that will be at `path`. The values of `tensors` come next, in their order.
    ///
    /// # Errors
    /// A tensor in blocks, which the format has no name for; I/O errors.
    pub(crate) fn new(mut out: W, path: &Path, tensors: Vec<NewTensor>, metadata: Option<&Value>) -> Result<Self> {
        let io = |source| Error::io(path, source);
        let (mut header, mut offset) = (Map::new(), 0);
        if let Some(metadata) = metadata {
            header.insert("__metadata__".into(), metadata.clone());
        }
        for tensor in &tensors {
            let dtype = match tensor.dtype {
                Dtype::F32 => "F32",
                Dtype::F16 => "F16",
                Dtype::BF16 => "BF16",
                Dtype::Quantized(_) => {
                    let problem = "safetensors cannot hold quantized tensors";
                    return Err(Error::input(tensor.place(path), problem, "write F32, F16 or BF16"));
                }
            };
            let size = tensor.size().unwrap_or(0);
            let entry = json!({"dtype": dtype, "shape": tensor.shape, "data_offsets": [offset, offset + size]});
            header.insert(tensor.name.clone(), entry);
            offset += size;
        }
        let mut header = serde_json::to_vec(&header).map_err(|error| io(error.into()))?;
        // The data begins at a multiple of eight, so that mapped files can be read in place.
        header.resize(header.len().next_multiple_of(8), b' ');
        out.write_all(&(header.len() as u64).to_le_bytes()).and_then(|()| out.write_all(&header)).map_err(io)?;
        let due = tensors.into_iter().filter(|tensor| tensor.count() > 0).map(|tensor| (tensor, 0)).collect();
        Ok(Self { out, path: path.to_owned(), due })
    }

    /// Whether all values are there.
    pub(super) fn is_complete(&self) -> bool {
        self.due.is_empty()
    }

    /// Writes the next values, all of one tensor.
    ///
    /// # Errors
    /// More values than the tensor has left, or one that its type cannot hold; I/O errors.
    pub(crate) fn append(&mut self, values: &[f32]) -> Result<()> {
        let Some((tensor, written)) = self.due.front_mut() else {
            let problem = format!("{} values are left when all tensors are full", values.len());
            return Err(Error::input(self.path.display().to_string(), problem, ""));
        };
        *written += values.len();
        if *written > tensor.count() {
            return Err(tensor.misfit(*written, &self.path));
        }
        let bytes = tensor.encode_part(values, &self.path)?;
        self.out.write_all(&bytes).map_err(|source| Error::io(&self.path, source))?;
        if *written == tensor.count() {
            self.due.pop_front();
        }
        Ok(())
    }

    /// Writes all values of the next tensor that has any.
    ///
    /// # Errors
    /// More or fewer values than the tensor has; as [`Self::append`].
    pub(super) fn append_whole(&mut self, values: &[f32]) -> Result<()> {
        match self.due.front() {
            Some((tensor, 0)) if values.len() != tensor.count() => Err(tensor.misfit(values.len(), &self.path)),
            _ => self.append(values),
        }
    }

    /// Gives back what was written to.
    ///
    /// # Errors
    /// A tensor that lacks values.
    pub(crate) fn finish(self) -> Result<W> {
        match self.due.front() {
            Some((tensor, written)) => Err(tensor.misfit(*written, &self.path)),
            None => Ok(self.out),
        }
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype as Stored, TensorView};

    use super::*;

    fn tensor(name: &str, shape: &[usize]) -> NewTensor {
        NewTensor { name: name.into(), shape: shape.into(), dtype: Dtype::F32 }
    }

    fn writer(tensors: Vec<NewTensor>) -> SafetensorsWriter<Vec<u8>> {
        SafetensorsWriter::new(vec![], Path::new("f"), tensors, None).unwrap()
    }

    #[test]
    fn pieces_make_the_bytes_that_the_safetensors_crate_writes() {
        let values: Vec<f32> = (0..20).map(|place| place as f32 / 3.0).collect();
        let shapes: [(&str, &[usize], _); 3] = [("a\"", &[2, 5], 0..10), ("b", &[0, 4], 10..10), ("c", &[10], 10..20)];
        let view = |(name, shape, range): &(&str, &[usize], std::ops::Range<usize>)| {
            let bytes = bytemuck::cast_slice(&values[range.clone()]);
            ((*name).to_owned(), TensorView::new(Stored::F32, shape.to_vec(), bytes).unwrap())
        };
        let expected = safetensors::serialize(shapes.iter().map(view), None).unwrap();
        let mut written = writer(shapes.iter().map(|(name, shape, _)| tensor(name, shape)).collect());
        for piece in [0..5, 5..10, 10..13, 13..20] {
            written.append(&values[piece]).unwrap();
        }
        assert!(written.finish().unwrap() == expected);
    }

    #[test]
    fn a_tensor_with_another_number_of_values_is_named() {
        let two = || writer(vec![tensor("a", &[2, 2]), tensor("b", &[1])]);
        let mut more = two();
        more.append(&[1.0; 3]).unwrap();
        assert_eq!(more.append(&[1.0; 2]).unwrap_err().to_string(), "f: tensor \"a\": 5 values do not fill [2, 2]");
        let mut fewer = two();
        fewer.append(&[1.0; 4]).unwrap();
        assert_eq!(fewer.finish().unwrap_err().to_string(), "f: tensor \"b\": 0 values do not fill [1]");
        let mut all = writer(vec![tensor("b", &[1])]);
        all.append(&[1.0]).unwrap();
        assert_eq!(all.append(&[1.0]).unwrap_err().to_string(), "f: 1 values are left when all tensors are full");
    }

    #[test]
    fn values_leave_as_they_come() {
        let mut out = writer(vec![tensor("a", &[3]), tensor("b", &[2])]);
        let header = out.out.len();
        for (values, written) in [(&[1.0, 2.0][..], 8), (&[3.0], 12), (&[4.0, 5.0], 20)] {
            out.append(values).unwrap();
            assert_eq!(out.out.len(), header + written);
        }
    }
}
