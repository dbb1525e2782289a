use wgr::data::{Completion, PackedCompletions};
use wgr::dpo::{MicroBatch, Outcome, Stepper};
use wgr::gpu::{Dtype, Gpu, Limits, Mode, Options, Preset};
use wgr::kernels::preference::Weights;
use wgr::model::Checkpoint;
use wgr::model::activations::Checkpointing;
use wgr::model::batch::Capacity;
use wgr::model::causal::Causal;
use wgr::model::parameter::Holding;
use wgr::model::policy::{LOGIT_BYTES, Policy, Settings};
use wgr::objective::PreferenceLoss;
use wgr::optimizer::AdamWConfig;

use crate::harness::*;

/// Untied and tied.
const MODELS: [&str; 2] = ["dpo/llama", "dpo/qwen3"];
const TOLERANCE: f32 = 2e-5;
const LEARNING_RATE: f64 = 5e-4;
const WEIGHTS: Weights = Weights { beta: 0.3, label_smoothing: 0.0, gamma: 0.5, sft_weight: 0.0 };

/// The sequences of a golden file: chosen and rejected in turn.
fn completions(golden: &Golden) -> Vec<Completion> {
    let (tokens, offsets) = (golden.integers("tokens"), golden.integers("offsets"));
    let spans = offsets.windows(2).zip(golden.integers("prompts"));
    spans
        .map(|(span, prompt)| Completion {
            tokens: tokens[span[0] as usize..span[1] as usize].to_vec(),
            prompt: *prompt as usize,
        })
        .collect()
}

/// Micro-batches of some pairs each.
fn micro_batches(golden: &Golden, pairs: usize) -> Vec<MicroBatch> {
    let completions = completions(golden);
    let both = completions.chunks(2 * pairs).zip(golden.floats("references").chunks(2 * pairs));
    both.map(|(completions, references)| MicroBatch {
        completions: PackedCompletions::new(completions).unwrap(),
        references: references.to_vec(),
    })
    .collect()
}

fn settings(golden: &Golden, holding: Holding, checkpointing: Checkpointing, logit_bytes: usize) -> Settings {
    let completions = completions(golden);
    let length = completions.iter().map(|of| of.tokens.len()).max().unwrap();
    let capacity = Capacity { tokens: golden.integers("tokens").len(), sequences: completions.len(), length };
    let predictions = completions.iter().map(|of| of.tokens.len() - of.prompt).sum();
    Settings { holding, checkpointing, adapters: None, capacity, predictions, logit_bytes, temperature: 1.0 }
}

fn causal(gpu: &Gpu, name: &str, holding: Holding) -> (Checkpoint, Causal) {
    let checkpoint = Checkpoint::open(&folder(name).display().to_string()).unwrap();
    let causal = Causal::load(gpu, &checkpoint, holding, 1).unwrap();
    (checkpoint, causal)
}

fn stepper(gpu: &Gpu, name: &str, settings: &Settings, loss: PreferenceLoss) -> Stepper {
    let (checkpoint, causal) = causal(gpu, name, settings.holding);
    Stepper::new(gpu, checkpoint.config(), causal, settings, (loss, WEIGHTS), AdamWConfig::default(), 3).unwrap()
}

fn step(gpu: &Gpu, stepper: &mut Stepper, batches: &[MicroBatch], step: u64, learning_rate: f64) -> Outcome {
    pollster::block_on(stepper.step(gpu, batches, step, learning_rate)).unwrap()
}

fn gradients(gpu: &Gpu, stepper: &Stepper) -> Vec<(String, Vec<f32>)> {
    let read = |parameter: &wgr::model::parameter::Parameter| {
        (parameter.name.clone(), pollster::block_on(parameter.gradient.as_ref().unwrap().read(gpu)).unwrap())
    };
    stepper.policy.causal.parameters().map(read).collect()
}

/// Logits of 32 tokens at once.
fn narrow(golden: &Golden) -> usize {
    4 * 32 * settings(golden, Holding::Training, Checkpointing::None, LOGIT_BYTES).predictions
}

#[test]
fn every_gradient_of_a_dpo_step_agrees_with_pytorch() {
    let small = Some(Limits { binding_bytes: 16 << 10 });
    for (mode, limits, preset) in
        [(Mode::Checked, None, None), (Mode::Trusted, small, None), (Mode::Trusted, None, Some(Preset::Gpu))]
    {
        let gpu = open_with(Options { mode, limits, preset, ..Options::default() });
        for name in MODELS {
            let golden = Golden::read(name);
            for logit_bytes in [LOGIT_BYTES, narrow(&golden)] {
                if limits.is_some() && logit_bytes == LOGIT_BYTES {
                    continue;
                }
                let settings = settings(&golden, Holding::Training, Checkpointing::None, logit_bytes);
                let mut stepper = stepper(&gpu, name, &settings, PreferenceLoss::Sigmoid);
                // A learning rate of zero leaves the weights alone.
                step(&gpu, &mut stepper, &micro_batches(&golden, 3), 0, 0.0);
                for (parameter, gradient) in gradients(&gpu, &stepper) {
                    let expected = golden.floats(&format!("grad.{parameter}"));
                    assert_close(&format!("{name} {parameter}"), &gradient, expected, TOLERANCE);
                }
            }
        }
    }
}

#[test]
fn six_steps_of_dpo_agree_with_pytorch_in_every_metric() {
    let gpu = open(Mode::Trusted, None);
    for name in MODELS {
        let golden = Golden::read(name);
        let text = std::fs::read_to_string(folder(name).join("steps.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        for loss in [PreferenceLoss::Sigmoid, PreferenceLoss::Ipo, PreferenceLoss::ApoZero] {
            let settings = settings(&golden, Holding::Training, Checkpointing::None, narrow(&golden));
            let mut stepper = stepper(&gpu, name, &settings, loss);
            // The mean over all pairs, however they come.
            let batches = [micro_batches(&golden, 3), micro_batches(&golden, 1), micro_batches(&golden, 2)];
            let rows: Vec<Outcome> =
                (0..6).map(|i| step(&gpu, &mut stepper, &batches[i as usize % 3], i, LEARNING_RATE)).collect();
            type Metric = fn(&Outcome) -> f64;
            fn mean(outcome: &Outcome, of: impl Fn(&[wgr::dpo::Rated; 2]) -> f64) -> f64 {
                outcome.pairs.iter().map(of).sum::<f64>() / outcome.pairs.len() as f64
            }
            let metrics: [(&str, Metric); 7] = [
                ("loss", |o| o.loss),
                ("rewards/chosen", |o| mean(o, |pair| pair[0].reward)),
                ("rewards/rejected", |o| mean(o, |pair| pair[1].reward)),
                ("logps/chosen", |o| mean(o, |pair| f64::from(pair[0].policy.log_prob))),
                ("logps/rejected", |o| mean(o, |pair| f64::from(pair[1].policy.log_prob))),
                ("entropy", |o| {
                    let all = || o.pairs.iter().flatten().map(|of| of.policy);
                    all().map(|of| f64::from(of.entropy)).sum::<f64>() / all().map(|of| of.tokens as f64).sum::<f64>()
                }),
                ("grad_norm", |o| f64::from(o.grad_norm.norm)),
            ];
            for (metric, value) in metrics {
                let actual: Vec<f32> = rows.iter().map(|outcome| value(outcome) as f32).collect();
                let of_row = |row: &serde_json::Value| row[metric].as_f64().unwrap() as f32;
                let wanted: Vec<f32> = expected[loss.name()].as_array().unwrap().iter().map(of_row).collect();
                assert_close(&format!("{name} {loss} {metric}"), &actual, &wanted, 5e-5);
            }
        }
    }
}

#[test]
fn a_reference_gives_the_bits_of_the_policy_and_pytorchs_numbers() {
    // The shift that the generator's SHIFTS adds.
    const SHIFTS: [f32; 6] = [0.0, 0.0, 0.3, -1.1, -0.7, 0.4];
    let gpu = open(Mode::Trusted, None);
    for name in MODELS {
        let golden = Golden::read(name);
        let batch = &micro_batches(&golden, 3)[0];
        let scoring = settings(&golden, Holding::Inference, Checkpointing::None, narrow(&golden));
        let (checkpoint, causal) = causal(&gpu, name, Holding::Inference);
        let mut reference = Policy::new(&gpu, checkpoint.config(), causal, &scoring).unwrap();
        let rated = pollster::block_on(reference.log_probs(&gpu, &batch.completions)).unwrap();
        let log_probs: Vec<f32> = rated.iter().map(|of| of.log_prob).collect();
        let expected: Vec<f32> = golden.floats("references").iter().zip(SHIFTS).map(|(r, shift)| r - shift).collect();
        assert_close(&format!("{name} references"), &log_probs, &expected, TOLERANCE);

        let training = settings(&golden, Holding::Training, Checkpointing::None, narrow(&golden));
        let mut stepper = stepper(&gpu, name, &training, PreferenceLoss::Sigmoid);
        let batch = MicroBatch { references: log_probs, ..batch.clone() };
        let outcome = step(&gpu, &mut stepper, std::slice::from_ref(&batch), 0, 0.0);
        assert!(outcome.pairs.iter().flatten().all(|of| of.reward == 0.0), "{:?}", outcome.pairs);
        assert!((outcome.loss - 2f64.ln()).abs() < 1e-6, "{}", outcome.loss);
        // Evaluating between steps disturbs neither.
        assert_eq!(pollster::block_on(stepper.policy.log_probs(&gpu, &batch.completions)).unwrap(), rated);
        assert_eq!(step(&gpu, &mut stepper, std::slice::from_ref(&batch), 1, 0.0).loss, outcome.loss);
    }
}

#[test]
fn sharing_prompts_changes_nothing_but_the_work() {
    let gpu = open(Mode::Trusted, None);
    for name in MODELS {
        let golden = Golden::read(name);
        let settings = settings(&golden, Holding::Training, Checkpointing::None, narrow(&golden));
        let apart = micro_batches(&golden, 3);
        let shared = PackedCompletions::sharing_prompts(&completions(&golden)).unwrap();
        assert_eq!(shared.tokens.len(), apart[0].completions.tokens.len() - (7 + 1 + 4));
        let shared = [MicroBatch { completions: shared, references: apart[0].references.clone() }];
        let mut stepper = stepper(&gpu, name, &settings, PreferenceLoss::Sigmoid);
        let outcome = step(&gpu, &mut stepper, &shared, 0, 0.0);
        for (parameter, gradient) in gradients(&gpu, &stepper) {
            let expected = golden.floats(&format!("grad.{parameter}"));
            assert_close(&format!("{name} {parameter}"), &gradient, expected, TOLERANCE);
        }
        let expected = step(&gpu, &mut stepper, &apart, 0, 0.0);
        assert!(outcome.flops < 0.9 * expected.flops, "{} of {}", outcome.flops, expected.flops);
        let of = |outcome: &Outcome| -> Vec<f32> {
            outcome.pairs.iter().flatten().flat_map(|of| [of.policy.log_prob, of.policy.entropy]).collect()
        };
        assert_close(&format!("{name} log-probabilities"), &of(&outcome), &of(&expected), TOLERANCE);
        // And back, with the recording of the other shape.
        assert_eq!(of(&step(&gpu, &mut stepper, &shared, 0, 0.0)), of(&outcome));
    }
}

#[test]
fn recomputed_activations_give_the_same_bits_in_a_dpo_step() {
    let gpu = open(Mode::Trusted, None);
    for name in MODELS {
        let golden = Golden::read(name);
        for holding in [Holding::Training, Holding::MixedTraining(Dtype::Bf16)] {
            let of = |checkpointing| {
                let settings = settings(&golden, holding, checkpointing, narrow(&golden));
                let mut stepper = stepper(&gpu, name, &settings, PreferenceLoss::Sigmoid);
                step(&gpu, &mut stepper, &micro_batches(&golden, 2), 0, 0.0);
                gradients(&gpu, &stepper)
            };
            let kept = of(Checkpointing::None);
            assert!(kept == of(Checkpointing::Attention), "{name}: --checkpointing attention");
            assert!(kept == of(Checkpointing::Layer), "{name}: --checkpointing layer");
        }
    }
}

#[test]
fn batches_of_one_shape_share_a_recording_of_a_dpo_step() {
    let gpu = open(Mode::Trusted, None);
    let golden = Golden::read(MODELS[0]);
    let settings = settings(&golden, Holding::Training, Checkpointing::None, narrow(&golden));
    let mut stepper = stepper(&gpu, MODELS[0], &settings, PreferenceLoss::Sigmoid);
    let batches = micro_batches(&golden, 3);
    step(&gpu, &mut stepper, &batches, 0, 0.0);
    let (prepared, bind_groups) = (stepper.micro_batch().prepared(), stepper.micro_batch().bind_groups());
    assert_eq!(prepared, stepper.micro_batch().len());
    // Other references, other tokens, the same shape.
    let mut other = batches.clone();
    other[0].references.reverse();
    other[0].completions.tokens.reverse();
    step(&gpu, &mut stepper, &other, 1, 0.0);
    assert_eq!((stepper.micro_batch().prepared(), stepper.micro_batch().bind_groups()), (prepared, bind_groups));
}

#[test]
fn a_policy_holds_what_its_plan_says() {
    use wgr::gpu::Memory;
    use wgr::model::plan::MemoryPlan;
    let gpu = open(Mode::Trusted, None);
    for name in MODELS {
        let golden = Golden::read(name);
        let settings = settings(&golden, Holding::Training, Checkpointing::Layer, narrow(&golden));
        let before = gpu.ledger();
        let (checkpoint, causal) = causal(&gpu, name, settings.holding);
        let _policy = Policy::new(&gpu, checkpoint.config(), causal, &settings).unwrap();
        let mut plan = MemoryPlan::default();
        Causal::add_to(&mut plan, &checkpoint, settings.holding);
        settings.add_to(&mut plan, checkpoint.config());
        let held = |memory| gpu.ledger().current(memory) - before.current(memory);
        assert_eq!(held(Memory::Weights), plan.weights, "{name}");
        assert_eq!(held(Memory::Gradients), plan.gradients, "{name}");
        // Buffers are multiples of 16 bytes.
        for (held, planned) in
            [(held(Memory::Activations), plan.activations), (held(Memory::Workspace), plan.workspace)]
        {
            assert!(held >= planned && held <= planned + 16 * 80, "{name}: {held} held, {planned} planned");
        }
    }
}
