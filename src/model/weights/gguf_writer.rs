//! Writes GGUF version 3.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::checkpoint::Checkpoint;
use super::gguf::{DEFAULT_ALIGNMENT, MAGIC, type_code};
use super::gguf_names::{ROPE_FACTORS, rotary_rows};
use super::staging::Staging;
use super::writer::NewTensor;
use super::{Dtype, gguf_config, gguf_names};
use crate::{Error, Result};

/// A metadata value to write.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::model) enum Field {
    /// A u32.
    U32(u32),
    /// An i32.
    I32(i32),
    /// An f32.
    F32(f32),
    /// A boolean.
    Flag(bool),
    /// A string.
    Text(String),
    /// An array of strings.
    Texts(Vec<String>),
    /// An array of i32.
    I32s(Vec<i32>),
    /// An array of f32.
    F32s(Vec<f32>),
}

/// The metadata of a file, in order.
pub(in crate::model) type NewMetadata = Vec<(String, Field)>;

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
            let Some(tensor) = tensors.get(i) else { return Ok(rope_factors.clone().unwrap_or_default()) };
            let values = self.read_merged(&tensor.name)?;
            Ok(match rotary_rows(&tensor.name, config) {
                Some(rows) => rows.join_pairs(&values),
                None => values,
            })
        })
    }
}

/// Writes a file of the tensors listed, the values of the i-th being `read(i)`.
fn write_file(
    path: &Path,
    metadata: &[(String, Field)],
    tensors: &[NewTensor],
    read: impl Fn(usize) -> Result<Vec<f32>>,
) -> Result<()> {
    let staging = Staging::beside(path)?;
    let staged = staging.path("model.gguf");
    let io = |source| Error::io(path, source);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&staged).map_err(io)?);
    let (header, sizes) = header(metadata, tensors).map_err(io)?;
    out.write_all(&header).map_err(io)?;
    for (i, (tensor, size)) in tensors.iter().zip(sizes).enumerate() {
        let bytes = tensor.encode(&read(i)?, size, path)?;
        out.write_all(&bytes).and_then(|()| out.write_all(padding(bytes.len()))).map_err(io)?;
    }
    let file = out.into_inner().map_err(|error| io(error.into_error()))?;
    file.sync_all().map_err(io)?;
    staging.replace_file(&staged, path)
}

fn padding(length: usize) -> &'static [u8] {
    &[0; DEFAULT_ALIGNMENT][..length.next_multiple_of(DEFAULT_ALIGNMENT) - length]
}

/// Everything before the first tensor, padded, and the size of every tensor in bytes.
pub(in crate::model) fn header(
    metadata: &[(String, Field)],
    tensors: &[NewTensor],
) -> io::Result<(Vec<u8>, Vec<usize>)> {
    let mut out = Vec::from(MAGIC);
    out.extend(3_u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, field) in metadata {
        string(&mut out, key);
        value(&mut out, field);
    }
    let (mut offset, mut sizes) = (0, Vec::new());
    for tensor in tensors {
        string(&mut out, &tensor.name);
        out.extend((tensor.shape.len() as u32).to_le_bytes());
        for size in tensor.shape.iter().rev() {
            out.extend((*size as u64).to_le_bytes());
        }
        out.extend(type_code(tensor.dtype).to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        let size = tensor.size().ok_or(io::ErrorKind::InvalidInput)?;
        offset += size.next_multiple_of(DEFAULT_ALIGNMENT);
        sizes.push(size);
    }
    out.extend(padding(out.len()));
    Ok((out, sizes))
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn value(out: &mut Vec<u8>, field: &Field) {
    let array = |out: &mut Vec<u8>, kind: u32, length: usize| {
        out.extend(9_u32.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend((length as u64).to_le_bytes());
    };
    let scalar = |out: &mut Vec<u8>, kind: u32, bytes: &[u8]| {
        out.extend(kind.to_le_bytes());
        out.extend(bytes);
    };
    match field {
        Field::U32(number) => scalar(out, 4, &number.to_le_bytes()),
        Field::I32(number) => scalar(out, 5, &number.to_le_bytes()),
        Field::F32(number) => scalar(out, 6, &number.to_le_bytes()),
        Field::Flag(flag) => scalar(out, 7, &[u8::from(*flag)]),
        Field::Text(text) => {
            out.extend(8_u32.to_le_bytes());
            string(out, text);
        }
        Field::Texts(texts) => {
            array(out, 8, texts.len());
            texts.iter().for_each(|text| string(out, text));
        }
        Field::I32s(numbers) => {
            array(out, 5, numbers.len());
            numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        }
        Field::F32s(numbers) => {
            array(out, 6, numbers.len());
            numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        }
    }
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
    let missing = (pairs.len() + 12).next_multiple_of(DEFAULT_ALIGNMENT) - pairs.len() - 12;
    value(&mut pairs, &Field::Text(" ".repeat(missing)));
    let count = u64::from_le_bytes([16, 17, 18, 19, 20, 21, 22, 23].map(|i| whole[i])) + fields.len() as u64 + 1;
    [&whole[..16], &count.to_le_bytes(), &pairs, &whole[24..]].concat()
}
