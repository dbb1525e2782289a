use wgr::Silent;
use wgr::objective::Objective;

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

#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    let place = Place::new();
    let config = place.run(Objective::Ordinal, 4);
    let path = place.path("llama/model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let (start, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let name = "model.layers.1.mlp.up_proj.weight";
    let at = 8 + start + header.info(name).unwrap().data_offsets.0 + 4 * 5;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let training = train(&config, &mut Watch::default()).unwrap_err();
    let scoring = score(&place.scoring(&place.path("llama"), &labelled(2))).unwrap_err();
    for error in [training, scoring] {
        let message = error.to_string();
        assert!(message.contains(name) && message.contains("value 5 is NaN"), "{message}");
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
