//! The header of a safetensors file.
//!
//! The `safetensors` crate checks lengths, offsets and overlaps; what it lets pass and a checkpoint must not have is
//! caught here: a name given twice, and number formats the engine does not read.

use std::collections::HashSet;
use std::fmt;

use safetensors::tensor::{Dtype as StoredDtype, SafeTensors};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::{Dtype, Entry, TensorInfo};
use crate::{Error, Result};

/// Lists the tensors of the file `bytes`, found at `at`.
pub(super) fn entries(bytes: &[u8], at: &str) -> Result<Vec<Entry>> {
    let hint = "the file is damaged or was not downloaded completely";
    let (header, metadata) =
        SafeTensors::read_metadata(bytes).map_err(|error| Error::input(at, error.to_string(), hint))?;
    let start = header + size_of::<u64>();
    serde_json::from_slice::<DistinctNames>(&bytes[size_of::<u64>()..start])
        .map_err(|error| Error::input(at, error.to_string(), hint))?;
    let mut entries = Vec::new();
    for (name, info) in metadata.tensors() {
        let dtype = match info.dtype {
            StoredDtype::F32 => Dtype::F32,
            StoredDtype::F16 => Dtype::F16,
            StoredDtype::BF16 => Dtype::BF16,
            other => {
                let problem = format!("is stored as {other:?}");
                return Err(Error::input(format!("{at}: tensor {name:?}"), problem, "wgr reads F32, F16 and BF16"));
            }
        };
        let (from, to) = info.data_offsets;
        entries.push(Entry {
            name,
            info: TensorInfo { shape: info.shape.clone(), dtype },
            range: start + from..start + to,
        });
    }
    Ok(entries)
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
