//! The tensors of a checkpoint's files, by name; their values stay on disk until they are asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::bitsandbytes::{self, Packed, Place};
use super::gguf_names::RotaryRows;
use super::mapped::Mapped;
use super::writer::INDEX;
use super::{Dtype, Entry, TensorInfo, safetensors};
use crate::files::fs;
use crate::model::fields::read_json;
use crate::model::lora::ADAPTER_WEIGHTS;
use crate::{Error, Result};

/// The single file of a small checkpoint.
pub(super) const SINGLE: &str = "model.safetensors";

/// Every tensor of some files.
#[derive(Debug)]
pub(crate) struct Tensors {
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
    /// How the values are packed, if they are.
    packed: Option<Box<Packed>>,
}

impl Stored {
    fn place(&self) -> Place {
        Place { file: self.file, range: self.entry.range.clone() }
    }
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
        let (names, expected) = if fs::exists(path.join(SINGLE)) {
            (vec![SINGLE.to_owned()], Vec::new())
        } else if fs::exists(&index) {
            read_index(&index)?
        } else {
            refuse_other_weights(path)?;
            return Ok(tensors);
        };
        let mut bytes = BTreeMap::new();
        for (place, name) in names.iter().enumerate() {
            let part = path.join(name);
            if !fs::exists(&part) {
                let problem = format!("is missing: it is file {} of the {} in the index", place + 1, names.len());
                return Err(Error::input(part.display().to_string(), problem, "fetch the rest of the model"));
            }
            let file = Mapped::open(&part)?;
            let listed = safetensors::listed(&file, &file.path().display().to_string())?;
            for (name, range) in listed.bytes {
                if bytes.contains_key(&name) {
                    return Err(Error::input(format!("{}: tensor {name:?}", part.display()), "exists twice", ""));
                }
                bytes.insert(name, Place { file: place, range });
            }
            tensors.add(file, listed.entries)?;
        }
        let is_there = |name: &String| tensors.tensors.contains_key(name) || bytes.contains_key(name);
        if let Some(missing) = expected.iter().find(|name| !is_there(name)) {
            let at = format!("{}: tensor {missing:?}", index.display());
            return Err(Error::input(at, "is in none of the files", "the files are from different checkpoints"));
        }
        tensors.gather(bytes)?;
        Ok(tensors)
    }

    /// The tensors of one safetensors file.
    ///
    /// # Errors
    /// An unreadable or damaged file; weights in a format that is not read.
    pub(crate) fn of_file(path: &Path) -> Result<Self> {
        let file = Mapped::open(path)?;
        let listed = safetensors::listed(&file, &path.display().to_string())?;
        if let Some((name, _)) = listed.bytes.first() {
            return Err(safetensors::unread(&format!("{}: tensor {name:?}", path.display()), "U8"));
        }
        let mut tensors = Self::none(path);
        tensors.add(file, listed.entries)?;
        Ok(tensors)
    }

    /// Puts tensors that are packed into 4 bits, and what describes them, together again. `parts` are the places of plain
    /// bytes; other companions are among the tensors.
    fn gather(&mut self, mut parts: BTreeMap<String, Place>) -> Result<()> {
        for (name, kind) in bitsandbytes::described(parts.keys()) {
            let prefix = format!("{name}.");
            let companions: Vec<String> = self
                .tensors
                .range(prefix.clone()..)
                .map(|(name, _)| name)
                .take_while(|n| n.starts_with(&prefix))
                .cloned()
                .collect();
            for companion in companions {
                let stored = self.tensors.remove(&companion);
                parts.extend(stored.map(|stored| (companion, stored.place())));
            }
            // It may be declared as another type, which a trainer that shards models asks for.
            let place = parts.remove(&name).or_else(|| Some(self.tensors.remove(&name)?.place()));
            let Some(place) = place else {
                return Err(self.error(&name, "is missing", "only its description is there"));
            };
            let at = format!("{}: tensor {name:?}", self.files[place.file].path().display());
            let bytes = |place: &Place| self.files[place.file][place.range.clone()].to_vec();
            let packed = Packed::take((&name, &kind), &mut parts, bytes)
                .and_then(|packed| match packed.bytes() == place.range.len() {
                    true => Ok(packed),
                    false => Err(format!("has {} bytes, and its shape needs {}", place.range.len(), packed.bytes())),
                })
                .map_err(|problem| Error::input(at, problem, "it is not as bitsandbytes saves 4-bit weights"))?;
            let info = TensorInfo { shape: packed.shape.clone(), dtype: packed.dtype };
            let entry = Entry { name: name.clone(), info, range: place.range };
            self.tensors.insert(name, Stored { file: place.file, entry, rotary: None, packed: Some(Box::new(packed)) });
        }
        match parts.first_key_value() {
            None => Ok(()),
            Some((name, place)) => {
                let at = format!("{}: tensor {name:?}", self.files[place.file].path().display());
                Err(safetensors::unread(&at, "U8"))
            }
        }
    }

    /// Tensors that are packed into 4 bits.
    pub(crate) fn packed(&self) -> usize {
        self.tensors.values().filter(|stored| stored.packed.is_some()).count()
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
            let stored = Stored { file: self.files.len(), rotary: None, packed: None, entry };
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

    /// A tensor was read: a copy of it is elsewhere now.
    fn release(&self, stored: &Stored) {
        self.files[stored.file].release(stored.entry.range.clone());
    }

    /// In the order of the file.
    fn values(&self, stored: &Stored, bytes: &[u8]) -> Vec<f32> {
        match &stored.packed {
            Some(packed) => packed.values(bytes, |place| &self.files[place.file][place.range.clone()]),
            None => stored.entry.info.dtype.decode(bytes),
        }
    }

    /// The values of a tensor, row by row, widened or dequantised.
    ///
    /// # Errors
    /// There is no such tensor.
    pub(crate) fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        let (stored, bytes) = self.stored(name)?;
        let values = self.values(stored, bytes);
        self.release(stored);
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

    /// The blocks of a quantised matrix, as the device holds its rows.
    ///
    /// # Errors
    /// There is no such tensor, it is not quantised, or a scale is not finite.
    pub(crate) fn read_rows(&self, name: &str) -> Result<Vec<u32>> {
        let (stored, bytes) = self.stored(name)?;
        let (Dtype::Quantized(kind), Some(columns)) = (stored.entry.info.dtype, stored.entry.info.shape.last()) else {
            return Err(self.error(name, format!("is stored as {:?}, not in blocks", stored.entry.info.dtype), ""));
        };
        let rows = kind.arrange(bytes, *columns).map_err(|problem| self.error(name, problem, "the file is damaged"))?;
        self.release(stored);
        Ok(match stored.rotary {
            Some(order) => order.split_pairs(&rows),
            None => rows,
        })
    }

    /// Whether two tensors have the same values.
    ///
    /// # Errors
    /// One of them is missing.
    pub(crate) fn are_equal(&self, first: &str, second: &str) -> Result<bool> {
        let ((a, a_bytes), (b, b_bytes)) = (self.stored(first)?, self.stored(second)?);
        if a.entry.info.dtype == b.entry.info.dtype && a.packed.is_none() && b.packed.is_none() {
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
        // Values that were packed are rounded to the type already.
        let unpacked = stored.packed.as_ref().and_then(|_| dtype.encode(&self.values(stored, bytes)).ok());
        let bytes = unpacked.as_deref().unwrap_or(bytes);
        let values: Vec<u16> = bytes.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
        self.release(stored);
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
        if fs::exists(&path) {
            let hint = "wgr reads model.safetensors and GGUF";
            return Err(Error::input(path.display().to_string(), "is not a format that wgr reads", hint));
        }
    }
    let mut others = vec![];
    for path in fs::entries(directory).map_err(|source| Error::io(directory, source))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
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
