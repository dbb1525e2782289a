//! Steps of whole models: training, decoding, and adapters. The models have the shapes of published ones and weights that
//! are drawn, so that nothing has to be fetched.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokenizers::Tokenizer;
use tokenizers::models::wordlevel::WordLevel;
use wgr::data::Packed;
use wgr::generate::{Generator, Sampling, Settings, generator};
use wgr::gpu::{Dtype, Gpu, Profile};
use wgr::model::Checkpoint;
use wgr::model::activations::Checkpointing;
use wgr::model::base::BaseDtype;
use wgr::model::batch::Capacity;
use wgr::model::causal::Causal;
use wgr::model::classifier::Loading;
use wgr::model::lora::{Lora, LoraConfig};
use wgr::model::parameter::Holding;
use wgr::objective::Objective;
use wgr::optimizer::AdamWConfig;
use wgr::train::Stepper;
use wgr::{Event, Observer};

use super::clock::Clock;
use super::report::Report;

/// Sequences and tokens of each, from small to large: the time of one batch foretells that of the next.
const BATCHES: [[usize; 2]; 3] = [[1, 128], [4, 256], [8, 512]];
/// Steps of which the median is taken, after one that compiles.
const STEPS: usize = 3;
const PROMPT: usize = 32;
const NEW: usize = 64;

/// SmolLM2-135M, all weights, in every precision.
pub(super) async fn training(gpu: &Gpu, clock: &Clock, report: &mut Report) {
    let forms = [
        (Holding::Training, "f32"),
        (Holding::MixedTraining(Dtype::Bf16), "mixed-bf16"),
        (Holding::MixedTraining(Dtype::F16), "mixed-f16"),
    ];
    for (holding, form) in forms {
        let run =
            Run { task: "training SmolLM2-135M", form, config: smollm2("SequenceClassification"), holding, lora: None };
        run.measure(gpu, clock, report).await;
    }
}

/// Adapters of rank 16 on frozen bf16 weights, in the shapes of Qwen3 0.6B and, with a quarter of the layers, 4B.
pub(super) async fn adapters(gpu: &Gpu, clock: &Clock, report: &mut Report) {
    let targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"].map(String::from);
    let config = LoraConfig { rank: 16, alpha: 32.0, dropout: 0.0, targets: targets.to_vec(), rslora: false };
    let shapes = [
        ("LoRA step, Qwen3-0.6B", qwen3(1024, 3072, 28, 16)),
        ("LoRA step, 9 layers of Qwen3-4B", qwen3(2560, 9728, 9, 32)),
    ];
    for (task, shape) in shapes {
        let lora = Some(Lora { config: config.clone().normalized(), base: Some(BaseDtype::Bf16) });
        let run = Run { task, form: "bf16 base", config: shape, holding: Holding::Training, lora };
        run.measure(gpu, clock, report).await;
    }
}

fn smollm2(class: &str) -> Value {
    json!({
        "architectures": [format!("LlamaFor{class}")], "model_type": "llama", "vocab_size": 49152, "hidden_size": 576,
        "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
        "rms_norm_eps": 1e-5, "rope_theta": 100_000.0, "max_position_embeddings": 8192, "tie_word_embeddings": true,
        "num_labels": 3, "bos_token_id": 1, "eos_token_id": 2,
    })
}

fn qwen3(hidden: usize, intermediate: usize, layers: usize, heads: usize) -> Value {
    json!({
        "architectures": ["Qwen3ForSequenceClassification"], "model_type": "qwen3", "vocab_size": 151_936,
        "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": 8, "head_dim": 128, "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0, "max_position_embeddings": 40_960, "tie_word_embeddings": true, "num_labels": 3,
        "bos_token_id": 1, "eos_token_id": 2,
    })
}

/// A model that exists only as a configuration.
fn checkpoint(config: &Value) -> Result<Checkpoint> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let path = folder.path().join("config.json");
    std::fs::write(&path, config.to_string()).context("the temporary folder takes no file")?;
    Ok(Checkpoint::open(&path.display().to_string())?)
}

/// Steps of training on growing batches.
struct Run {
    task: &'static str,
    form: &'static str,
    config: Value,
    holding: Holding,
    lora: Option<Lora>,
}

impl Run {
    async fn measure(self, gpu: &Gpu, clock: &Clock, report: &mut Report) {
        let what = |[sequences, length]: [usize; 2]| format!("{}, {sequences} × {length} tokens", self.task);
        let mut seconds_per_token = 0.0;
        for batch in BATCHES {
            // Drawing the weights takes its time, too, which the batch before has shown.
            let tokens = (batch[0] * batch[1]) as f64;
            if let Some(why) = clock.refuses(seconds_per_token * tokens * (1 + STEPS) as f64) {
                return report.leave_out(format!("{}, {}", what(batch), self.form), why);
            }
            match self.seconds(gpu, batch).await {
                Ok((seconds, profiles)) => {
                    seconds_per_token = seconds / tokens;
                    report.add_tokens(&what(batch), self.form, tokens / seconds);
                    if batch == BATCHES[BATCHES.len() - 1] {
                        let parts = ["micro-batch", "update"].into_iter().zip(profiles.iter().flatten());
                        for (part, profile) in parts {
                            report.add_profile(&format!("{}, {part}", what(batch)), self.form, profile);
                        }
                    }
                }
                Err(problem) => {
                    return report.leave_out(format!("{}, {}", what(batch), self.form), format!("{problem:#}"));
                }
            }
        }
    }

    /// Median seconds of a step and, where the adapter tells, the profiles of its micro-batch and its update.
    async fn seconds(&self, gpu: &Gpu, [sequences, length]: [usize; 2]) -> Result<(f64, Option<[Profile; 2]>)> {
        let loading = Loading {
            holding: self.holding,
            checkpointing: Checkpointing::None,
            logits: 3,
            new_head: false,
            biases: vec![],
            lora: self.lora.clone(),
            seed: 1,
            capacity: Capacity { tokens: sequences * length, sequences, length },
        };
        let settings = AdamWConfig::default();
        let mut stepper = Stepper::new(gpu, &checkpoint(&self.config)?, &loading, Objective::Ordinal, 4, settings, 1)?;
        let batches = [batch(sequences as u32, length as u32)];
        let mut seconds = vec![];
        for step in 0..=STEPS as u64 {
            let started = Instant::now();
            stepper.step(gpu, &batches, step, 1e-5).await?;
            seconds.push(started.elapsed().as_secs_f64());
        }
        Ok((median(&mut seconds[1..]), stepper.profile(gpu).await.ok()))
    }
}

fn batch(sequences: u32, length: u32) -> Packed {
    Packed {
        tokens: (0..sequences * length).map(|i| 3 + i * 7919 % 40_000).collect(),
        offsets: (0..=sequences).map(|i| i * length).collect(),
        labels: (0..sequences).map(|i| (1 + i % 4) as f32).collect(),
    }
}

fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Greedy decoding of SmolLM2-135M, weights in f32, bf16 and 4 bits, one sequence and many.
pub(super) async fn decoding(gpu: &Gpu, clock: &Clock, report: &mut Report) {
    let forms = [(BaseDtype::F32, "f32"), (BaseDtype::Bf16, "bf16 weights"), (BaseDtype::Q4, "q4 weights")];
    for (dtype, form) in forms {
        let model = checkpoint(&smollm2("CausalLM")).and_then(|checkpoint| {
            let causal = Causal::load(gpu, &checkpoint, Holding::Frozen(Some(dtype)), 1)?;
            Ok((checkpoint, causal))
        });
        let (checkpoint, causal) = match model {
            Ok(model) => model,
            Err(problem) => return report.leave_out(format!("decoding SmolLM2-135M, {form}"), format!("{problem:#}")),
        };
        let mut step = 0.0;
        for rows in [1, 16, 64] {
            let task = format!("decoding SmolLM2-135M, batch {rows}");
            // A step of more rows takes longer, but not in proportion.
            if let Some(why) = clock.refuses(4.0 * step * NEW as f64) {
                report.leave_out(format!("{task}, {form}"), why);
                break;
            }
            match tokens_per_second(gpu, &checkpoint, &causal, rows).await {
                Ok((rate, profile)) => {
                    step = rows as f64 / rate;
                    report.add_tokens(&task, form, rate);
                    if let Some(profile) = profile {
                        report.add_profile(&task, form, &profile);
                    }
                }
                Err(problem) => report.leave_out(format!("{task}, {form}"), format!("{problem:#}")),
            }
        }
    }
}

/// When each step was done, and how many tokens had been drawn.
struct Steps(Vec<(Instant, u64)>);

impl Observer for Steps {
    fn on(&mut self, event: Event<'_>) {
        if let Event::Sampled { tokens, .. } = event {
            self.0.push((Instant::now(), tokens));
        }
    }
}

/// After the prompts, whose time does not count; and the profile of the last step, where the adapter tells.
async fn tokens_per_second(
    gpu: &Gpu,
    checkpoint: &Checkpoint,
    causal: &Causal,
    rows: usize,
) -> Result<(f64, Option<Profile>)> {
    let config = checkpoint.config();
    let capacity = generator::capacity(gpu, config, rows, PROMPT + NEW, Dtype::F32)?;
    let tokenizer = Tokenizer::new(WordLevel::default());
    let mut generator = Generator::new(gpu, causal.clone(), config, tokenizer, vec![], capacity, Dtype::F32)?;
    let prompt = |row: usize| (0..PROMPT).map(|i| 100 + ((row * 7919 + i * 31) % 40_000) as u32).collect();
    let prompts: Vec<Vec<u32>> = (0..rows).map(prompt).collect();
    let settings = Settings { sampling: Sampling::greedy(), max_new_tokens: NEW, stop: vec![] };
    let mut rate = 0.0;
    // The first round compiles.
    for _ in 0..2 {
        let mut steps = Steps(vec![]);
        generator.sample(gpu, &prompts, 1, 0, &settings, &mut steps).await?;
        let decoding: Vec<_> = steps.0.iter().skip_while(|(_, drawn)| *drawn < rows as u64).collect();
        let (first, last) = (decoding[0], decoding[decoding.len() - 1]);
        rate = (last.1 - first.1) as f64 / (last.0 - first.0).as_secs_f64();
    }
    Ok((rate, generator.profile(gpu).await.ok()))
}
