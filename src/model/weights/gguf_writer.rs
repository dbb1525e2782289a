//! Writes GGUF version 3.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::checkpoint::Checkpoint;
use super::gguf::{ALIGNMENT, MAGIC, type_code};
use super::gguf_field::{Field, NewMetadata, string, value};
use super::gguf_names::{ROPE_FACTORS, rotary_rows};
use super::new_tensor::NewTensor;
use super::staging::Staging;
use super::{Dtype, gguf_config, gguf_names};
use crate::files::fs;
use crate::{Error, Result};

impl Checkpoint {
    /// Writes `tensors` of this checkpoint as a GGUF file, names and row orders being those of llama.cpp, under a
    /// temporary name first. One tensor at a time is in memory. `further` is the metadata of its tokenizer and companions.
    pub(in crate::model) fn write_gguf(&self, path: &Path, further: NewMetadata, tensors: &[NewTensor]) -> Result<()> {
        let config = self.config();
        let (mut metadata, rope_factors) = gguf_config::metadata(config, &self.path().display().to_string())?;
        metadata.extend(further);
        let mut listed: Vec<_> = tensors
            .iter()
            .map(|tensor| NewTensor { name: gguf_names::to_gguf(&tensor.name), ..tensor.clone() })
            .collect();
        if let Some(factors) = &rope_factors {
            listed.push(NewTensor { name: ROPE_FACTORS.into(), shape: vec![factors.len()], dtype: Dtype::F32 });
        }
        write_file(path, &metadata, &listed, |i| {
            let values = match tensors.get(i) {
                Some(tensor) => self.read_joined(&tensor.name)?,
                None => rope_factors.clone().unwrap_or_default(),
            };
            Ok(listed[i].encode(&values, path)?.into())
        })
    }

    /// The values of a tensor with what its adapter adds, its rows in the order of GGUF.
    pub(super) fn read_joined(&self, name: &str) -> Result<Vec<f32>> {
        let values = self.read_merged(name)?;
        Ok(match rotary_rows(name, self.config()) {
            Some(rows) => rows.join_pairs(&values),
            None => values,
        })
    }
}

/// Writes a file of the tensors listed, the bytes of the i-th being `bytes(i)`.
pub(super) fn write_file<'a>(
    path: &Path,
    metadata: &[(String, Field)],
    tensors: &[NewTensor],
    mut bytes: impl FnMut(usize) -> Result<Cow<'a, [u8]>>,
) -> Result<()> {
    let staging = Staging::beside(path)?;
    let staged = staging.path("model.gguf");
    let io = |source| Error::io(path, source);
    let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(&staged).map_err(io)?);
    let header = header(metadata, tensors).map_err(io)?;
    out.write_all(&header).map_err(io)?;
    for i in 0..tensors.len() {
        let bytes = bytes(i)?;
        out.write_all(&bytes).and_then(|()| out.write_all(padding(bytes.len()))).map_err(io)?;
    }
    let file = out.into_inner().map_err(|error| io(error.into_error()))?;
    file.sync_all().map_err(io)?;
    staging.replace_file(&staged, path)
}

fn padding(length: usize) -> &'static [u8] {
    &[0; ALIGNMENT][..length.next_multiple_of(ALIGNMENT) - length]
}

/// Everything before the first tensor of a GGUF file, padded to [`ALIGNMENT`]. Tensors follow in their order, each padded
/// likewise.
///
/// # Errors
/// The rows of a tensor are not whole blocks.
pub fn header(metadata: &[(String, Field)], tensors: &[NewTensor]) -> io::Result<Vec<u8>> {
    let mut out = Vec::from(MAGIC);
    out.extend(3_u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, field) in metadata {
        string(&mut out, key);
        value(&mut out, field);
    }
    let mut offset = 0;
    for tensor in tensors {
        string(&mut out, &tensor.name);
        out.extend((tensor.shape.len() as u32).to_le_bytes());
        for size in tensor.shape.iter().rev() {
            out.extend((*size as u64).to_le_bytes());
        }
        out.extend(type_code(tensor.dtype).to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        offset += tensor.size().ok_or(io::ErrorKind::InvalidInput)?.next_multiple_of(ALIGNMENT);
    }
    out.extend(padding(out.len()));
    Ok(out)
}

/// A file with further metadata in front of its own.
#[cfg(test)]
pub(in crate::model) fn with_further(whole: &[u8], fields: &[(String, Field)]) -> Vec<u8> {
    let mut pairs = Vec::new();
    for (key, field) in fields {
        string(&mut pairs, key);
        value(&mut pairs, field);
    }
    // In steps of the alignment, so that tensors stay where they are in relation to the header.
    string(&mut pairs, "wgr.padding");
    let missing = (pairs.len() + 12).next_multiple_of(ALIGNMENT) - pairs.len() - 12;
    value(&mut pairs, &Field::Text(" ".repeat(missing)));
    let count = u64::from_le_bytes([16, 17, 18, 19, 20, 21, 22, 23].map(|i| whole[i])) + fields.len() as u64 + 1;
    [&whole[..16], &count.to_le_bytes(), &pairs, &whole[24..]].concat()
}

/// A file with its matrices stored as the types that `dtype` gives for their names.
#[cfg(test)]
pub(in crate::model) fn with_types(from: &Path, to: &Path, dtype: impl Fn(&str) -> Dtype) {
    let bytes = std::fs::read(from).unwrap();
    let (metadata, entries) = super::gguf::header(&bytes, "").unwrap();
    let stored = metadata.stored().iter();
    let fields: NewMetadata =
        stored.map(|(key, place)| (key.clone(), Field::Stored(bytes[place.clone()].to_vec()))).collect();
    let tensors: Vec<NewTensor> = entries
        .iter()
        .map(|entry| match entry.info.shape.len() {
            1 => NewTensor::from(entry),
            _ => NewTensor { dtype: dtype(&entry.name), ..NewTensor::from(entry) },
        })
        .collect();
    let values = |i: usize| entries[i].info.dtype.decode(&bytes[entries[i].range.clone()]);
    write_file(to, &fields, &tensors, |i| Ok(tensors[i].encode(&values(i), to)?.into())).unwrap();
}
