//! 4-bit weights as bitsandbytes saves them: the NF4 and FP4 of QLoRA (arXiv 2305.14314).
//!
//! In place of a tensor `NAME` there are `NAME` packed, two values per byte and the first in the high half;
//! `NAME.quant_map`, the value of each of the sixteen numbers; `NAME.absmax`, the factor of each block; and
//! `NAME.quant_state.bitsandbytes__nf4` or `…fp4`, a JSON text with the shape, the size of a block and the type of the
//! values. With double quantization a factor is a byte, and stands for
//! `nested_quant_map[byte] · nested_absmax[block of bytes] + nested_offset`.

use std::collections::BTreeMap;
use std::ops::Range;

use half::{bf16, f16};
use serde::Deserialize;

use super::Dtype;

/// What precedes the kind in the name of a tensor's description.
const STATE: &str = ".quant_state.bitsandbytes__";

/// Bytes of a file, by its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) range: Range<usize>,
}

/// What a packed tensor needs beside its own bytes.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) shape: Vec<usize>,
    /// Values of that shape.
    count: usize,
    /// The type of the values, to which each is rounded.
    pub(super) dtype: Dtype,
    block: usize,
    map: Place,
    absmax: Place,
    nested: Option<Nested>,
}

/// Double quantization of the factors.
#[derive(Debug)]
struct Nested {
    block: usize,
    offset: f32,
    map: Place,
    absmax: Place,
}

/// The JSON text.
#[derive(Debug, Deserialize)]
struct State {
    quant_type: String,
    blocksize: usize,
    dtype: String,
    shape: Vec<usize>,
    nested_blocksize: Option<usize>,
    nested_offset: Option<f32>,
}

/// The tensors that a description belongs to, and their kind: `nf4` or `fp4`.
pub(super) fn described(names: impl Iterator<Item = impl AsRef<str>>) -> Vec<(String, String)> {
    let split = |name: &str| name.split_once(STATE).map(|(tensor, kind)| (tensor.to_owned(), kind.to_owned()));
    names.filter_map(|name| split(name.as_ref())).collect()
}

impl Packed {
    /// Takes the companions of `tensor` out of `parts`, and compares their sizes with the description.
    ///
    /// # Errors
    /// In words, what is missing or does not fit.
    pub(super) fn take(
        (tensor, kind): (&str, &str),
        parts: &mut BTreeMap<String, Place>,
        bytes: impl Fn(&Place) -> Vec<u8>,
    ) -> Result<Self, String> {
        let mut part = |name: &str| {
            let name = format!("{tensor}.{name}");
            parts.remove(&name).ok_or_else(|| format!("{name} is missing"))
        };
        let state = bytes(&part(&format!("{}{kind}", &STATE[1..]))?);
        let state: State =
            serde_json::from_slice(&state).map_err(|e| format!("its description cannot be read: {e}"))?;
        if !["nf4", "fp4"].contains(&&*state.quant_type) {
            return Err(format!("its kind is {:?}, and nf4 and fp4 are read", state.quant_type));
        }
        let dtype = match &*state.dtype {
            "float32" => Dtype::F32,
            "float16" => Dtype::F16,
            "bfloat16" => Dtype::BF16,
            other => return Err(format!("the type of its values is {other:?}")),
        };
        let nested = match (state.nested_blocksize, state.nested_offset) {
            (Some(block), Some(offset)) => {
                Some(Nested { block, offset, map: part("nested_quant_map")?, absmax: part("nested_absmax")? })
            }
            (None, None) => None,
            _ => return Err("its description has only half of double quantization".into()),
        };
        let count = state.shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        let packed = Self {
            count: count.ok_or("its shape overflows")?,
            shape: state.shape,
            dtype,
            block: state.blocksize,
            map: part("quant_map")?,
            absmax: part("absmax")?,
            nested,
        };
        packed.check()?;
        Ok(packed)
    }

    fn check(&self) -> Result<(), String> {
        let blocks = |count: usize, block: usize| if block == 0 { None } else { Some(count.div_ceil(block)) };
        let factors = blocks(self.count, self.block).ok_or("its blocks are empty")?;
        let mut sizes = vec![("quant_map", &self.map, 4 * 16)];
        match &self.nested {
            None => sizes.push(("absmax", &self.absmax, 4 * factors)),
            Some(nested) => {
                let groups = blocks(factors, nested.block).ok_or("the blocks of its factors are empty")?;
                sizes.push(("absmax", &self.absmax, factors));
                sizes.push(("nested_quant_map", &nested.map, 4 * 256));
                sizes.push(("nested_absmax", &nested.absmax, 4 * groups));
            }
        }
        match sizes.into_iter().find(|(_, place, bytes)| place.range.len() != *bytes) {
            Some((name, place, bytes)) => Err(format!("its {name} has {} bytes, not {bytes}", place.range.len())),
            None => Ok(()),
        }
    }

    /// Bytes of the values, packed.
    pub(super) fn bytes(&self) -> usize {
        self.count.div_ceil(2)
    }

    /// The values, rounded to their type.
    pub(super) fn values<'a>(&self, packed: &[u8], bytes: impl Fn(&Place) -> &'a [u8]) -> Vec<f32> {
        let floats = |place: &Place| -> Vec<f32> {
            bytes(place).as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        };
        let factors = match &self.nested {
            None => floats(&self.absmax),
            Some(nested) => {
                let (map, absmax) = (floats(&nested.map), floats(&nested.absmax));
                let factor =
                    |(i, byte): (usize, &u8)| map[usize::from(*byte)] * absmax[i / nested.block] + nested.offset;
                bytes(&self.absmax).iter().enumerate().map(factor).collect()
            }
        };
        let map = floats(&self.map);
        let halves = packed.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let value = |(i, number): (usize, u8)| map[usize::from(number)] * factors[i / self.block];
        halves.take(self.count).enumerate().map(|place| rounded(value(place), self.dtype)).collect()
    }
}

fn rounded(value: f32, dtype: Dtype) -> f32 {
    match dtype {
        Dtype::F16 => f16::from_f32(value).to_f32(),
        Dtype::BF16 => bf16::from_f32(value).to_f32(),
        Dtype::F32 | Dtype::Quantized(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype as StoredDtype, SafeTensors, TensorView};
    use serde_json::json;

    use super::super::tensors::Tensors;
    use super::*;

    /// `tests/golden/four_bit.py` writes it.
    const GOLDEN: &[u8] = include_bytes!("../../../tests/golden/four_bit.safetensors");
    const TENSORS: [&str; 4] = ["usual", "plain", "fp4", "sharded"];

    /// Writes some tensors of the golden file as a model's, and opens it.
    fn opened(change: impl Fn(&str, &mut Vec<u8>) -> bool) -> crate::Result<Tensors> {
        let file = SafeTensors::deserialize(GOLDEN).unwrap();
        let mut kept = vec![];
        for (name, view) in file.tensors() {
            let (mut data, shape) = (view.data().to_vec(), view.shape().to_vec());
            if name.ends_with(".values") || !change(&name, &mut data) {
                continue;
            }
            let value = view.data().len() / shape.iter().product::<usize>();
            let shape = if data.len() == view.data().len() { shape } else { vec![data.len() / value] };
            kept.push((name, view.dtype(), shape, data));
        }
        let views =
            kept.iter().map(|(name, dtype, shape, data)| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
        let folder = tempfile::tempdir().unwrap();
        safetensors::serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
        Tensors::of_directory(folder.path())
    }

    #[test]
    fn values_are_those_of_the_description() {
        let file = SafeTensors::deserialize(GOLDEN).unwrap();
        let tensors = opened(|_, _| true).unwrap();
        assert_eq!(tensors.names().collect::<Vec<_>>(), ["fp4", "plain", "sharded", "usual"]);
        assert_eq!(tensors.packed(), 4);
        for name in TENSORS {
            let view = file.tensor(&format!("{name}.values")).unwrap();
            let dtype = match view.dtype() {
                StoredDtype::F16 => Dtype::F16,
                StoredDtype::BF16 => Dtype::BF16,
                _ => Dtype::F32,
            };
            let info = tensors.info(name).unwrap();
            assert_eq!((info.dtype, &*info.shape), (dtype, view.shape()), "{name}");
            assert_eq!(tensors.read_f32(name).unwrap(), dtype.decode(view.data()), "{name}");
            if dtype != Dtype::F32 {
                let bits: Vec<u16> = view.data().as_chunks().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
                assert_eq!(tensors.read_16(name).unwrap(), bits, "{name}");
            }
        }
        assert!(!tensors.are_equal("usual", "sharded").unwrap() && tensors.are_equal("usual", "usual").unwrap());
    }

    #[test]
    fn what_does_not_fit_is_said_with_the_name_of_the_tensor() {
        let without = |part: &'static str| opened(move |name, _| name != part);
        let cut = |part: &'static str| {
            opened(move |name, data| {
                data.truncate(if name == part { data.len() - 4 } else { data.len() });
                true
            })
        };
        let described = |change: fn(&mut serde_json::Value)| {
            opened(move |name, data| {
                if name == "usual.quant_state.bitsandbytes__nf4" {
                    let mut state = serde_json::from_slice(data).unwrap();
                    change(&mut state);
                    *data = serde_json::to_vec(&state).unwrap();
                }
                true
            })
        };
        for (result, problem) in [
            (without("usual"), "\"usual\": is missing"),
            (without("usual.absmax"), "usual.absmax is missing"),
            (without("usual.nested_quant_map"), "usual.nested_quant_map is missing"),
            (without("usual.quant_state.bitsandbytes__nf4"), "is stored as U8"),
            (cut("usual"), "\"usual\": has 8315 bytes, and its shape needs 8319"),
            (cut("plain.absmax"), "its absmax has 28 bytes, not 32"),
            (cut("usual.nested_absmax"), "its nested_absmax has 4 bytes, not 8"),
            (described(|state| state["blocksize"] = json!(0)), "its blocks are empty"),
            (described(|state| state["shape"] = json!([usize::MAX, 3])), "its shape overflows"),
            (described(|state| state["dtype"] = json!("int8")), "the type of its values is \"int8\""),
            (described(|state| state["quant_type"] = json!("nf5")), "its kind is \"nf5\""),
            (described(|state| state["nested_offset"] = json!(null)), "only half of double quantization"),
            (described(|state| *state = json!([])), "its description cannot be read"),
        ] {
            let message = result.err().unwrap().to_string();
            assert!(
                message.contains(problem) && message.contains("usual") | message.contains("plain"),
                "{problem}: {message}"
            );
        }
    }
}
