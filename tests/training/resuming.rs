use std::path::Path;

use serde_json::{Value, json};
use wgr::objective::Objective;
use wgr::optimizer::Schedule;
use wgr::train::Precision;

use crate::harness::*;

/// Metrics without what the clock decides.
fn metrics(output: &Path) -> Vec<Value> {
    let mut rows = json_lines(&output.join("metrics.jsonl"));
    for row in &mut rows {
        row.as_object_mut().unwrap().remove("tokens_per_second");
    }
    rows
}

fn bytes(output: &Path, file: &str) -> Vec<u8> {
    std::fs::read(output.join(file)).unwrap()
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_bits() {
    // Two epochs of three steps, in another order each.
    for (objective, precision) in [
        (Objective::Ordinal, Precision::F32),
        (Objective::Ordinal, Precision::Mixed),
        // Whose errors are large enough for steps to be skipped.
        (Objective::Regression, Precision::MixedF16),
        (Objective::Coral, Precision::F32),
    ] {
        let place = Place::new();
        let at = |name: &str| {
            place.run(objective, 11).with(|c| {
                c.trainer.output = place.path(name);
                c.trainer.epochs = 2;
                c.trainer.grad_accum = 2;
                c.trainer.batch_size = 2;
                c.trainer.save_every = Some(3);
                c.trainer.eval_every = Some(2);
                c.trainer.eval_data = vec![place.write("held-out.jsonl", &labelled(3))];
                c.trainer.schedule = Schedule::Cosine;
                c.trainer.warmup_ratio = 0.3;
                c.trainer.precision = precision;
                if objective == Objective::Regression {
                    let rows: Vec<Value> = (0..11).map(|i| json!({"text": text(i), "label": 50 * i})).collect();
                    c.data = vec![place.write("large.jsonl", &rows)];
                }
            })
        };
        let (whole, again, parts) = (at("whole"), at("again"), at("parts"));
        train(&whole, &mut Watch::default()).unwrap();
        let steps = metrics(&whole.trainer.output).into_iter().filter(|row| row["loss"].is_number());
        let skipped = steps.filter(|row| row["grad_norm"].is_null()).count();
        assert_eq!((1..5).contains(&skipped), precision == Precision::MixedF16, "{objective} {precision}: {skipped}");
        train(&again, &mut Watch::default()).unwrap();
        for stop_after in [1, 4] {
            let mut watch = Watch { stop_after: Some(stop_after), ..Watch::default() };
            let summary = train(&parts.with(|c| c.trainer.resume = true), &mut watch).unwrap();
            assert!(summary.interrupted && summary.steps == stop_after, "{summary:?}");
            assert!(!parts.trainer.output.join("config.json").exists(), "a stopped run leaves no model");
        }
        let mut watch = Watch::default();
        let summary = train(&parts.with(|c| c.trainer.resume = true), &mut watch).unwrap();
        assert_eq!((summary.steps, watch.steps.len(), summary.interrupted), (6, 2, false));
        for other in [&again, &parts] {
            let name = other.trainer.output.display();
            assert_eq!(
                metrics(&other.trainer.output),
                metrics(&whole.trainer.output),
                "{name} {objective} {precision:?}"
            );
            for file in [
                "model.safetensors",
                "config.json",
                "checkpoints/step-6/optimizer.safetensors",
                "checkpoints/step-6/trainer_state.json",
            ] {
                assert!(
                    bytes(&other.trainer.output, file) == bytes(&whole.trainer.output, file),
                    "{name} {objective} {precision:?}: {file}"
                );
            }
        }
    }
}

#[test]
fn the_order_of_rows_depends_on_the_seed() {
    let place = Place::new();
    let with = |seed| {
        losses(&place.run(Objective::Ordinal, 12).with(|c| {
            c.trainer.seed = seed;
            c.trainer.force = true;
        }))
    };
    assert_ne!(with(1), with(2));
}

#[test]
fn a_resumed_run_keeps_its_head() {
    let place = Place::new();
    let config = place.run(Objective::Ordinal, 8).with(|c| {
        c.trainer.save_every = Some(1);
        c.trainer.max_steps = Some(1);
    });
    train(&config, &mut Watch::default()).unwrap();
    let other = config.with(|c| {
        c.objective = Objective::Corn;
        c.trainer.resume = true;
    });
    let error = train(&other, &mut Watch::default()).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("`.objective`"), "{error}");
    let other = config.with(|c| {
        c.levels = 5;
        c.trainer.resume = true;
    });
    let error = train(&other, &mut Watch::default()).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("`.levels`"), "{error}");
}

#[test]
fn a_checkpoint_cut_short_is_passed_over_and_a_damaged_one_is_named() {
    let place = Place::new();
    let config = place.run(Objective::Ordinal, 12).with(|c| c.trainer.save_every = Some(1));
    train(&config, &mut Watch::default()).unwrap();
    let checkpoint = |step: u64| config.trainer.output.join(format!("checkpoints/step-{step}"));
    std::fs::remove_file(checkpoint(3).join("trainer_state.json")).unwrap();
    let again = config.with(|c| c.trainer.resume = true);
    let mut watch = Watch::default();
    train(&again, &mut watch).unwrap();
    assert_eq!(watch.steps.len(), 1, "from step 2 to 3");
    for (file, content) in [("optimizer.safetensors", "short"), ("trainer_state.json", "{}"), ("config.json", "{")] {
        let path = checkpoint(3).join(file);
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, content).unwrap();
        let error = train(&again, &mut Watch::default()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(file), "{error}");
        std::fs::write(&path, good).unwrap();
    }
}
