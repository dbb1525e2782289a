//! A DPO step compared with its forward and backward passes alone: 4 layers, width 256, 8 query and 4 key/value heads,
//! SwiGLU of 768, a vocabulary of 8192, two pairs of 64 prompt and 64 completion tokens, f32. The step should take at
//! most 1.1 times as long as both passes together.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use wgr::data::{Completion, PackedCompletions};
use wgr::dpo::{MicroBatch, Stepper};
use wgr::gpu::{AdapterChoice, Dtype, Gpu, Recording, Tensor};
use wgr::kernels::preference::Weights;
use wgr::model::Checkpoint;
use wgr::model::activations::Checkpointing;
use wgr::model::batch::Capacity;
use wgr::model::causal::Causal;
use wgr::model::parameter::Holding;
use wgr::model::policy::{LOGIT_BYTES, Policy, Settings};
use wgr::objective::PreferenceLoss;
use wgr::optimizer::AdamWConfig;

const VOCAB: u32 = 8192;
const SEQUENCES: usize = 4;
const HALF: usize = 64;

/// A model that exists only as a configuration; its weights are drawn.
fn checkpoint() -> Checkpoint {
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCAB, "hidden_size": 256,
        "intermediate_size": 768, "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 4,
        "head_dim": 32, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 2 * HALF,
        "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": true,
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("config.json");
    std::fs::write(&path, config.to_string()).expect("the folder takes a small file");
    Checkpoint::open(&path.display().to_string()).expect("the configuration is supported")
}

/// Pairs, each with one prompt, packed apart so that all passes see as many tokens.
fn micro_batch() -> MicroBatch {
    let token = |i: usize| 3 + (i as u32 * 7919) % (VOCAB - 3);
    let completion = |index: usize| Completion {
        tokens: (0..HALF)
            .map(|i| token(index / 2 * HALF + i))
            .chain((0..HALF).map(|i| token(991 * index + i)))
            .collect(),
        prompt: HALF,
    };
    let completions: Vec<Completion> = (0..SEQUENCES).map(completion).collect();
    let completions = PackedCompletions::new(&completions).expect("no part is empty");
    MicroBatch { completions, references: vec![-500.0; SEQUENCES] }
}

fn dpo(criterion: &mut Criterion) {
    let gpu = pollster::block_on(Gpu::open(&AdapterChoice::default())).expect("benchmarks need an adapter");
    let checkpoint = checkpoint();
    let causal = Causal::load(&gpu, &checkpoint, Holding::Training, 1).expect("a small model fits everywhere");
    let tokens = 2 * HALF * SEQUENCES;
    let settings = Settings {
        adapters: None,
        holding: Holding::Training,
        checkpointing: Checkpointing::None,
        capacity: Capacity { tokens, sequences: SEQUENCES, length: 2 * HALF },
        predictions: HALF * SEQUENCES,
        logit_bytes: LOGIT_BYTES / 4,
        temperature: 1.0,
    };
    let batch = micro_batch();
    let mut group = criterion.benchmark_group("dpo");
    group.throughput(Throughput::Elements(tokens as u64)).sample_size(10);

    let mut policy = Policy::new(&gpu, checkpoint.config(), causal.clone(), &settings).expect("it fits");
    policy.write(&gpu, &batch.completions);
    let list = |label, len| Tensor::workspace(&gpu, label, len, Dtype::F32).expect("it fits");
    let (sums, coefficients) = (list("sums", 2 * SEQUENCES), list("coefficients", SEQUENCES));
    coefficients.write_f32(&gpu, &[-0.1, 0.1, -0.1, 0.1]);
    let (mut forward, mut backward) = (Recording::new(), Recording::new());
    policy.forward(&mut forward.recorder(&gpu), &sums).expect("shapes fit");
    policy.backward(&mut backward.recorder(&gpu), &coefficients).expect("shapes fit");
    for (name, recording) in [("forward", &mut forward), ("backward", &mut backward)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                recording.replay(&gpu).expect("a recording runs");
                pollster::block_on(gpu.wait("a benchmark")).expect("the device is there");
            });
        });
    }

    let (loss, optimizer) = (PreferenceLoss::Sigmoid, AdamWConfig::default());
    let weights = Weights { beta: 0.1, label_smoothing: 0.0, gamma: 0.5, sft_weight: 0.0 };
    let mut stepper = Stepper::new(&gpu, checkpoint.config(), causal, &settings, (loss, weights), optimizer, 1)
        .expect("a small model fits everywhere");
    let batches = [batch];
    let mut count = 0;
    group.bench_function("step", |bencher| {
        bencher.iter(|| {
            count += 1;
            pollster::block_on(stepper.step(&gpu, &batches, count, 1e-6)).expect("a recorded step runs")
        });
    });
    group.finish();
}

criterion_group!(benches, dpo);
criterion_main!(benches);
