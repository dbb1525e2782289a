//! The tensors of a checkpoint's files, by name; their values stay on disk until they are asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::gguf_names::RotaryRows;
use super::mapped::Mapped;
use super::writer::INDEX;
use super::{Dtype, Entry, TensorInfo, safetensors};
use crate::model::fields::read_json;
use crate::model::lora::ADAPTER_WEIGHTS;
use crate::{Error, Result};

/// The single file of a small checkpoint.
pub(super) const SINGLE: &str = "model.safetensors";

/// Every tensor of some files.
#[derive(Debug)]
pub(in crate::model) struct Tensors {
    /// The directory or file, for errors.
    path: PathBuf,
    files: Vec<Mapped>,
    tensors: BTreeMap<String, Stored>,
}

/// A tensor, and the file it is in.
#[derive(Debug)]
struct Stored {
    file: usize,
    entry: Entry,
    /// The row order of GGUF's `llama` queries and keys, to be undone on reading.
    rotary: Option<RotaryRows>,
}

impl Tensors {
    /// No tensors, of the checkpoint at `path`.
    pub(crate) fn none(path: &Path) -> Self {
        Self { path: path.to_owned(), files: Vec::new(), tensors: BTreeMap::new() }
    }

    /// The tensors of a directory's `model.safetensors`, or of the files that its index names; none where it has
    /// neither.
    ///
    /// # Errors
    /// Unreadable or damaged files; files that do not belong together; weights in a format that is not read, or in
    /// files of other names, which may be parts of a model or a variant of it.
    pub(crate) fn of_directory(path: &Path) -> Result<Self> {
        let mut tensors = Self::none(path);
        let index = path.join(INDEX);
        let (names, expected) = if path.join(SINGLE).exists() {
            (vec![SINGLE.to_owned()], Vec::new())
        } else if index.exists() {
            read_index(&index)?
        } else {
            refuse_other_weights(path)?;
            return Ok(tensors);
        };
        for (place, name) in names.iter().enumerate() {
            let part = path.join(name);
            if !part.exists() {
                let problem = format!("is missing: it is file {} of the {} in the index", place + 1, names.len());
                return Err(Error::input(part.display().to_string(), problem, "fetch the rest of the model"));
            }
            let file = Mapped::open(&part)?;
            let entries = safetensors::entries(&file, &file.path().display().to_string())?;
            tensors.add(file, entries)?;
        }
        if let Some(missing) = expected.iter().find(|name| !tensors.tensors.contains_key(*name)) {
            let at = format!("{}: tensor {missing:?}", index.display());
            return Err(Error::input(at, "is in none of the files", "the files are from different checkpoints"));
        }
        Ok(tensors)
    }

    /// The tensors of one safetensors file.
    ///
    /// # Errors
    /// An unreadable or damaged file; weights in a format that is not read.
    pub(crate) fn of_file(path: &Path) -> Result<Self> {
        let file = Mapped::open(path)?;
        let entries = safetensors::entries(&file, &path.display().to_string())?;
        let mut tensors = Self::none(path);
        tensors.add(file, entries)?;
        Ok(tensors)
    }

    /// Adds the tensors of other files, which take the place of those of the same name.
    pub(crate) fn overlay(&mut self, other: Self) {
        let first = self.files.len();
        self.files.extend(other.files);
        let moved = |(name, stored): (String, Stored)| (name, Stored { file: first + stored.file, ..stored });
        self.tensors.extend(other.tensors.into_iter().map(moved));
    }

    /// Adds a file and the tensors in it.
    pub(super) fn add(&mut self, file: Mapped, entries: Vec<Entry>) -> Result<()> {
        for entry in entries {
            let stored = Stored { file: self.files.len(), rotary: None, entry };
            if let Some(twice) = self.tensors.insert(stored.entry.name.clone(), stored) {
                let at = format!("{}: tensor {:?}", file.path().display(), twice.entry.name);
                return Err(Error::input(at, "exists twice", ""));
            }
        }
        self.files.push(file);
        Ok(())
    }

    /// Renames every tensor.
    ///
    /// # Errors
    /// Two tensors would have one name.
    pub(crate) fn rename(&mut self, new_name: impl Fn(&str) -> String) -> Result<()> {
        for (name, stored) in std::mem::take(&mut self.tensors) {
            let new = new_name(&name);
            if let Some(other) = self.tensors.insert(new, stored) {
                return Err(Error::input(self.place(&other), format!("is the same tensor as {name:?}"), ""));
            }
        }
        Ok(())
    }

    /// Removes prefixes that all names have, repeatedly; returns what was removed.
    ///
    /// # Errors
    /// Two tensors would have one name.
    pub(crate) fn without_prefixes(&mut self, prefixes: &[&str]) -> Result<Option<String>> {
        let mut taken = String::new();
        loop {
            let shared = prefixes.iter().find(|prefix| self.names().all(|name| name.starts_with(**prefix)));
            let Some(prefix) = shared.filter(|_| !self.is_empty()) else { break };
            self.rename(|name| name[prefix.len()..].to_owned())?;
            taken.push_str(prefix);
        }
        Ok(Some(taken).filter(|taken| !taken.is_empty()))
    }

    /// Sets the row order of every tensor.
    pub(super) fn set_rotary(&mut self, rows: impl Fn(&str) -> Option<RotaryRows>) {
        for (name, stored) in &mut self.tensors {
            stored.rotary = rows(name);
        }
    }

    /// The contents of all files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &[u8]> {
        self.files.iter().map(|file| &file[..])
    }

    /// All names, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Shape and dtype of a tensor.
    pub(crate) fn info(&self, name: &str) -> Option<&TensorInfo> {
        Some(&self.tensors.get(name)?.entry.info)
    }

    /// An error about a tensor, which names its file where it has one.
    pub(crate) fn error(&self, name: &str, problem: impl Into<String>, hint: &str) -> Error {
        let at = match self.tensors.get(name) {
            Some(stored) => self.place(stored),
            None => format!("{}: tensor {name:?}", self.path.display()),
        };
        Error::input(at, problem, hint)
    }

    fn place(&self, stored: &Stored) -> String {
        format!("{}: tensor {:?}", self.files[stored.file].path().display(), stored.entry.name)
    }

    fn stored(&self, name: &str) -> Result<(&Stored, &[u8])> {
        let stored = self.tensors.get(name).ok_or_else(|| self.error(name, "is missing", ""))?;
        Ok((stored, &self.files[stored.file][stored.entry.range.clone()]))
    }

    /// The values of a tensor, row by row, widened or dequantised.
    ///
    /// # Errors
    /// There is no such tensor.
    pub(crate) fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        let (stored, bytes) = self.stored(name)?;
        let values = stored.entry.info.dtype.decode(bytes);
        Ok(match stored.rotary {
            Some(rows) => rows.split_pairs(&values),
            None => values,
        })
    }

    /// As [`Self::read_f32`], for weights to compute with.
    ///
    /// # Errors
    /// A value is not finite.
    pub(crate) fn read_finite(&self, name: &str) -> Result<Vec<f32>> {
        let values = self.read_f32(name)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(place) => {
                let problem = format!("value {place} is {}", values[place]);
                Err(self.error(name, problem, "the checkpoint is damaged; use an earlier one"))
            }
        }
    }

    /// Whether two tensors have the same values.
    ///
    /// # Errors
    /// One of them is missing.
    pub(crate) fn are_equal(&self, first: &str, second: &str) -> Result<bool> {
        let ((a, a_bytes), (b, b_bytes)) = (self.stored(first)?, self.stored(second)?);
        if a.entry.info.dtype == b.entry.info.dtype {
            return Ok(a_bytes == b_bytes);
        }
        Ok(self.read_f32(first)? == self.read_f32(second)?)
    }

    /// The bits of a tensor stored as F16 or BF16; any other is an error.
    ///
    /// # Errors
    /// There is no such tensor, or it is stored otherwise.
    pub(crate) fn read_16(&self, name: &str) -> Result<Vec<u16>> {
        let (stored, bytes) = self.stored(name)?;
        let dtype = stored.entry.info.dtype;
        if !matches!(dtype, Dtype::F16 | Dtype::BF16) {
            return Err(Error::input(self.place(stored), format!("is stored as {dtype:?}, not in 16 bits"), ""));
        }
        let values: Vec<u16> = bytes.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
        Ok(match stored.rotary {
            Some(rows) => rows.split_pairs(&values),
            None => values,
        })
    }
}

/// The files an index names, sorted, and the tensors that must be in them.
fn read_index(path: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let json = read_json(path)?;
    let at = format!("{}: weight_map", path.display());
    let Some(map) = json["weight_map"].as_object() else {
        return Err(Error::input(at, "is missing", ""));
    };
    let mut files = Vec::new();
    for file in map.values() {
        // A plain name: a path could lead out of the directory.
        let name = file.as_str().filter(|name| Path::new(name).file_name().is_some_and(|plain| plain == *name));
        let Some(name) = name else {
            return Err(Error::input(at, format!("{file} is not the name of a file beside the index"), ""));
        };
        files.push(name.to_owned());
    }
    files.sort();
    files.dedup();
    Ok((files, map.keys().cloned().collect()))
}

/// Weights under unusual names must not count as absent: new ones would be initialized.
fn refuse_other_weights(directory: &Path) -> Result<()> {
    for name in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
        let path = directory.join(name);
        if path.exists() {
            let hint = "wgr reads model.safetensors and GGUF";
            return Err(Error::input(path.display().to_string(), "is not a format that wgr reads", hint));
        }
    }
    let io = |source| Error::io(directory, source);
    let mut others = vec![];
    for entry in directory.read_dir().map_err(io)? {
        let name = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".safetensors") && name != ADAPTER_WEIGHTS {
            others.push(name);
        }
    }
    others.sort();
    if others.is_empty() {
        return Ok(());
    }
    let problem = format!("has neither {SINGLE} nor {INDEX}, but {}", others.join(", "));
    let hint = match others.as_slice() {
        [one] if !one.contains("-of-") => format!("rename {one} to {SINGLE} if it is the model"),
        _ => format!("fetch {INDEX}, which maps tensors to files"),
    };
    Err(Error::input(directory.display().to_string(), problem, hint))
}
