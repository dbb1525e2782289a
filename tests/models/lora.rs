//! Adapters that PEFT made on the tiny Llama: logits, loss, every gradient, ten losses; what stays frozen; dropout.

use wgr::gpu::{Dtype, Gpu, Limits, Mode, Options, Preset};
use wgr::model::Checkpoint;
use wgr::model::activations::Checkpointing;
use wgr::model::base::BaseDtype;
use wgr::model::lora::{Lora, LoraConfig};
use wgr::model::parameter::{Holding, Parameter};
use wgr::objective::Objective;
use wgr::optimizer::AdamWConfig;
use wgr::train::Stepper;

use crate::harness::*;

/// f32 against float64, as for whole models.
const TOLERANCE: f32 = 2e-5;

fn checkpoint() -> Checkpoint {
    Checkpoint::open(&folder("lora").display().to_string()).unwrap()
}

/// The adapters in training, with dropout and checkpointing as given, and the batch of the base model.
fn adapted(gpu: &Gpu, dropout: f64, checkpointing: Checkpointing) -> (Stepper, Golden) {
    adapted_on(gpu, None, dropout, checkpointing)
}

/// As [`adapted`], with the frozen matrices in some storage.
fn adapted_on(gpu: &Gpu, base: Option<BaseDtype>, dropout: f64, checkpointing: Checkpointing) -> (Stepper, Golden) {
    let golden = Golden::read("llama");
    let checkpoint = checkpoint();
    let config = LoraConfig { dropout, ..checkpoint.adapter().unwrap().config.clone() };
    let mut loading = loading(golden.capacity(), Holding::Training, checkpointing);
    loading.lora = Some(Lora { config, base });
    let stepper = Stepper::new(gpu, &checkpoint, &loading, Objective::Ordinal, 4, AdamWConfig::default(), 4).unwrap();
    (stepper, golden)
}

fn take(gpu: &Gpu, stepper: &mut Stepper, batch: &Golden, step: u64, lr: f64) -> wgr::train::Outcome {
    pollster::block_on(stepper.step(gpu, &[batch.batch()], step, lr)).unwrap()
}

fn gradient(gpu: &Gpu, parameter: &Parameter) -> Vec<f32> {
    pollster::block_on(parameter.gradient.as_ref().unwrap().read(gpu)).unwrap()
}

fn values(gpu: &Gpu, parameter: &Parameter) -> Vec<f32> {
    pollster::block_on(parameter.weight.read(gpu)).unwrap()
}

#[test]
fn logits_loss_and_every_gradient_agree_with_peft() {
    let small = Some(Limits { binding_bytes: 16 << 10 });
    for (mode, limits, preset) in
        [(Mode::Checked, None, None), (Mode::Trusted, small, None), (Mode::Trusted, None, Some(Preset::Gpu))]
    {
        let gpu = open_with(Options { mode, limits, preset, ..Options::default() });
        for checkpointing in [Checkpointing::None, Checkpointing::Layer] {
            let golden = Golden::read("lora");
            let (mut stepper, batch) = adapted(&gpu, 0.0, checkpointing);
            let outcome = take(&gpu, &mut stepper, &batch, 0, 0.0);
            let logits = pollster::block_on(stepper.classifier.logits().read(&gpu)).unwrap();
            assert_close("logits", &logits, golden.floats("logits"), TOLERANCE);
            assert_close("loss", &[outcome.loss as f32], golden.floats("loss"), TOLERANCE);
            let mut count = 0;
            for parameter in stepper.classifier.trained_parameters() {
                let expected = golden.floats(&format!("grad.{}", parameter.name));
                assert_close(&parameter.name, &gradient(&gpu, parameter), expected, TOLERANCE);
                count += 1;
            }
            assert_eq!(count, 2 * 7 * 2 + 1, "A and B of seven linear layers of two layers, and the head");
        }
    }
}

#[test]
fn ten_training_losses_and_norms_agree_with_peft_and_nothing_else_moves() {
    let gpu = open(Mode::Trusted, None);
    let text = std::fs::read_to_string(folder("lora/losses.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let column = |name: &str| -> Vec<f32> {
        expected[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
    };
    let (mut stepper, batch) = adapted(&gpu, 0.0, Checkpointing::None);
    let frozen = |stepper: &Stepper| -> Vec<(String, Vec<f32>)> {
        let frozen = stepper.classifier.parameters().filter(|parameter| parameter.frozen);
        frozen.map(|parameter| (parameter.name.clone(), values(&gpu, parameter))).collect()
    };
    let before = frozen(&stepper);
    let (mut losses, mut norms) = (vec![], vec![]);
    for step in 0..10 {
        let outcome = take(&gpu, &mut stepper, &batch, step, 1e-3);
        losses.push(outcome.loss as f32);
        norms.push(outcome.grad_norm.norm);
    }
    assert_close("losses", &losses, &column("losses"), 5e-5);
    assert_close("norms", &norms, &column("grad_norms"), 5e-5);
    assert_eq!(before.len(), 1 + 2 * 9 + 1, "embedding, weights and norms of two layers, the last norm");
    assert!(before == frozen(&stepper), "frozen weights keep every bit");
}

#[test]
fn a_quantised_base_trains_adapters_as_the_values_it_keeps() {
    let small = Some(Limits { binding_bytes: 16 << 10 });
    for (limits, preset, base) in [
        (None, None, BaseDtype::Q8),
        (small, None, BaseDtype::Q4),
        (small, Some(Preset::Gpu), BaseDtype::Q8),
        (None, Some(Preset::Gpu), BaseDtype::Q4),
    ] {
        let gpu = open_with(Options { mode: Mode::Trusted, limits, preset, ..Options::default() });
        let (mut in_blocks, batch) = adapted_on(&gpu, Some(base), 0.0, Checkpointing::Layer);
        let (mut in_f32, _) = adapted_on(&gpu, Some(BaseDtype::F32), 0.0, Checkpointing::Layer);
        let mut quantized = 0;
        for (kept, plain) in in_blocks.classifier.parameters().zip(in_f32.classifier.parameters()) {
            if kept.frozen && kept.decays() {
                let is_embedding = kept.name.contains("embed_tokens");
                let expected = if base == BaseDtype::Q4 && !is_embedding { Dtype::Q4 } else { Dtype::Q8 };
                assert_eq!(kept.weight.dtype(), expected, "{}", kept.name);
                assert_ne!(values(&gpu, kept), values(&gpu, plain), "{}", kept.name);
                plain.write(&gpu, &values(&gpu, kept)).unwrap();
                quantized += 1;
            }
        }
        assert_eq!(quantized, 1 + 2 * 7, "embedding and seven linear layers of two layers");
        for step in 0..3 {
            let [a, b] = [&mut in_blocks, &mut in_f32].map(|stepper| take(&gpu, stepper, &batch, step, 1e-3));
            assert_eq!((a.loss, a.grad_norm.norm), (b.loss, b.grad_norm.norm), "step {step}");
        }
        let trained = |stepper: &Stepper| -> Vec<Vec<f32>> {
            stepper.classifier.trained_parameters().map(|parameter| values(&gpu, parameter)).collect()
        };
        assert!(trained(&in_blocks) == trained(&in_f32));
    }
}

#[test]
fn dropout_masks_follow_the_step_and_are_the_same_backwards() {
    let gpu = open(Mode::Trusted, None);
    let (mut stepper, batch) = adapted(&gpu, 0.4, Checkpointing::Layer);
    let [first, other, again] = [3, 4, 3].map(|step| take(&gpu, &mut stepper, &batch, step, 0.0).loss);
    assert_eq!(first, again, "the same step has the same masks");
    assert_ne!(first, other);
    // Evaluation drops nothing.
    let logits = pollster::block_on(stepper.logits(&gpu, &batch.batch())).unwrap().concat();
    assert_close("logits", &logits, Golden::read("lora").floats("logits"), TOLERANCE);
    // The slope along some direction, of the loss and by the gradients.
    take(&gpu, &mut stepper, &batch, 3, 0.0);
    let trained: Vec<Parameter> =
        stepper.classifier.trained_parameters().filter(|parameter| parameter.name.contains("lora_")).cloned().collect();
    for which in ["lora_A", "lora_B"] {
        let moved: Vec<(&Parameter, Vec<f32>, Vec<f32>)> = trained
            .iter()
            .filter(|parameter| parameter.name.contains(which))
            .map(|parameter| {
                let values = values(&gpu, parameter);
                let direction = (0..values.len()).map(|i| ((i * 37 + parameter.name.len()) as f32).sin()).collect();
                (parameter, values, direction)
            })
            .collect();
        take(&gpu, &mut stepper, &batch, 3, 0.0);
        let by_gradient: f64 = moved
            .iter()
            .flat_map(|(parameter, _, direction)| gradient(&gpu, parameter).into_iter().zip(direction.clone()))
            .map(|(gradient, direction)| f64::from(gradient) * f64::from(direction))
            .sum();
        let mut loss_at = |by: f32| {
            for (parameter, values, direction) in &moved {
                let there: Vec<f32> = values.iter().zip(direction).map(|(value, d)| value + by * d).collect();
                parameter.write(&gpu, &there).unwrap();
            }
            take(&gpu, &mut stepper, &batch, 3, 0.0).loss
        };
        // Central differences, twice, so that their error of second order cancels.
        let mut difference = |step: f32| (loss_at(step) - loss_at(-step)) / f64::from(2.0 * step);
        let by_difference = (4.0 * difference(1e-3) - difference(2e-3)) / 3.0;
        loss_at(0.0);
        let error = (by_gradient - by_difference).abs() / by_difference.abs();
        assert!(error < 1e-3, "{which}: {by_gradient} by the gradients, {by_difference} by the loss");
    }
}
