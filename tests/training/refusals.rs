use std::path::Path;

use serde_json::{Value, json};
use wgr::objective::Objective;
use wgr::train::{ScoreConfig, TrainConfig};
use wgr::{Event, Observer};

use crate::harness::*;

/// Every file below a folder with its content, to see that a refusal touched nothing.
fn snapshot(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let mut files = vec![];
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(snapshot(&path))
        } else {
            files.push((path.clone(), std::fs::read(path).unwrap()))
        }
    }
    files.sort();
    files
}

#[track_caller]
fn refused(config: &TrainConfig, expected: &[&str]) {
    let before = snapshot(&config.trainer.output);
    let error = train(config, &mut Watch::default()).unwrap_err();
    let message = error.to_string();
    assert_eq!(error.exit_code(), 2, "{message}");
    assert!(!message.contains('\n'), "{message}");
    for part in expected {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    assert!(snapshot(&config.trainer.output) == before, "the output changed: {message}");
}

#[test]
fn an_existing_run_is_kept_unless_force_or_resume_say_otherwise() {
    let place = Place::new();
    let config = place.run(Objective::Ordinal, 8).with(|c| c.trainer.save_every = Some(1));
    train(&config, &mut Watch::default()).unwrap();
    refused(&config, &["already holds a run", "`.resume`", "`.force`"]);
    let shorter = config.with(|c| {
        c.trainer.max_steps = Some(1);
        c.trainer.force = true;
    });
    train(&shorter, &mut Watch::default()).unwrap();
    assert_eq!(json_lines(&config.trainer.output.join("metrics.jsonl")).len(), 1);
    assert!(!config.trainer.output.join("checkpoints/step-2").exists(), "checkpoints of the old run are gone");
    let mut watch = Watch { stop_after: Some(1), ..Watch::default() };
    train(&shorter.with(|c| c.trainer.max_steps = None), &mut watch).unwrap();
    assert!(
        !config.trainer.output.join("config.json").exists(),
        "the old model is not taken for that of a stopped run"
    );
    std::fs::remove_file(config.trainer.output.join("checkpoints/step-1/trainer_state.json")).unwrap();
    refused(&config.with(|c| c.trainer.resume = true), &["no complete checkpoint", "`.force`"]);
}

#[test]
fn bad_input_is_refused_before_anything_is_written() {
    let place = Place::new();
    let good = place.run(Objective::Ordinal, 4);
    let with = |rows: &[Value]| good.with(|c| c.data = vec![place.write("bad.jsonl", rows)]);
    refused(&good.with(|c| c.data = vec![place.path("absent.jsonl")]), &["absent.jsonl"]);
    refused(&with(&[]), &["bad.jsonl", "holds no rows"]);
    refused(&with(&[json!({"text": "w3", "label": 5})]), &["bad.jsonl:1", "the label 5 is outside 1..4"]);
    refused(&with(&[json!({"text": "w3", "label": 1}), json!({"text": "w4"})]), &["bad.jsonl:2", "label is missing"]);
    refused(&good.with(|c| c.levels = 3), &["rows.jsonl:", "outside 1..3"]);
    refused(&good.with(|c| c.objective = Objective::Pairwise), &["rows.jsonl:1", "`chosen`"]);
    refused(&good.with(|c| c.model = place.path("absent").display().to_string()), &["absent"]);
    let chat = json!({"id": "chat", "messages": [{"role": "user", "content": "w3"},
        {"role": "assistant", "content": "w4"}], "label": 1});
    refused(&with(&[chat]).with(|c| c.trainer.max_length = 8), &["chat", "`.max_length`"]);
    for (setting, config) in [
        ("`.batch_size`", good.with(|c| c.trainer.batch_size = 0)),
        ("`.lr`", good.with(|c| c.lr = f64::NAN)),
        ("`.lr`", good.with(|c| c.lr = 1e39)),
        ("`.levels`", good.with(|c| c.levels = 1)),
        ("`.epochs`", good.with(|c| c.trainer.epochs = 0)),
    ] {
        refused(&config, &[setting]);
    }
    assert!(!good.trainer.output.exists(), "nothing was written");
}

#[test]
fn bad_input_does_not_cost_the_old_run_that_force_would_replace() {
    let place = Place::new();
    let config = place.run(Objective::Ordinal, 4).with(|c| c.trainer.save_every = Some(1));
    train(&config, &mut Watch::default()).unwrap();
    let forced = config.with(|c| {
        c.trainer.force = true;
        c.data = vec![place.path("absent.jsonl")];
    });
    refused(&forced, &["absent.jsonl"]);
    let from = config.trainer.output.join("checkpoints/step-1");
    for model in [&config.trainer.output, &from] {
        let itself = config.with(|c| {
            c.trainer.force = true;
            c.model = model.display().to_string();
        });
        refused(&itself, &["`.output`", "contains the model"]);
    }
    // Nor is it written over the model under its adapters.
    let adapter = config.with(|c| {
        c.model = c.trainer.output.display().to_string();
        (c.lora.lora_rank, c.trainer.output) = (Some(2), place.path("adapter"));
    });
    train(&adapter, &mut Watch::default()).unwrap();
    let over_base = config.with(|c| {
        (c.lora.lora_rank, c.trainer.force) = (Some(2), true);
        c.model = adapter.trainer.output.display().to_string();
    });
    refused(&over_base, &["`.output`", "contains the model"]);
}

#[test]
fn a_tokenizer_must_belong_to_its_model() {
    let place = Place::new();
    let mut config = place.run(Objective::Ordinal, 4);
    let path = place.path("llama/tokenizer.json");
    std::fs::write(&path, tokenizer(60).to_string()).unwrap();
    config.data = vec![place.write("far.jsonl", &[json!({"id": "far", "text": "w55", "label": 1})])];
    refused(&config, &["far", "token id 55", "53 rows"]);
    std::fs::remove_file(&path).unwrap();
    refused(&config, &["tokenizer.json"]);
    assert!(!config.trainer.output.exists());
}

#[test]
fn scoring_refuses_what_it_cannot_do_and_writes_nothing() {
    let place = Place::new();
    let good = ScoreConfig { force: false, ..place.scoring(&place.model("llama"), &labelled(3)) };
    let refused = |config: &ScoreConfig, expected: &[&str]| {
        let error = score(config).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        for part in expected {
            assert!(error.to_string().contains(part), "{error} does not say {part:?}");
        }
    };
    refused(&ScoreConfig { input: place.write("empty.jsonl", &[]), ..good.clone() }, &["empty.jsonl", "no rows"]);
    refused(&ScoreConfig { batch_size: 0, ..good.clone() }, &["`.batch_size`"]);
    let nowhere = place.path("nowhere/scores.jsonl");
    refused(&ScoreConfig { output: nowhere.clone(), ..good.clone() }, &[&nowhere.display().to_string()]);
    let headless = place.model("qwen2");
    let bytes = std::fs::read(headless.join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let body = file.tensors().into_iter().filter(|(name, _)| name != "score.weight");
    std::fs::write(headless.join("model.safetensors"), safetensors::serialize(body, None).unwrap()).unwrap();
    refused(&ScoreConfig { model: headless.display().to_string(), ..good.clone() }, &["score.weight", "wgr train"]);
    assert!(!good.output.exists());
    score(&good).unwrap();
    let before = std::fs::read(&good.output).unwrap();
    refused(&good, &["scores.jsonl", "already exists", "`.force`"]);
    refused(&ScoreConfig { force: true, input: place.path("absent.jsonl"), ..good.clone() }, &["absent.jsonl"]);
    assert!(std::fs::read(&good.output).unwrap() == before, "a failed run keeps the old scores");
}

#[test]
fn an_output_that_cannot_be_written_is_noticed_before_the_work() {
    let place = Place::new();
    let config = place.scoring(&place.model("llama"), &labelled(3));
    let file = place.path("file");
    std::fs::write(&file, "").unwrap();
    struct NoWork;
    impl Observer for NoWork {
        fn on(&mut self, event: Event<'_>) {
            let scores = matches!(event, Event::Scored { .. });
            assert!(!scores, "rows were scored for an output that cannot be written");
        }
    }
    let blocked = ScoreConfig { output: file.join("scores.jsonl"), ..config };
    let error = pollster::block_on(wgr::train::score(&GPU, &wgr::Ranks::alone(), &blocked, &mut NoWork)).unwrap_err();
    assert!(error.to_string().contains("file/scores.jsonl"), "{error}");
    let train_there = place.run(Objective::Ordinal, 4).with(|c| c.trainer.output = file.join("out"));
    let error = train(&train_there, &mut Watch::default()).unwrap_err();
    assert!(error.to_string().contains("file/out"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let mut config = place.scoring(&place.model("llama"), &labelled(3));
    let folder = place.path("read-only");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(folder.join("probe"), "").is_ok() {
        println!("skipped: this user may write anywhere");
        return;
    }
    config.output = folder.join("scores.jsonl");
    let error = score(&config).unwrap_err();
    assert!(error.to_string().contains("read-only/scores.jsonl"), "{error}");
    assert!(std::fs::read_dir(&folder).unwrap().next().is_none());
}
