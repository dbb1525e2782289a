//! A GGUF file with the adapters on it merged into its weights: only the tensors that change are rounded to blocks anew.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::checkpoint::Checkpoint;
use super::gguf::Metadata;
use super::gguf_field::{Field, NewMetadata};
use super::gguf_split::{self, Part};
use super::gguf_writer::write_file;
use super::new_tensor::NewTensor;
use super::{Dtype, Entry, gguf_config, gguf_names};
use crate::{Error, Result};

/// The name of the score head.
const HEAD: &str = "score.weight";
/// Tensors are aligned as usual in the new file, which is not split.
const LAYOUT_KEYS: [&str; 4] = ["general.alignment", "split.no", "split.count", "split.tensors.count"];

/// What merging changed in a GGUF file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Merged {
    /// Tensors with adapters, by the type that they are stored as.
    pub changed: Vec<MergedWeights>,
    /// All of these.
    pub total: MergedWeights,
    /// Tensors whose bytes are those of the base model.
    pub unchanged: usize,
}

/// How far the stored weights of some tensors are from those that were merged in f32. Errors are root mean squares over
/// that of the merged weights.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MergedWeights {
    /// The type that they are stored as; `all` for those of several.
    pub stored_as: String,
    /// Number of tensors.
    pub tensors: usize,
    /// What the adapters add, measured in the same way.
    pub adapter: f64,
    /// The share of it that the stored weights have moved along: 1 where types are fine enough, near 0 where adapters add
    /// less than half of the step between numbers, so that values fall back to where they were.
    pub kept: f64,
    /// The error of storing the merged weights.
    pub error: f64,
    /// The error that the base model's own blocks are expected to have: that of values spread evenly between the numbers
    /// that the blocks can hold. Absent for types without blocks and for `MXFP4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_error: Option<f64>,
}

/// Sums of squares over some tensors.
#[derive(Debug, Clone, Copy)]
struct Squares {
    tensors: usize,
    weights: f64,
    adapter: f64,
    /// The product of what the adapters add and by how much the stored weights moved.
    moved: f64,
    error: f64,
    base_error: Option<f64>,
}

impl Squares {
    const NONE: Self = Self { tensors: 0, weights: 0.0, adapter: 0.0, moved: 0.0, error: 0.0, base_error: Some(0.0) };

    /// Those of one tensor: its blocks before and after, and the merged values.
    fn of(dtype: Dtype, before: &[u8], columns: usize, merged: &[f32], after: &[u8]) -> Self {
        let (old, new) = (dtype.decode(before), dtype.decode(after));
        let product = |a: &[f32], b: &[f32], c: &[f32], d: &[f32]| -> f64 {
            let differences = a.iter().zip(b).zip(c.iter().zip(d));
            differences.map(|((a, b), (c, d))| f64::from(a - b) * f64::from(c - d)).sum()
        };
        Self {
            tensors: 1,
            weights: merged.iter().map(|value| f64::from(*value).powi(2)).sum(),
            adapter: product(merged, &old, merged, &old),
            moved: product(merged, &old, &new, &old),
            error: product(merged, &new, merged, &new),
            base_error: match dtype {
                Dtype::Quantized(kind) => kind.rounding(before, columns),
                _ => None,
            },
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            tensors: self.tensors + other.tensors,
            weights: self.weights + other.weights,
            adapter: self.adapter + other.adapter,
            moved: self.moved + other.moved,
            error: self.error + other.error,
            base_error: self.base_error.zip(other.base_error).map(|(a, b)| a + b),
        }
    }

    fn named(self, stored_as: String) -> MergedWeights {
        let relative = |squares: f64| if squares == 0.0 { 0.0 } else { (squares / self.weights).sqrt() };
        MergedWeights {
            stored_as,
            tensors: self.tensors,
            adapter: relative(self.adapter),
            kept: if self.adapter == 0.0 { 1.0 } else { self.moved / self.adapter },
            error: relative(self.error),
            base_error: self.base_error.map(relative),
        }
    }
}

impl Checkpoint {
    /// Writes the GGUF file under the adapters of this checkpoint as one file with these merged in: every tensor keeps its
    /// place and type, those without adapters their bytes, and metadata its order. `changes` and the metadata of
    /// the score head are put in the place of that with the same keys, or behind it; a head of the adapters is stored in f32.
    ///
    /// # Errors
    /// The model is not a GGUF file; a value is missing, not finite or too large for its type; I/O.
    pub(in crate::model) fn write_merged_gguf(&self, path: &Path, mut changes: NewMetadata) -> Result<Merged> {
        changes.extend(gguf_config::head_metadata(self.config()));
        let base = self.gguf().ok_or_else(|| Error::input(self.base_name(), "is not a GGUF file", ""))?;
        let (metadata, parts) = gguf_split::open(base)?;
        let entries: Vec<(&Entry, &[u8])> = parts
            .iter()
            .flat_map(|part| part.entries.iter().map(|entry| (entry, &part.file[entry.range.clone()])))
            .collect();
        let mut tensors: Vec<NewTensor> = entries.iter().map(|(entry, _)| (*entry).into()).collect();
        let head = self.new_head(&entries)?;
        if let Some((head, _)) = &head {
            tensors.retain(|tensor| tensor.name != head.name);
            tensors.push(head.clone());
        }
        let adapts = |layer: &str| self.adapter().is_some_and(|adapter| adapter.config.adapts(layer));
        let mut changed: BTreeMap<String, Squares> = BTreeMap::new();
        write_file(path, &metadata_with(changes, &metadata, &parts[0]), &tensors, |i| {
            let tensor = &tensors[i];
            if let Some((_, values)) = head.as_ref().filter(|(head, _)| head.name == tensor.name) {
                return Ok(tensor.encode(values, path)?.into());
            }
            let bytes = entries.iter().find(|(entry, _)| entry.name == tensor.name).map_or(&[][..], |(_, bytes)| bytes);
            let name = gguf_names::from_gguf(&tensor.name);
            if !adapts(name.trim_end_matches(".weight")) {
                return Ok(Cow::Borrowed(bytes));
            }
            let merged = self.read_joined(&name)?;
            let stored = tensor.encode(&merged, path)?;
            let squares = Squares::of(tensor.dtype, bytes, tensor.shape[1], &merged, &stored);
            if !squares.error.is_finite() {
                let at = format!("{}: tensor {:?}", base.display(), tensor.name);
                let problem = format!("with its adapter has values that are not finite in {}", tensor.dtype);
                return Err(Error::input(at, problem, "the adapter or the model is damaged, or pass `.dtype` bf16"));
            }
            let kind = changed.entry(tensor.dtype.to_string()).or_insert(Squares::NONE);
            *kind = kind.and(squares);
            Ok(stored.into())
        })?;
        let total = changed.values().fold(Squares::NONE, |total, kind| total.and(*kind));
        Ok(Merged {
            unchanged: tensors.len() - total.tensors - usize::from(head.is_some()),
            changed: changed.into_iter().map(|(dtype, kind)| kind.named(dtype)).collect(),
            total: total.named("all".into()),
        })
    }

    /// The score head as a tensor and its values, where it is not that of the file.
    fn new_head(&self, entries: &[(&Entry, &[u8])]) -> Result<Option<(NewTensor, Vec<f32>)>> {
        let Some(info) = self.info(HEAD) else { return Ok(None) };
        let (name, values) = (gguf_names::to_gguf(HEAD), self.read_finite(HEAD)?);
        let old = entries.iter().find(|(entry, _)| entry.name == name);
        let is_old = old.is_some_and(|(entry, bytes)| entry.info.dtype.decode(bytes) == values);
        let new = NewTensor { name, shape: info.shape.clone(), dtype: Dtype::F32 };
        Ok((!is_old).then_some((new, values)))
    }
}

/// The metadata of a file with `changes`.
fn metadata_with(changes: NewMetadata, metadata: &Metadata, first: &Part) -> NewMetadata {
    let mut changes: Vec<Option<(String, Field)>> = changes.into_iter().map(Some).collect();
    let mut kept: NewMetadata = vec![];
    for (key, place) in metadata.stored().iter().filter(|(key, _)| !LAYOUT_KEYS.contains(&key.as_str())) {
        let change = changes.iter_mut().find(|change| change.as_ref().is_some_and(|(other, _)| other == key));
        let stored = || (key.clone(), Field::Stored(first.file[place.clone()].to_vec()));
        kept.push(change.and_then(Option::take).unwrap_or_else(stored));
    }
    kept.extend(changes.into_iter().flatten());
    kept
}

impl fmt::Display for Merged {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "merged into {} tensors; {} are as in the base model", self.total.tensors, self.unchanged)?;
        let total = (self.changed.len() > 1).then_some(&self.total);
        for (i, kind) in self.changed.iter().chain(total).enumerate() {
            write!(f, "{}{kind}", if i > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for MergedWeights {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        write!(f, "{} ({} tensors): ", self.stored_as, self.tensors)?;
        write!(
            f,
            "adapters add {} of the weights, of which {:.0} % are kept",
            percent(self.adapter),
            100.0 * self.kept
        )?;
        write!(f, "; error {}", percent(self.error))?;
        match self.base_error {
            Some(base) => write!(f, " (that of the base model about {})", percent(base)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;

    use serde_json::json;

    use super::super::gguf;
    use super::super::gguf_writer::with_types;
    use super::super::quantized::GgmlType;
    use super::*;
    use crate::model::Family;
    use crate::model::convert::{Format, adapter_to_gguf, convert, merge};
    use crate::model::lora::{LoraSettings, NewAdapter, write_adapter};
    use crate::model::tiny::Tiny;

    const RANK: usize = 2;

    fn types(name: &str) -> Dtype {
        let quantized = |kind| Dtype::Quantized(kind);
        match name.rsplit('.').nth(1).unwrap() {
            "token_embd" | "ffn_down" => quantized(GgmlType::Q6_K),
            "attn_q" | "ffn_gate" => quantized(GgmlType::Q4_K),
            "attn_k" => quantized(GgmlType::Q8_0),
            "attn_v" => quantized(GgmlType::Q4_1),
            "ffn_up" => quantized(GgmlType::Q5_K),
            _ => Dtype::F16,
        }
    }

    /// A model in blocks of several types at `base.gguf`, and adapters on some of its layers in `adapter`.
    fn model(family: Family) -> Tiny {
        let sizes = json!({"hidden_size": 256, "intermediate_size": 256, "tie_word_embeddings": true});
        let tiny = Tiny::new(family, sizes, Dtype::F32);
        convert(&tiny.source(), &tiny.path("wide.gguf"), None, Format::Gguf).unwrap();
        with_types(&tiny.path("wide.gguf"), &tiny.path("base.gguf"), types);
        let targets = ["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"].map(str::to_owned).to_vec();
        let settings = LoraSettings { lora_rank: Some(RANK), lora_targets: targets, ..LoraSettings::default() };
        let lora = settings.resolve().unwrap().unwrap();
        let base = Checkpoint::open(&tiny.named("base.gguf")).unwrap();
        let tensors = lora.config.tensors(base.config());
        let shapes: HashMap<_, _> = tensors.iter().map(|spec| (spec.name.clone(), spec.shape.clone())).collect();
        let adapter = NewAdapter { config: &lora.config, base: base.base_name(), tensors, files: vec![] };
        let values = |name: &str| {
            let seed: usize = name.bytes().map(usize::from).sum();
            (0..shapes[name].iter().product()).map(|i| ((seed + i * 5) % 17) as f32 / 160.0 - 0.05).collect()
        };
        write_adapter(&tiny.path("adapter"), &adapter, |name| Ok(values(name))).unwrap();
        tiny
    }

    type Tensors = Vec<(String, Dtype, Vec<u8>)>;

    fn read(tiny: &Tiny, name: &str) -> (Metadata, Tensors) {
        let bytes = fs::read(tiny.path(name)).unwrap();
        let (metadata, entries) = gguf::header(&bytes, name).unwrap();
        let content = |entry: Entry| (entry.name, entry.info.dtype, bytes[entry.range].to_vec());
        (metadata, entries.into_iter().map(content).collect())
    }

    #[test]
    fn tensors_with_adapters_are_rounded_anew_and_all_others_keep_their_bytes() {
        for family in [Family::Llama, Family::Qwen3] {
            let tiny = model(family);
            let (_, report) = merge(&tiny.named("adapter"), &tiny.path("merged.gguf"), None, Format::Gguf).unwrap();
            adapter_to_gguf(&tiny.named("adapter"), &tiny.path("adapter.gguf")).unwrap();
            let [(base_metadata, base), (metadata, merged), (adapter, pairs)] =
                ["base.gguf", "merged.gguf", "adapter.gguf"].map(|name| read(&tiny, name));
            let keys = |metadata: &Metadata| metadata.stored().iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
            assert_eq!(keys(&metadata), keys(&base_metadata));
            assert!(keys(&metadata).iter().all(|key| metadata.value(key) == base_metadata.value(key)));
            let pairs: HashMap<_, _> =
                pairs.into_iter().map(|(name, dtype, bytes)| (name, dtype.decode(&bytes))).collect();
            let scale = adapter.number("adapter.lora.alpha").unwrap().unwrap() as f32 / RANK as f32;
            let mut changed = 0;
            assert_eq!(base.len(), merged.len());
            for ((name, dtype, before), after) in base.iter().zip(&merged) {
                assert_eq!((name, dtype), (&after.0, &after.1));
                let Some(a) = pairs.get(&format!("{name}.lora_a")) else {
                    assert_eq!(before, &after.2, "{name}");
                    continue;
                };
                let (b, columns) = (&pairs[&format!("{name}.lora_b")], a.len() / RANK);
                let mut values = dtype.decode(before);
                for (i, value) in values.iter_mut().enumerate() {
                    let (row, column) = (i / columns, i % columns);
                    (0..RANK).for_each(|k| *value += scale * b[row * RANK + k] * a[k * columns + column]);
                }
                assert_ne!(before, &after.2, "{name}");
                assert_eq!(dtype.encode(&values).unwrap(), after.2, "{name}");
                changed += 1;
            }
            let report = report.unwrap();
            assert_eq!((report.total.tensors, report.unchanged), (changed, base.len() - changed));
            let kinds: Vec<_> = report.changed.iter().map(|kind| (kind.stored_as.as_str(), kind.tensors)).collect();
            assert_eq!(kinds, [("F16", 2), ("Q4_1", 2), ("Q4_K", 2), ("Q6_K", 2), ("Q8_0", 2)]);
            for kind in &report.changed {
                assert!(
                    kind.adapter > 0.005 && kind.error > 0.0 && kind.error < kind.base_error.unwrap_or(1.0),
                    "{kind}"
                );
                // What the adapters add is less than half of the steps of 4 bits, and more than those of 8 and 16.
                let is_fine = ["F16", "Q8_0"].contains(&kind.stored_as.as_str());
                assert!(if is_fine { kind.kept > 0.8 } else { kind.kept < 1.2 }, "{kind}");
                assert!(kind.stored_as != "Q4_1" || kind.kept < 0.2, "{kind}");
            }
        }
    }
}
