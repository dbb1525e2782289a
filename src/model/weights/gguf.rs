//! The header of a GGUF file (versions 2 and 3): metadata and the list of tensors.
//!
//! Format: `docs/gguf.md` of ggml. Every count and offset is checked against the size of the file before anything is
//! allocated for it.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::quantized::GgmlType;
use super::{Dtype, Entry, TensorInfo};
use crate::{Error, Result};

/// The first four bytes of every GGUF file.
pub(super) const MAGIC: &[u8; 4] = b"GGUF";
/// The alignment of tensors, unless `general.alignment` says otherwise.
pub const ALIGNMENT: usize = 32;

/// A metadata value. Arrays of numbers are kept as f64, exact up to 2⁵³.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::model) enum Value {
    /// A number, whole or not.
    Number(f64),
    /// A boolean.
    Flag(bool),
    /// A string.
    Text(String),
    /// An array of numbers or booleans.
    Numbers(Vec<f64>),
    /// An array of strings.
    Texts(Vec<String>),
}

/// The metadata of a file, by key.
#[derive(Debug, Default)]
pub(in crate::model) struct Metadata {
    values: HashMap<String, Value>,
    /// Every key in the order of the file, and the bytes of its value behind the code of its type.
    stored: Vec<(String, Range<usize>)>,
    at: String,
}

impl Metadata {
    /// An error about one key.
    pub(crate) fn error(&self, key: &str, problem: impl Into<String>, hint: &str) -> Error {
        Error::input(format!("{}: {key}", self.at), problem, hint)
    }

    /// Every key, in no order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The value of a key, whatever its type.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// Every key in the order of the file, with the place of its value there, behind the code of its type.
    pub(super) fn stored(&self) -> &[(String, Range<usize>)] {
        &self.stored
    }

    /// The path of the file, for errors.
    pub(crate) fn at(&self) -> &str {
        &self.at
    }

    fn typed<'a, T>(&'a self, key: &str, expected: &str, read: fn(&'a Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.error(key, format!("is not {expected}"), ""))
    }

    /// A string.
    ///
    /// # Errors
    /// The key holds something else.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", |value| if let Value::Text(text) = value { Some(text.as_str()) } else { None })
    }

    /// A number.
    ///
    /// # Errors
    /// The key holds something else.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a number", |value| if let Value::Number(n) = value { Some(*n) } else { None })
    }

    /// A whole number from 0 to 2³²−1; an array of equal ones, as some files write for every layer, counts as one.
    ///
    /// # Errors
    /// The key holds something else.
    pub(crate) fn whole(&self, key: &str) -> Result<Option<u32>> {
        self.typed(key, "a whole number, the same for every layer", |value| {
            let number = match value {
                Value::Number(number) => *number,
                Value::Numbers(numbers) => {
                    let first = *numbers.first()?;
                    numbers.iter().all(|n| *n == first).then_some(first)?
                }
                _ => return None,
            };
            (number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number)).then_some(number as u32)
        })
    }

    /// A boolean.
    ///
    /// # Errors
    /// The key holds something else.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "a boolean", |value| if let Value::Flag(flag) = value { Some(*flag) } else { None })
    }

    /// An array of numbers.
    ///
    /// # Errors
    /// The key holds something else.
    pub(crate) fn numbers(&self, key: &str) -> Result<Option<&[f64]>> {
        self.typed(key, "an array of numbers", |value| match value {
            Value::Numbers(numbers) => Some(numbers.as_slice()),
            _ => None,
        })
    }

    /// An array of strings.
    ///
    /// # Errors
    /// The key holds something else.
    pub(crate) fn texts(&self, key: &str) -> Result<Option<&[String]>> {
        self.typed(key, "an array of strings", |value| match value {
            Value::Texts(texts) => Some(texts.as_slice()),
            _ => None,
        })
    }
}

/// Reads the header of the file `bytes`, found at `at`.
pub(in crate::model) fn header(bytes: &[u8], at: &str) -> Result<(Metadata, Vec<Entry>)> {
    let mut cursor = Cursor { bytes, offset: 0, at };
    if cursor.take(4, "the magic number")? != MAGIC {
        return Err(Error::input(at, "is not a GGUF file", ""));
    }
    let version = cursor.u32()?;
    if !matches!(version, 2 | 3) {
        let hint = "wgr reads little-endian GGUF of versions 2 and 3";
        return Err(Error::input(at, format!("GGUF version {version} is not supported"), hint));
    }
    let tensor_count = cursor.u64()?;
    let value_count = cursor.u64()?;
    let mut metadata = Metadata { at: at.to_owned(), ..Metadata::default() };
    for _ in 0..value_count {
        let key = cursor.string("a metadata key")?;
        let from = cursor.offset;
        let kind = cursor.u32()?;
        let value = cursor.value(kind, &key)?;
        metadata.stored.push((key.clone(), from..cursor.offset));
        if metadata.values.insert(key.clone(), value).is_some() {
            return Err(metadata.error(&key, "is given twice", ""));
        }
    }
    let mut listed = Vec::new();
    for _ in 0..tensor_count {
        listed.push(cursor.tensor()?);
    }
    let alignment = match metadata.whole("general.alignment")? {
        None => ALIGNMENT,
        Some(alignment) if alignment.is_power_of_two() => alignment as usize,
        Some(other) => return Err(metadata.error("general.alignment", format!("{other} is not a power of two"), "")),
    };
    Ok((metadata, placed(listed, cursor.offset.next_multiple_of(alignment), alignment, bytes.len(), at)?))
}

/// Turns offsets relative to `start` into ranges of the file: aligned, inside, apart, and under distinct names.
fn placed(listed: Vec<(Entry, u64)>, start: usize, alignment: usize, end: usize, at: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut names = HashSet::new();
    for (mut entry, offset) in listed {
        let fail = |problem: &str, hint: &str| Error::input(format!("{at}: tensor {:?}", entry.name), problem, hint);
        if !names.insert(entry.name.clone()) {
            return Err(fail("is listed twice", ""));
        }
        if !offset.is_multiple_of(alignment as u64) {
            return Err(fail("its offset is not aligned", ""));
        }
        let from = usize::try_from(offset).ok().and_then(|offset| start.checked_add(offset));
        let range = from.and_then(|from| Some(from..from.checked_add(entry.range.end)?));
        entry.range = range
            .filter(|range| range.end <= end)
            .ok_or_else(|| fail("lies beyond the end of the file", "the file was not downloaded completely"))?;
        entries.push(entry);
    }
    entries.sort_by_key(|entry| entry.range.start);
    for pair in entries.windows(2) {
        if pair[0].range.end > pair[1].range.start {
            let problem = format!("overlaps tensor {:?}", pair[1].name);
            return Err(Error::input(format!("{at}: tensor {:?}", pair[0].name), problem, ""));
        }
    }
    Ok(entries)
}

/// A position in the file; reading beyond the end is an error.
struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
    at: &'a str,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8]> {
        let end = self.offset.checked_add(count).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            let problem = format!("ends within {what} at byte {}", self.offset);
            return Err(Error::input(self.at, problem, "the file is damaged or was not downloaded completely"));
        };
        let taken = &self.bytes[self.offset..end];
        self.offset = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, "the header")?);
        Ok(out)
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A count of things of which each takes at least `size` bytes, so that it is bounded by the file.
    fn count(&mut self, size: usize, what: &str) -> Result<usize> {
        let count = self.u64()?;
        let room = (self.bytes.len() - self.offset) / size;
        usize::try_from(count).ok().filter(|count| *count <= room).ok_or_else(|| {
            let problem = format!("{what} claims {count} entries, more than the file can hold");
            Error::input(self.at, problem, "the file is damaged or was not downloaded completely")
        })
    }

    fn string(&mut self, what: &str) -> Result<String> {
        let length = self.count(1, what)?;
        let bytes = self.take(length, what)?;
        let text = str::from_utf8(bytes).map_err(|_| Error::input(self.at, format!("{what} is not UTF-8"), ""))?;
        Ok(text.to_owned())
    }

    fn value(&mut self, kind: u32, key: &str) -> Result<Value> {
        Ok(match kind {
            7 => Value::Flag(self.number(kind, key)? != 0.0),
            8 => Value::Text(self.string(key)?),
            9 => match self.u32()? {
                8 => {
                    let count = self.count(size_of::<u64>(), key)?;
                    Value::Texts((0..count).map(|_| self.string(key)).collect::<Result<_>>()?)
                }
                kind => {
                    let count = self.count(self.number_size(kind, key)?, key)?;
                    Value::Numbers((0..count).map(|_| self.number(kind, key)).collect::<Result<_>>()?)
                }
            },
            kind => Value::Number(self.number(kind, key)?),
        })
    }

    fn number_size(&self, kind: u32, key: &str) -> Result<usize> {
        match kind {
            0 | 1 | 7 => Ok(1),
            2 | 3 => Ok(2),
            4..=6 => Ok(4),
            10..=12 => Ok(8),
            other => {
                let problem = format!("has the type {other}, which GGUF does not define here");
                Err(Error::input(format!("{}: {key}", self.at), problem, ""))
            }
        }
    }

    fn number(&mut self, kind: u32, key: &str) -> Result<f64> {
        self.number_size(kind, key)?;
        Ok(match kind {
            0 | 7 => f64::from(u8::from_le_bytes(self.array()?)),
            1 => f64::from(i8::from_le_bytes(self.array()?)),
            2 => f64::from(u16::from_le_bytes(self.array()?)),
            3 => f64::from(i16::from_le_bytes(self.array()?)),
            4 => f64::from(u32::from_le_bytes(self.array()?)),
            5 => f64::from(i32::from_le_bytes(self.array()?)),
            6 => f64::from(f32::from_le_bytes(self.array()?)),
            10 => u64::from_le_bytes(self.array()?) as f64,
            11 => i64::from_le_bytes(self.array()?) as f64,
            _ => f64::from_le_bytes(self.array()?),
        })
    }

    /// One tensor, its range holding the size in bytes, and its offset.
    fn tensor(&mut self) -> Result<(Entry, u64)> {
        let name = self.string("a tensor's name")?;
        let at = format!("{}: tensor {name:?}", self.at);
        let dimensions = self.u32()?;
        if !(1..=4).contains(&dimensions) {
            return Err(Error::input(at, format!("has {dimensions} dimensions"), ""));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            // A value that does not fit an address overflows below.
            shape.push(usize::try_from(self.u64()?).unwrap_or(usize::MAX));
        }
        let (kind, offset) = (self.u32()?, self.u64()?);
        let Some(dtype) = dtype(kind) else { return Err(unreadable(kind, at)) };
        // Blocks run along rows, which are the first dimension in GGUF and the last one everywhere else.
        let whole_rows = shape[0].is_multiple_of(dtype.block().0);
        let count = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        let size = count.filter(|count| whole_rows && *count > 0).and_then(|count| dtype.bytes(count));
        let Some(size) = size else {
            let hint = match dtype.block() {
                (1, _) => String::new(),
                (values, _) => format!("rows of {dtype} hold a multiple of {values} values"),
            };
            return Err(Error::input(at, format!("cannot have the dimensions {shape:?} as {dtype}"), hint));
        };
        shape.reverse();
        Ok((Entry { name, info: TensorInfo { shape, dtype }, range: 0..size }, offset))
    }
}

/// The types that can be read, by the numbers of `enum ggml_type` (`ggml.h`).
const TYPES: [(u32, Dtype); 16] = [
    (0, Dtype::F32),
    (1, Dtype::F16),
    (30, Dtype::BF16),
    (2, Dtype::Quantized(GgmlType::Q4_0)),
    (3, Dtype::Quantized(GgmlType::Q4_1)),
    (6, Dtype::Quantized(GgmlType::Q5_0)),
    (7, Dtype::Quantized(GgmlType::Q5_1)),
    (8, Dtype::Quantized(GgmlType::Q8_0)),
    (10, Dtype::Quantized(GgmlType::Q2_K)),
    (11, Dtype::Quantized(GgmlType::Q3_K)),
    (12, Dtype::Quantized(GgmlType::Q4_K)),
    (13, Dtype::Quantized(GgmlType::Q5_K)),
    (14, Dtype::Quantized(GgmlType::Q6_K)),
    (20, Dtype::Quantized(GgmlType::IQ4_NL)),
    (23, Dtype::Quantized(GgmlType::IQ4_XS)),
    (39, Dtype::Quantized(GgmlType::MXFP4)),
];

/// The quantized types of the same list that can only be named.
const OTHER_BLOCKS: [(u32, &str); 21] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (29, "IQ1_M"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
    (33, "Q4_0_8_8"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (36, "IQ4_NL_4_4"),
    (37, "IQ4_NL_4_8"),
    (38, "IQ4_NL_8_8"),
    (40, "NVFP4"),
    (41, "Q1_0"),
];

/// Plain numbers that no weight of a model is stored as.
const OTHER_NUMBERS: [(u32, &str); 5] = [(24, "I8"), (25, "I16"), (26, "I32"), (27, "I64"), (28, "F64")];

/// An error about a tensor, at `at`, of a type that is not read.
fn unreadable(code: u32, at: String) -> Error {
    let named = |list: &[(u32, &'static str)]| list.iter().find(|(known, _)| *known == code).map(|(_, name)| *name);
    let readable: Vec<_> = TYPES.iter().map(|(_, dtype)| dtype.to_string()).collect();
    let readable = format!("wgr reads {}", readable.join(", "));
    if let Some(name) = named(&OTHER_BLOCKS) {
        let how =
            "quantize the unquantized model anew, or this one with `llama-quantize --allow-requantize` of llama.cpp";
        let hint = format!("{how}; {readable}");
        return Error::input(at, format!("is stored as {name}, which wgr does not read"), hint);
    }
    match named(&OTHER_NUMBERS) {
        Some(name) => Error::input(at, format!("is stored as {name}, which is not a type for weights"), readable),
        None => Error::input(at, format!("is stored as ggml type {code}, which wgr does not know"), readable),
    }
}

fn dtype(code: u32) -> Option<Dtype> {
    TYPES.iter().find(|(known, _)| *known == code).map(|(_, dtype)| *dtype)
}

/// The number GGUF files write for a dtype.
pub(super) fn type_code(dtype: Dtype) -> u32 {
    TYPES.iter().find(|(_, known)| *known == dtype).map_or(0, |(code, _)| *code)
}

#[cfg(test)]
mod tests {
    use super::super::gguf_field::Field;
    use super::super::gguf_writer;
    use super::super::new_tensor::NewTensor;
    use super::*;

    fn file(names: [&str; 2]) -> Vec<u8> {
        let tensors = names.map(|name| NewTensor { name: name.into(), shape: vec![2, 3], dtype: Dtype::F32 });
        let fields = [("a.number".to_owned(), Field::U32(7)), ("a.texts".to_owned(), Field::Texts(vec!["x".into()]))];
        let mut bytes = gguf_writer::header(&fields, &tensors).unwrap();
        bytes.resize(bytes.len() + 64, 0);
        bytes
    }

    /// The first place of `pattern`, replaced.
    fn patched(bytes: &[u8], pattern: &[u8], replacement: &[u8]) -> Vec<u8> {
        let at = bytes.windows(pattern.len()).position(|window| window == pattern).unwrap();
        let mut bytes = bytes.to_vec();
        bytes[at..at + replacement.len()].copy_from_slice(replacement);
        bytes
    }

    #[test]
    fn metadata_and_tensors_are_read() {
        let (metadata, tensors) = header(&file(["t0", "t1"]), "f.gguf").unwrap();
        assert_eq!(metadata.whole("a.number").unwrap(), Some(7));
        assert_eq!(metadata.texts("a.texts").unwrap(), Some(&["x".to_owned()][..]));
        assert_eq!(metadata.whole("absent").unwrap(), None);
        assert!(metadata.text("a.number").unwrap_err().to_string().contains("f.gguf: a.number"));
        assert_eq!(tensors[1].info, TensorInfo { shape: vec![2, 3], dtype: Dtype::F32 });
        assert_eq!(tensors[1].range.start - tensors[0].range.start, 32);
    }

    #[test]
    fn a_type_has_one_number_and_one_name() {
        let readable = TYPES.iter().map(|(code, dtype)| (*code, dtype.to_string()));
        let others = OTHER_BLOCKS.iter().chain(&OTHER_NUMBERS).map(|(code, name)| (*code, (*name).to_owned()));
        let (codes, names): (HashSet<_>, HashSet<_>) = readable.chain(others).unzip();
        let count = TYPES.len() + OTHER_BLOCKS.len() + OTHER_NUMBERS.len();
        assert_eq!((codes.len(), names.len()), (count, count));
    }

    #[test]
    fn lies_are_found_out() {
        let good = file(["t0", "t1"]);
        let second = {
            // The offset of the second tensor: after its name, dimensions and type.
            let at = good.windows(2).position(|window| window == b"t1").unwrap() + 2 + 4 + 16 + 4;
            move |offset: u64| {
                let mut bytes = file(["t0", "t1"]);
                bytes[at..at + 8].copy_from_slice(&offset.to_le_bytes());
                bytes
            }
        };
        let typed = |code: u32| {
            let at = good.windows(2).position(|window| window == b"t0").unwrap() + 2 + 4 + 16;
            let mut bytes = good.clone();
            bytes[at..at + 4].copy_from_slice(&code.to_le_bytes());
            bytes
        };
        let number = |n: u64| n.to_le_bytes();
        let shape = [number(3), number(2)].concat();
        for (bytes, problem) in [
            (b"GGML".to_vec(), "not a GGUF file"),
            (Vec::new(), "ends within the magic number"),
            (patched(&good, &[3, 0, 0, 0], &[1, 0, 0, 0]), "version 1"),
            (patched(&good, &[3, 0, 0, 0], &[0, 0, 0, 3]), "version 50331648"),
            (good[..good.len() - 41].to_vec(), "beyond the end"),
            (good[..100].to_vec(), "ends within"),
            (second(0), "overlaps tensor"),
            (second(33), "not aligned"),
            (second(u64::MAX - 31), "beyond the end"),
            (file(["t0", "t0"]), "is listed twice"),
            (patched(&good, b"a.texts", b"\xff.texts"), "not UTF-8"),
            (patched(&good, &shape, &[number(1 << 40), number(1 << 40)].concat()), "cannot have the dimensions"),
            (patched(&good, &shape, &[number(0), number(2)].concat()), "cannot have the dimensions"),
            (patched(&good, &number(1), &number(u64::MAX)), "claims"),
            (typed(28), "stored as F64, which is not a type for weights (wgr reads F32, "),
            (typed(22), "stored as IQ2_S, which wgr does not read (quantize the unquantized model anew"),
            (typed(9), "stored as Q8_1"),
            (typed(137), "stored as ggml type 137"),
            (typed(20), "cannot have the dimensions [3, 2] as IQ4_NL (rows of IQ4_NL hold a multiple of 32 values)"),
        ] {
            let message = header(&bytes, "f.gguf").unwrap_err().to_string();
            assert!(message.starts_with("f.gguf") && message.contains(problem), "{problem}: {message}");
        }
    }

    #[test]
    fn numbers_of_every_layer_must_agree() {
        let values = |numbers: Vec<f64>| {
            let values = HashMap::from([("k".to_owned(), Value::Numbers(numbers))]);
            Metadata { values, at: "f.gguf".into(), ..Metadata::default() }.whole("k")
        };
        assert_eq!(values(vec![3.0, 3.0]).unwrap(), Some(3));
        values(vec![3.0, 4.0]).unwrap_err();
        values(vec![]).unwrap_err();
        values(vec![-1.0]).unwrap_err();
    }
}
