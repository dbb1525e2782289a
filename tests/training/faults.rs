use wgr::Silent;
use wgr::objective::Objective;
use wgr::train::{Precision, TrainConfig};

use crate::harness::*;

#[test]
fn a_run_that_diverges_names_step_and_tensor_and_keeps_the_last_good_state() {
    let place = Place::new();
    let config = place.run(Objective::Ordinal, 12).with(|c| c.lr = 1e30);
    let error = train(&config, &mut Watch::default()).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let message = error.to_string();
    assert!(message.contains("at step 2") && message.contains("model.") && message.contains("`.lr`"), "{message}");
    assert!(!config.trainer.output.join("config.json").exists(), "no model is left behind");
    let kept = config.trainer.output.join("checkpoints/step-1/model.safetensors");
    assert!(tensors(&kept).iter().all(|(_, values)| values.iter().all(|v| v.is_finite())));
    // It loads; its weights are as bad as the step that made them, which the run says again.
    let lower = config.with(|c| {
        c.lr = 1e-6;
        c.trainer.resume = true;
    });
    let again = train(&lower, &mut Watch::default()).unwrap_err().to_string();
    assert!(again.contains("at step 2"), "{again}");
}

#[test]
fn a_first_step_that_is_not_finite_leaves_the_weights_alone() {
    let place = Place::new();
    let mut config = place.run(Objective::Regression, 8);
    // The square of the error exceeds f32.
    let rows: Vec<_> = (0..8).map(|i| serde_json::json!({"text": text(i), "label": 1e30})).collect();
    config.data = vec![place.write("huge.jsonl", &rows)];
    let message = train(&config, &mut Watch::default()).unwrap_err().to_string();
    assert!(message.contains("step 1") && message.contains("checkpoints/step-0"), "{message}");
    let kept = tensors(&config.trainer.output.join("checkpoints/step-0/model.safetensors"));
    let source = tensors(&place.path("llama/model.safetensors"));
    for (name, values) in source.iter().filter(|(name, _)| name != "score.weight") {
        assert!(kept.iter().any(|(kept, same)| kept == name && same == values), "{name} changed");
    }
    // With rows that can be learned, the run continues from there.
    config.data = vec![place.write("rows.jsonl", &labelled(8))];
    let summary = train(&config.with(|c| c.trainer.resume = true), &mut Watch::default()).unwrap();
    assert_eq!(summary.steps, 2);
}

/// A run in f16 on rows whose squared errors have gradients in proportion to their label.
fn in_f16(place: &Place, label: f64) -> TrainConfig {
    let rows: Vec<_> = (0..8).map(|i| serde_json::json!({"text": text(i), "label": label})).collect();
    place.run(Objective::Regression, 8).with(|c| {
        c.data = vec![place.write("large.jsonl", &rows)];
        (c.trainer.precision, c.trainer.epochs, c.trainer.save_every) = (Precision::MixedF16, 9, Some(1));
    })
}

#[test]
fn gradients_beyond_f16_skip_steps_until_the_scale_of_the_loss_fits() {
    let place = Place::new();
    let config = in_f16(&place, 1e4);
    let mut watch = Watch::default();
    train(&config, &mut watch).unwrap();
    let scales: Vec<f64> = watch.steps.iter().map(|step| step.measures[0].1).collect();
    assert_eq!((watch.steps[0].measures[0].0, scales[0]), ("loss_scale", 65536.0));
    for (steps, scales) in watch.steps.windows(2).zip(scales.windows(2)) {
        let factor = if steps[0].grad_norm.is_finite() { 1.0 } else { 0.5 };
        assert_eq!(scales[1], factor * scales[0], "{:?}", steps[0]);
    }
    let skipped = watch.steps.iter().filter(|step| !step.grad_norm.is_finite()).count();
    assert!((2..16).contains(&skipped), "{skipped} skipped");
    let told: Vec<&String> = watch.notes.iter().filter(|line| line.contains("updated nothing")).collect();
    assert!(told.len() == skipped && told[skipped - 1].contains(&format!("{skipped} steps skipped")), "{told:?}");
    // A skipped step leaves the weights alone, the first that is not changes them.
    let weights = |step: usize| {
        std::fs::read(config.trainer.output.join(format!("checkpoints/step-{step}/model.safetensors"))).unwrap()
    };
    assert!(weights(skipped) == weights(1) && weights(skipped + 1) != weights(1));
}

#[test]
fn gradients_that_no_scale_brings_into_f16_end_the_run_and_bf16_goes_on() {
    let place = Place::new();
    let config = in_f16(&place, 1e9);
    let error = train(&config, &mut Watch::default()).unwrap_err();
    let message = error.to_string();
    assert_eq!(error.exit_code(), 1);
    // From 65536 to 1.
    assert!(message.contains("at step 17") && message.contains("checkpoints/step-16"), "{message}");
    assert!(message.contains("`.precision` mixed-bf16"), "{message}");
    let wider = config.with(|c| (c.trainer.precision, c.trainer.resume) = (Precision::MixedBf16, true));
    let mut watch = Watch::default();
    assert_eq!(train(&wider, &mut watch).unwrap().steps, 18);
    assert!(watch.steps.len() == 2 && watch.steps.iter().all(|step| step.grad_norm.is_finite()), "{:?}", watch.steps);
}

#[test]
fn weights_beyond_f16_end_the_run_in_f16_at_once() {
    let place = Place::new();
    let config = in_f16(&place, 1.0);
    spoil(&place, 1e6);
    let message = train(&config, &mut Watch::default()).unwrap_err().to_string();
    assert!(message.contains("at step 1 ") && message.contains("`.precision` mixed-bf16"), "{message}");
}

/// The tensor of which [`spoil`] changes value number 5.
const SPOILT: &str = "model.layers.1.mlp.up_proj.weight";

fn spoil(place: &Place, value: f32) {
    let path = place.path("llama/model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let (start, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let at = 8 + start + header.info(SPOILT).unwrap().data_offsets.0 + 4 * 5;
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    let place = Place::new();
    let config = place.run(Objective::Ordinal, 4);
    spoil(&place, f32::NAN);
    let training = train(&config, &mut Watch::default()).unwrap_err();
    let scoring = score(&place.scoring(&place.path("llama"), &labelled(2))).unwrap_err();
    for error in [training, scoring] {
        let message = error.to_string();
        assert!(message.contains(SPOILT) && message.contains("value 5 is NaN"), "{message}");
    }
    assert!(!config.trainer.output.join("config.json").exists() && !place.path("scores.jsonl").exists());
}

#[test]
fn a_device_lost_on_the_way_ends_the_run_with_one_sentence() {
    for lost_after in [1, 3] {
        let gpu = open(None);
        let place = Place::new();
        let config = place.run(Objective::Ordinal, 12).with(|c| c.trainer.save_every = Some(1));
        let lose = |step| {
            if step == lost_after {
                gpu.lose();
            }
        };
        let mut watch = Watch { on_step: Some(Box::new(lose)), ..Watch::default() };
        let error = pollster::block_on(wgr::train::train(&gpu, &wgr::Ranks::alone(), &config, &mut watch)).unwrap_err();
        let message = error.to_string();
        assert_eq!(error.exit_code(), 1);
        assert!(message.contains("the device was lost") && message.contains("`.resume`"), "{message}");
        assert!(!message.contains('\n'), "{message}");
        assert!(!config.trainer.output.join("config.json").exists());
        drop(watch);
        // On another device it continues from the last checkpoint.
        let summary = train(&config.with(|c| c.trainer.resume = true), &mut Watch::default()).unwrap();
        assert_eq!(summary.steps, 3);
    }
}

#[test]
fn a_device_lost_before_scoring_ends_with_one_sentence() {
    let gpu = open(None);
    gpu.lose();
    let place = Place::new();
    let config = place.scoring(&place.model("llama"), &labelled(2));
    let error = pollster::block_on(wgr::train::score(&gpu, &wgr::Ranks::alone(), &config, &mut Silent)).unwrap_err();
    assert!(error.exit_code() == 1 && error.to_string().contains("the device was lost"), "{error}");
    assert!(!config.output.exists());
}
