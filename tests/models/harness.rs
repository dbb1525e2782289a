//! Golden files and models to compare with them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use wgr::data::Packed;
use wgr::gpu::{AdapterChoice, Gpu, Limits, Mode, Options};
use wgr::model::Checkpoint;
use wgr::model::activations::Checkpointing;
use wgr::model::batch::Capacity;
use wgr::model::classifier::Loading;
use wgr::model::parameter::Holding;
use wgr::objective::Objective;
use wgr::optimizer::AdamWConfig;
use wgr::train::Stepper;

pub(crate) use crate::fetched::fetched;

/// The tiny models of `tests/golden/models.py`.
pub(crate) const MODELS: [&str; 4] = ["llama", "qwen2", "qwen3", "mistral"];

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

pub(crate) fn open(mode: Mode, limits: Option<Limits>) -> Gpu {
    open_with(Options { mode, limits, ..Options::default() })
}

pub(crate) fn open_with(options: Options) -> Gpu {
    pollster::block_on(Gpu::open_with(&AdapterChoice::default(), options)).expect("the tests need an adapter")
}

/// The tensors of `golden.safetensors`, widened.
pub(crate) struct Golden {
    floats: HashMap<String, Vec<f32>>,
    integers: HashMap<String, Vec<u32>>,
}

impl Golden {
    pub(crate) fn read(name: &str) -> Self {
        Self::read_file(&folder(name).join("golden.safetensors"))
    }

    pub(crate) fn read_file(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let (mut floats, mut integers) = (HashMap::new(), HashMap::new());
        for (name, view) in tensors.tensors() {
            match view.dtype() {
                safetensors::Dtype::F32 => drop(floats.insert(name, bytemuck::pod_collect_to_vec(view.data()))),
                _ => drop(integers.insert(name, bytemuck::pod_collect_to_vec(view.data()))),
            }
        }
        Self { floats, integers }
    }

    pub(crate) fn floats(&self, name: &str) -> &[f32] {
        &self.floats[name]
    }

    pub(crate) fn integers(&self, name: &str) -> &[u32] {
        &self.integers[name]
    }

    pub(crate) fn batch(&self) -> Packed {
        let labels = self.integers["labels"].iter().map(|label| *label as f32).collect();
        Packed { tokens: self.integers["ids"].clone(), offsets: self.integers["offsets"].clone(), labels }
    }

    pub(crate) fn capacity(&self) -> Capacity {
        let offsets = &self.integers["offsets"];
        let length = offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap() as usize;
        Capacity { tokens: self.integers["ids"].len(), sequences: offsets.len() - 1, length }
    }
}

pub(crate) fn loading(capacity: Capacity, holding: Holding, checkpointing: Checkpointing) -> Loading {
    Loading { holding, checkpointing, logits: 3, new_head: false, biases: vec![], lora: None, seed: 1, capacity }
}

pub(crate) fn stepper(
    gpu: &Gpu,
    name: &str,
    capacity: Capacity,
    holding: Holding,
    checkpointing: Checkpointing,
) -> Stepper {
    let checkpoint = Checkpoint::open(&folder(name).display().to_string()).unwrap();
    let loading = loading(capacity, holding, checkpointing);
    Stepper::new(gpu, &checkpoint, &loading, Objective::Ordinal, 4, AdamWConfig::default(), 4).unwrap()
}

/// Largest difference over the largest value.
#[track_caller]
pub(crate) fn assert_close(what: &str, actual: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(actual.len(), expected.len(), "{what}: length");
    let scale = expected.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let worst = actual.iter().zip(expected).map(|(a, e)| (a - e).abs()).fold(0.0, f32::max) / scale;
    assert!(worst <= tolerance, "{what}: off by {worst:.2e} of the largest value, more than {tolerance:.0e}");
}
