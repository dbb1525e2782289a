//! Where the values of a tensor lie in a safetensors file.

use std::ops::Range;

use serde_json::Value;

/// The bytes of a tensor within those of its file.
pub(crate) fn range(file: &[u8], tensor: &str) -> Range<usize> {
    let data = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..data]).unwrap();
    let offset = |end: usize| data + header[tensor]["data_offsets"][end].as_u64().unwrap() as usize;
    offset(0)..offset(1)
}
