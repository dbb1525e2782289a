use wgr::data::Packed;
use wgr::gpu::{Dtype, Limits, Mode, Options, Preset};
use wgr::model::activations::Checkpointing;
use wgr::model::batch::Capacity;
use wgr::model::parameter::Holding;
use wgr::train::Stepper;

use crate::harness::*;

/// f32 against float64: differences pile up over a few layers only.
const TOLERANCE: f32 = 2e-5;

fn first_step(gpu: &wgr::gpu::Gpu, name: &str, golden: &Golden, checkpointing: Checkpointing) -> (Stepper, f64) {
    let mut stepper = stepper(gpu, name, golden.capacity(), Holding::Training, checkpointing);
    // A learning rate of zero leaves the weights alone, so that the gradients can be read afterwards.
    let outcome = pollster::block_on(stepper.step(gpu, &[golden.batch()], 0, 0.0)).unwrap();
    (stepper, outcome.loss)
}

#[test]
fn logits_loss_and_every_gradient_agree_with_pytorch() {
    let small = Some(Limits { binding_bytes: 16 << 10 });
    let variants = [
        (Mode::Trusted, None, None),
        (Mode::Trusted, small, None),
        (Mode::Checked, None, None),
        (Mode::Trusted, None, Some(Preset::Gpu)),
    ];
    // A page has one preset, and checks all shaders.
    let different = if cfg!(target_family = "wasm") { 2 } else { variants.len() };
    for (mode, limits, preset) in variants.into_iter().take(different) {
        let gpu = open_with(Options { mode, limits, preset, ..Options::default() });
        for name in MODELS {
            let golden = Golden::read(name);
            let (stepper, loss) = first_step(&gpu, name, &golden, Checkpointing::None);
            let logits = pollster::block_on(stepper.classifier.logits().read(&gpu)).unwrap();
            assert_close(&format!("{name} logits"), &logits, golden.floats("logits"), TOLERANCE);
            assert_close(&format!("{name} loss"), &[loss as f32], golden.floats("loss"), TOLERANCE);
            for parameter in stepper.classifier.parameters() {
                let gradient = pollster::block_on(parameter.gradient.as_ref().unwrap().read(&gpu)).unwrap();
                let expected = golden.floats(&format!("grad.{}", parameter.name));
                assert_close(&format!("{name} {}", parameter.name), &gradient, expected, TOLERANCE);
            }
        }
    }
}

#[test]
fn recomputed_activations_give_the_same_bits() {
    let gpu = open(Mode::Trusted, None);
    for name in MODELS {
        let golden = Golden::read(name);
        let gradients = |checkpointing| {
            let (stepper, _) = first_step(&gpu, name, &golden, checkpointing);
            let read = |parameter: &wgr::model::parameter::Parameter| {
                pollster::block_on(parameter.gradient.as_ref().unwrap().read(&gpu)).unwrap()
            };
            stepper.classifier.parameters().map(read).collect::<Vec<_>>()
        };
        let kept = gradients(Checkpointing::None);
        assert!(kept == gradients(Checkpointing::Attention), "{name}: --checkpointing attention");
        assert!(kept == gradients(Checkpointing::Layer), "{name}: --checkpointing layer");
    }
}

#[test]
fn ten_training_losses_and_norms_agree_with_pytorch() {
    let gpu = open(Mode::Trusted, None);
    for name in MODELS {
        let golden = Golden::read(name);
        let text = std::fs::read_to_string(folder(name).join("losses.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        let column = |name: &str| {
            expected[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect::<Vec<_>>()
        };
        let mut stepper = stepper(&gpu, name, golden.capacity(), Holding::Training, Checkpointing::None);
        let (mut losses, mut norms) = (vec![], vec![]);
        for step in 0..10 {
            let outcome = pollster::block_on(stepper.step(&gpu, &[golden.batch()], step, 1e-3)).unwrap();
            losses.push(outcome.loss as f32);
            norms.push(outcome.grad_norm.norm);
        }
        assert_close(&format!("{name} losses"), &losses, &column("losses"), 5e-5);
        assert_close(&format!("{name} norms"), &norms, &column("grad_norms"), 5e-5);
    }
}

/// Of the losses of f32 in the mean, as bf16 and f16 keep eight and eleven bits.
const MIXED: [(Dtype, f32); 2] = [(Dtype::Bf16, 2e-2), (Dtype::F16, 5e-3)];

#[test]
fn ten_training_losses_in_mixed_precision_stay_close_to_pytorch() {
    // Products of GPUs run on cooperative matrices where there are some.
    for preset in [None, Some(Preset::Gpu)] {
        let gpu = open_with(Options { preset, ..Options::default() });
        for (dtype, tolerance) in MIXED {
            for name in MODELS {
                let golden = Golden::read(name);
                let text = std::fs::read_to_string(folder(name).join("losses.json")).unwrap();
                let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
                let losses = expected["losses"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap() as f32);
                let holding = Holding::MixedTraining(dtype);
                let mut stepper = stepper(&gpu, name, golden.capacity(), holding, Checkpointing::None);
                // Steps that update nothing, until the loss scale fits.
                let step = |step| pollster::block_on(stepper.step(&gpu, &[golden.batch()], step, 1e-3)).unwrap();
                let found = (0..20).map(step).filter(|outcome| !outcome.skipped).take(10);
                let found: Vec<f32> = found.map(|outcome| outcome.loss as f32).collect();
                assert_close(&format!("{name} in {dtype}"), &found, &losses.collect::<Vec<_>>(), tolerance);
            }
        }
    }
}

#[test]
fn batches_of_one_shape_share_a_recording_and_many_shapes_need_no_more_memory() {
    let gpu = open(Mode::Trusted, None);
    let mut stepper = stepper(&gpu, "llama", CAPACITY, Holding::Training, Checkpointing::None);
    let mut take = |batches: &[Packed]| {
        pollster::block_on(stepper.step(&gpu, batches, 0, 0.0)).unwrap();
        (stepper.micro_batch().prepared(), stepper.micro_batch().len(), stepper.micro_batch().bind_groups())
    };
    let (prepared, dispatches, bind_groups) = take(&[packed(&[7, 5], 1)]);
    assert_eq!(prepared, dispatches);
    // Other text, cut elsewhere, but as many tokens and sequences.
    assert_eq!(take(&[packed(&[3, 9], 2)]), (prepared, dispatches, bind_groups));
    // Shapes differ in parameters only, so every bind group serves again, but where the number of tokens asks for another of
    // the kernels for few rows, or no longer for one: then those of the last recording are still held, for once.
    let held: Vec<usize> = (1..CAPACITY.tokens as u32).map(|tokens| take(&[packed(&[tokens], 3)]).2).collect();
    let others: Vec<usize> =
        (1..).zip(&held).filter(|(_, count)| **count != bind_groups).map(|(tokens, _)| tokens).collect();
    assert_eq!(others, [1, 2, 5, 17], "{held:?} instead of {bind_groups}");
    // Each micro-batch of a step has losses of its own, in one bind group.
    for step in 0..4 {
        let micro_batches: Vec<Packed> = (0..4).map(|index| packed(&[4 + index, step + 1], 4)).collect();
        assert!(take(&micro_batches).2 <= bind_groups + 1);
    }
}

const CAPACITY: Capacity = Capacity { tokens: 24, sequences: 2, length: 24 };

/// Sequences of some lengths; the text is of no matter, but differs from seed to seed.
fn packed(lengths: &[u32], seed: u32) -> Packed {
    let tokens = lengths.iter().sum::<u32>();
    let ends = lengths.iter().scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    Packed {
        tokens: (0..tokens).map(|i| (i * 7 + seed) % 40).collect(),
        offsets: std::iter::once(0).chain(ends).collect(),
        labels: vec![2.0; lengths.len()],
    }
}
