//! One training step of a small decoder: 4 layers, width 256, 8 query and 4 key/value heads, SwiGLU of 768, 4 x 128
//! tokens, in f32 and mixed precision. On software adapters that list cooperative matrices, also with the kernels for GPUs,
//! which use them. Throughput is in tokens.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use wgr::data::Packed;
use wgr::gpu::{AdapterChoice, Dtype, Gpu, Options, Preset};
use wgr::model::Checkpoint;
use wgr::model::activations::Checkpointing;
use wgr::model::batch::Capacity;
use wgr::model::classifier::Loading;
use wgr::model::parameter::Holding;
use wgr::objective::Objective;
use wgr::optimizer::AdamWConfig;
use wgr::train::Stepper;

const VOCAB: u32 = 8192;
const SEQUENCES: u32 = 4;
const LENGTH: u32 = 128;

/// A model that exists only as a configuration; its weights are drawn.
fn checkpoint() -> Checkpoint {
    let config = json!({
        "architectures": ["LlamaForSequenceClassification"], "model_type": "llama", "vocab_size": VOCAB,
        "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4, "num_attention_heads": 8,
        "num_key_value_heads": 4, "head_dim": 32, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "num_labels": 3,
        "max_position_embeddings": LENGTH, "bos_token_id": 1, "eos_token_id": 2,
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("config.json");
    std::fs::write(&path, config.to_string()).expect("the folder takes a small file");
    Checkpoint::open(&path.display().to_string()).expect("the configuration is supported")
}

fn batch() -> Packed {
    Packed {
        tokens: (0..SEQUENCES * LENGTH).map(|i| 3 + i * 7919 % (VOCAB - 3)).collect(),
        offsets: (0..=SEQUENCES).map(|i| i * LENGTH).collect(),
        labels: (0..SEQUENCES).map(|i| (1 + i % 4) as f32).collect(),
    }
}

fn open(preset: Option<Preset>) -> Gpu {
    let options = Options { preset, ..Options::default() };
    pollster::block_on(Gpu::open_with(&AdapterChoice::default(), options)).expect("benchmarks need an adapter")
}

fn step(criterion: &mut Criterion) {
    let gpu = open(None);
    measure(criterion, &gpu, "");
    if gpu.preset() == Preset::Software {
        let gpu = open(Some(Preset::Gpu));
        if gpu.cooperative_side().is_some() {
            measure(criterion, &gpu, ", kernels for GPUs");
        }
    }
}

fn measure(criterion: &mut Criterion, gpu: &Gpu, kernels: &str) {
    let tokens = (SEQUENCES * LENGTH) as usize;
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(tokens as u64)).sample_size(10);
    for (form, holding) in [
        ("f32", Holding::Training),
        ("mixed-bf16", Holding::MixedTraining(Dtype::Bf16)),
        ("mixed-f16", Holding::MixedTraining(Dtype::F16)),
    ] {
        let loading = Loading {
            holding,
            checkpointing: Checkpointing::None,
            logits: 3,
            new_head: false,
            biases: vec![],
            lora: None,
            seed: 1,
            capacity: Capacity { tokens, sequences: SEQUENCES as usize, length: LENGTH as usize },
        };
        let settings = AdamWConfig::default();
        let mut stepper = Stepper::new(gpu, &checkpoint(), &loading, Objective::Ordinal, 4, settings, 1)
            .expect("a small model fits everywhere");
        let batches = [batch()];
        let mut count = 0;
        group.bench_function(format!("4 layers of 256, 4 x 128 tokens, {form}{kernels}"), |bencher| {
            bencher.iter(|| {
                count += 1;
                pollster::block_on(stepper.step(gpu, &batches, count, 1e-5)).expect("a recorded step runs")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
