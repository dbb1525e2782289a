//! The header of a safetensors file.
//!
//! The `safetensors` crate checks lengths, offsets and overlaps; this file also refuses duplicate names, and number
//! formats that the engine does not read.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use safetensors::tensor::{Dtype as StoredDtype, SafeTensors};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::{Dtype, Entry, TensorInfo};
use crate::{Error, Result};

/// The tensors of a file.
pub(super) struct Listed {
    /// Those that are weights as they are.
    pub(super) entries: Vec<Entry>,
    /// Names and places of plain bytes, into which others pack weights.
    pub(super) bytes: Vec<(String, Range<usize>)>,
}

/// Lists the tensors of the file `bytes`, found at `at`.
pub(super) fn listed(bytes: &[u8], at: &str) -> Result<Listed> {
    let hint = "the file is damaged or was not downloaded completely";
    let (header, metadata) =
        SafeTensors::read_metadata(bytes).map_err(|error| Error::input(at, error.to_string(), hint))?;
    let start = header + size_of::<u64>();
    serde_json::from_slice::<DistinctNames>(&bytes[size_of::<u64>()..start])
        .map_err(|error| Error::input(at, error.to_string(), hint))?;
    let mut listed = Listed { entries: vec![], bytes: vec![] };
    for (name, info) in metadata.tensors() {
        let (from, to) = info.data_offsets;
        let range = start + from..start + to;
        // Old BERT checkpoints carry the numbers 0, 1, 2 …, which are not weights.
        if name.ends_with("position_ids") {
            continue;
        }
        let dtype = match info.dtype {
            StoredDtype::F32 => Dtype::F32,
            StoredDtype::F16 => Dtype::F16,
            StoredDtype::BF16 => Dtype::BF16,
            StoredDtype::U8 => {
                listed.bytes.push((name, range));
                continue;
            }
            other => return Err(unread(&format!("{at}: tensor {name:?}"), &format!("{other:?}"))),
        };
        listed.entries.push(Entry { name, info: TensorInfo { shape: info.shape.clone(), dtype }, range });
    }
    Ok(listed)
}

/// The error about a tensor, found at `at`, in a number format that is not read.
pub(super) fn unread(at: &str, format: &str) -> Error {
    let hint = "wgr reads F32, F16 and BF16, and 4-bit weights of bitsandbytes";
    Error::input(at, format!("is stored as {format}"), hint)
}

/// A JSON object without repeated keys.
struct DistinctNames;

impl<'de> Deserialize<'de> for DistinctNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = DistinctNames;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DistinctNames, A::Error> {
                let mut seen = HashSet::new();
                while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    if let Some(twice) = seen.replace(name) {
                        return Err(A::Error::custom(format!("tensor {twice:?} is listed twice")));
                    }
                }
                Ok(DistinctNames)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
    }

    #[test]
    fn tensors_are_listed_with_their_place_in_the_file() {
        let bytes = file(r#"{"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}"#, 12);
        let [entry] = listed(&bytes, "f").unwrap().entries.try_into().unwrap();
        assert_eq!(entry.info, TensorInfo { shape: vec![2, 3], dtype: Dtype::BF16 });
        assert_eq!((entry.name.as_str(), entry.range), ("a", bytes.len() - 12..bytes.len()));
    }

    #[test]
    fn position_ids_are_no_weights() {
        let ids = r#"{"embeddings.position_ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#;
        assert!(listed(&file(ids, 8), "f").unwrap().entries.is_empty());
    }

    #[test]
    fn lies_are_found_out() {
        let one = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
        let empty = r#"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
        for (bytes, problem) in [
            (file(&format!(r#"{{"a":{one}}}"#), 3), "not fully covered"),
            (file(&format!(r#"{{"a":{one},"b":{one}}}"#), 4), "offset"),
            (file(&format!(r#"{{"a":{empty},"a":{empty}}}"#), 0), "tensor \"a\" is listed twice"),
            (file(r#"{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#, 8), "tensor \"a\": is stored as I64"),
            (u64::MAX.to_le_bytes().to_vec(), "header"),
            (file("\u{0}", 0), "header"),
            (Vec::new(), "header"),
        ] {
            let message = listed(&bytes, "f").err().unwrap().to_string();
            assert!(message.starts_with('f') && message.contains(problem), "{problem}: {message}");
        }
    }
}
