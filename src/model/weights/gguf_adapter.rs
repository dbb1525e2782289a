//! Adapters as GGUF files.
//!
//! Keys and names: `convert_lora_to_gguf.py` and `src/llama-adapter.cpp` of llama.cpp.

use std::path::Path;

use super::checkpoint::Checkpoint;
use super::gguf_field::{Field, NewMetadata};
use super::gguf_names::rotary_rows;
use super::gguf_writer::write_file;
use super::new_tensor::NewTensor;
use super::{Dtype, gguf_config, gguf_names};
use crate::Result;
use crate::model::lora::LoraConfig;

impl Checkpoint {
    /// Writes the adapters of this checkpoint alone as a GGUF file, as llama.cpp loads it beside their base model (`--lora`):
    /// a pair of matrices per linear layer, B with the rows of the layer in llama.cpp's order. It knows only
    /// alpha over the rank as a scale, so alpha is written as if it were.
    pub(in crate::model) fn write_gguf_adapter(&self, adapter: &LoraConfig, path: &Path) -> Result<()> {
        let config = self.config();
        let (metadata, _) = gguf_config::metadata(config, &self.path().display().to_string())?;
        let text = |key: &str, value: &str| (key.to_owned(), Field::Text(value.to_owned()));
        let mut kept: NewMetadata = metadata.into_iter().filter(|(key, _)| key == gguf_config::ARCHITECTURE).collect();
        let alpha = adapter.scale() * adapter.rank as f32;
        kept.extend([text("general.type", "adapter"), text("adapter.type", "lora")]);
        kept.push(("adapter.lora.alpha".into(), Field::F32(alpha)));
        let sources = adapter.tensors(config);
        let listed: Vec<NewTensor> = sources
            .iter()
            .map(|spec| {
                let (layer, which) = parts(&spec.name);
                let name = format!("{}.{}", gguf_names::to_gguf(&format!("{layer}.weight")), which.to_lowercase());
                NewTensor { name, shape: spec.shape.clone(), dtype: Dtype::F32 }
            })
            .collect();
        write_file(path, &kept, &listed, |i| {
            let (layer, which) = parts(&sources[i].name);
            let values = self.read_finite(&sources[i].name)?;
            let rows = rotary_rows(&format!("{layer}.weight"), config).filter(|_| which == "lora_B");
            let values = rows.map_or_else(|| values.clone(), |rows| rows.join_pairs(&values));
            Ok(listed[i].encode(&values, path)?.into())
        })
    }
}

/// The linear layer of a matrix of its adapter, and which of both it is: `lora_A` or `lora_B`.
fn parts(name: &str) -> (&str, &str) {
    let module = name.trim_end_matches(".weight");
    module.rsplit_once('.').unwrap_or((module, ""))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use serde_json::json;

    use super::super::gguf;
    use super::*;
    use crate::model::Family;
    use crate::model::convert::{Format, adapter_to_gguf, convert, merge};
    use crate::model::lora::{LoraSettings, NewAdapter, write_adapter};
    use crate::model::tiny::Tiny;

    const RANK: usize = 2;

    /// Alpha, if the file has one, and every tensor by its name in the file.
    fn read(tiny: &Tiny, name: &str) -> (Option<f64>, BTreeMap<String, Vec<f32>>) {
        let bytes = fs::read(tiny.path(name)).unwrap();
        let (metadata, entries) = gguf::header(&bytes, name).unwrap();
        let alpha = metadata.number("adapter.lora.alpha").unwrap();
        let tensors = entries.into_iter().map(|entry| (entry.name, entry.info.dtype.decode(&bytes[entry.range])));
        (alpha, tensors.collect())
    }

    /// Base + alpha / rank · B · A, in the order of the files, is the merged model.
    #[test]
    fn an_adapter_beside_its_base_is_the_merged_model() {
        for (family, rslora) in
            [(Family::Llama, true), (Family::Mistral, false), (Family::Qwen2, false), (Family::Qwen3, true)]
        {
            let tiny = Tiny::new(family, json!({}), Dtype::F32);
            let settings = LoraSettings { lora_rank: Some(RANK), lora_rslora: rslora, ..LoraSettings::default() };
            let lora = settings.resolve().unwrap().unwrap();
            let base = tiny.open();
            let adapter = NewAdapter {
                config: &lora.config,
                base: base.base_name(),
                tensors: lora.config.tensors(base.config()),
                files: vec![],
            };
            let values = |name: &str| {
                let spec = adapter.tensors.iter().find(|spec| spec.name == name).unwrap();
                let seed: usize = name.bytes().map(usize::from).sum();
                (0..spec.shape.iter().product()).map(|i| ((seed + i * 5) % 17) as f32 / 16.0 - 0.5).collect()
            };
            write_adapter(&tiny.path("adapter"), &adapter, |name| Ok(values(name))).unwrap();
            convert(&tiny.source(), &tiny.path("base.gguf"), None, Format::Gguf).unwrap();
            merge(&tiny.named("adapter"), &tiny.path("merged.gguf"), None, Format::Gguf).unwrap();
            adapter_to_gguf(&tiny.named("adapter"), &tiny.path("adapter.gguf")).unwrap();

            let [(_, base), (_, merged), (alpha, pairs)] =
                ["base.gguf", "merged.gguf", "adapter.gguf"].map(|name| read(&tiny, name));
            assert_eq!(pairs.len(), 2 * 2 * 7, "{:?}", pairs.keys());
            let scale = alpha.unwrap() as f32 / RANK as f32;
            for (name, weight) in &base {
                let Some(a) = pairs.get(&format!("{name}.lora_a")) else {
                    assert_eq!(weight, &merged[name], "{name}");
                    continue;
                };
                let (b, columns) = (&pairs[&format!("{name}.lora_b")], a.len() / RANK);
                for (i, value) in weight.iter().enumerate() {
                    let (row, column) = (i / columns, i % columns);
                    let product: f32 = (0..RANK).map(|k| b[row * RANK + k] * a[k * columns + column]).sum();
                    let (adapted, expected) = (value + scale * product, merged[name][i]);
                    assert!((adapted - expected).abs() < 1e-5, "{name} {i}: {adapted}, not {expected}");
                }
            }
        }
    }

    #[test]
    fn only_adapters_are_written_so() {
        let tiny = Tiny::new(Family::Llama, json!({}), Dtype::F32);
        let message = adapter_to_gguf(&tiny.source(), &tiny.path("adapter.gguf")).unwrap_err().to_string();
        assert!(message.contains("is not an adapter"), "{message}");
    }
}
