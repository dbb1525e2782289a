//! Runs that train adapters: their output and how it is read, how they resume, and what they refuse.

use std::path::Path;

use serde_json::{Value, json};
use wgr::dpo::{self, DpoConfig, PolicyConfig};
use wgr::evaluate::{EvalConfig, evaluate};
use wgr::generate::{self, GenerateConfig};
use wgr::model::base::BaseDtype;
use wgr::model::convert::{self, Format};
use wgr::model::lora::LoraSettings;
use wgr::model::weights::Dtype;
use wgr::objective::Objective;
use wgr::train::{Precision, TrainConfig};

use crate::harness::*;

/// A short run of adapters of rank 3 with dropout.
fn run(place: &Place, name: &str, objective: Objective) -> TrainConfig {
    place.run(objective, 11).with(|c| {
        c.trainer.output = place.path(name);
        c.trainer.batch_size = 2;
        c.trainer.grad_accum = 2;
        c.trainer.epochs = 2;
        c.lr = 1e-2;
        (c.lora.lora_rank, c.lora.lora_dropout) = (Some(3), 0.2);
    })
}

fn logits(rows: &[Value]) -> Vec<f64> {
    rows.iter().flat_map(|row| row["logits"].as_array().unwrap()).map(|value| value.as_f64().unwrap()).collect()
}

#[track_caller]
fn assert_same(what: &str, found: &[Value], expected: &[Value]) {
    for (found, expected) in logits(found).iter().zip(logits(expected)) {
        assert!((found - expected).abs() < 1e-5, "{what}: {found} instead of {expected}");
    }
}

#[test]
fn a_trained_adapter_scores_as_the_model_it_is_merged_into() {
    for objective in [Objective::Ordinal, Objective::Coral] {
        let place = Place::new();
        let config = run(&place, "adapter", objective);
        train(&config, &mut Watch::default()).unwrap();
        let adapter = &config.trainer.output;
        for file in ["adapter_config.json", "adapter_model.safetensors", "wgr_head.json", "README.md", "tokenizer.json"]
        {
            assert!(adapter.join(file).is_file(), "{file}");
        }
        assert!(!adapter.join("model.safetensors").exists() && !adapter.join("config.json").exists());
        let rows = labelled(5);
        let with_adapter = scores(&place.scoring(adapter, &rows));
        let base = scores(&place.scoring(&place.path("llama"), &rows));
        assert!(logits(&with_adapter).iter().zip(logits(&base)).any(|(a, b)| (a - b).abs() > 1e-2), "it learned");
        let merged = place.path("merged");
        let source = adapter.display().to_string();
        convert::merge(&source, &merged, Some(Dtype::F32), Format::HuggingFace).unwrap();
        let merged = scores(&place.scoring(&merged, &rows));
        assert_same("merged", &merged, &with_adapter);
        let score = |rows: &[Value]| rows.iter().map(|row| row["score"].as_f64().unwrap()).collect::<Vec<_>>();
        for (merged, adapter) in score(&merged).iter().zip(score(&with_adapter)) {
            assert!((merged - adapter).abs() < 1e-5, "{objective}: the head comes along");
        }
        let refused = convert::convert(&source, &place.path("no"), None, Format::HuggingFace).unwrap_err().to_string();
        assert!(refused.contains("`.merge`"), "{refused}");
        let refused = convert::merge(&config.model, &place.path("no"), None, Format::HuggingFace).unwrap_err();
        assert!(refused.to_string().contains("not an adapter"), "{refused}");
    }
}

#[test]
fn a_run_with_dropout_goes_on_to_the_same_bits() {
    for (precision, base) in
        [(Precision::F32, BaseDtype::Q8), (Precision::Mixed, BaseDtype::Bf16), (Precision::Mixed, BaseDtype::Q8)]
    {
        let place = Place::new();
        let at = |name: &str| {
            run(&place, name, Objective::Ordinal).with(|c| {
                c.trainer.precision = precision;
                c.trainer.eval_every = Some(2);
                c.trainer.eval_data = vec![place.write("held-out.jsonl", &labelled(3))];
                c.lora.base_dtype = Some(base);
            })
        };
        let (whole, parts) = (at("whole"), at("parts"));
        train(&whole, &mut Watch::default()).unwrap();
        let mut watch = Watch { stop_after: Some(3), ..Watch::default() };
        assert!(train(&parts, &mut watch).unwrap().interrupted);
        assert!(!parts.trainer.output.join("adapter_config.json").exists(), "a stopped run leaves no adapter");
        // Another rank or other targets would make another model of the checkpoint.
        for (setting, change) in [
            ("`.lora_rank`", (|c| c.lora.lora_rank = Some(4)) as fn(&mut TrainConfig)),
            ("`.lora_targets`", |c| c.lora.lora_targets = vec!["q_proj".into()]),
            ("is an adapter", |c| c.lora = Default::default()),
        ] {
            let other = parts.with(|c| c.trainer.resume = true).with(change);
            let error = train(&other, &mut Watch::default()).unwrap_err().to_string();
            assert!(error.contains(setting), "{error}");
        }
        train(&parts.with(|c| c.trainer.resume = true), &mut Watch::default()).unwrap();
        let weights = |config: &TrainConfig| tensors(&config.trainer.output.join("adapter_model.safetensors"));
        assert!(weights(&whole) == weights(&parts), "{precision:?} on {base}");
    }
}

#[test]
fn training_of_an_adapter_goes_on_from_another_run() {
    let place = Place::new();
    let first = run(&place, "first", Objective::Ordinal);
    train(&first, &mut Watch::default()).unwrap();
    let second = run(&place, "second", Objective::Ordinal).with(|c| {
        c.model = first.trainer.output.display().to_string();
        c.lora.lora_dropout = 0.0;
        c.lr = 1e-12;
    });
    train(&second, &mut Watch::default()).unwrap();
    let rows = labelled(4);
    let [first, second] = [&first, &second].map(|config| scores(&place.scoring(&config.trainer.output, &rows)));
    assert_same("a run that barely moves", &second, &first);
}

#[test]
fn adapters_that_do_not_fit_are_refused_by_name() {
    let place = Place::new();
    let config = run(&place, "adapter", Objective::Ordinal).with(|c| c.trainer.max_steps = Some(1));
    train(&config, &mut Watch::default()).unwrap();
    let adapter = config.trainer.output.as_path();
    let file = adapter.join("adapter_config.json");
    let written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let with = |field: &str, value: Value| {
        let mut json = written.clone();
        json[field] = value;
        std::fs::write(&file, json.to_string()).unwrap();
        score(&place.scoring(adapter, &labelled(1))).unwrap_err().to_string()
    };
    let other = place.model("qwen2");
    let error = with("base_model_name_or_path", json!(other));
    assert!(error.contains("adapter_model.safetensors") && error.contains("q_proj.lora_A.weight"), "{error}");
    let error = with("base_model_name_or_path", json!(place.path("gone")));
    assert!(error.contains("base_model_name_or_path") && error.contains("gone"), "{error}");
    let error = with("base_model_name_or_path", json!(adapter));
    assert!(error.contains("base_model_name_or_path"), "{error}");
    let error = with("r", json!(4));
    assert!(error.contains("lora_A.weight") && error.contains("[3, 28], not [4, 28]"), "{error}");
    let error = with("target_modules", json!(["q_proj"]));
    assert!(error.contains("is not part of an adapter"), "{error}");
    let error = with("target_modules", json!(["query_key_value"]));
    assert!(error.contains("target_modules") && error.contains("query_key_value"), "{error}");
    let error = with("use_dora", json!(true));
    assert!(error.contains("use_dora"), "{error}");
    std::fs::write(&file, written.to_string()).unwrap();
    assert!(score(&place.scoring(adapter, &labelled(1))).is_ok());
}

/// An adapter of PEFT for `tests/golden/blocks/base.gguf`, with some fields of its configuration changed.
fn adapter_for_a_file(place: &Place, changes: &[(&str, Value)]) -> String {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/blocks");
    let folder = place.path("for-a-file");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(golden.join("adapter_model.safetensors"), folder.join("adapter_model.safetensors")).unwrap();
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(golden.join("adapter_config.json")).unwrap()).unwrap();
    config["base_model_name_or_path"] = json!(golden.join("base.gguf"));
    changes.iter().for_each(|(field, value)| config[*field] = value.clone());
    std::fs::write(folder.join("adapter_config.json"), config.to_string()).unwrap();
    folder.display().to_string()
}

#[test]
fn every_command_refuses_an_adapter_that_does_not_fit_its_base() {
    let place = Place::new();
    let rows = place.write("pairs.jsonl", &[json!({"prompt": "w3", "chosen": "w4", "rejected": "w5"})]);
    let trained = place.run(Objective::Ordinal, 4);
    let alone = wgr::Ranks::alone();
    let run = |model: &str| -> [(&str, wgr::Result<()>); 7] {
        let lora = LoraSettings { lora_rank: Some(3), ..LoraSettings::default() };
        let dpo = DpoConfig {
            policy: PolicyConfig { model: model.into(), ..PolicyConfig::default() },
            data: vec![rows.clone()],
            trainer: trained.trainer.clone(),
            lora: lora.clone(),
            ..DpoConfig::default()
        };
        let eval = EvalConfig {
            model: vec![model.into()],
            suite: vec![format!("pairs={}", rows.display()).parse().unwrap()],
            output: place.path("report"),
            ..EvalConfig::default()
        };
        let generate = GenerateConfig { model: model.into(), prompt: Some("w3".into()), ..GenerateConfig::default() };
        let silent = &mut wgr::Silent;
        [
            (
                "train",
                train(&trained.with(|c| (c.model, c.lora) = (model.into(), lora)), &mut Watch::default()).map(drop),
            ),
            ("score", score(&place.scoring(Path::new(model), &labelled(1))).map(drop)),
            ("eval", pollster::block_on(evaluate(Some(&GPU), &alone, &eval, silent)).map(drop)),
            ("generate", pollster::block_on(generate::generate(&GPU, &alone, &generate, silent)).map(drop)),
            ("dpo", pollster::block_on(dpo::dpo(&GPU, &alone, &dpo, silent)).map(drop)),
            ("merge", convert::merge(model, &place.path("merged.gguf"), None, Format::Gguf).map(drop)),
            ("convert", convert::adapter_to_gguf(model, &place.path("adapter.gguf")).map(drop)),
        ]
    };
    for (changes, tensor, problem) in [
        ([("r", json!(2))], "q_proj.lora_A.weight", "has the shape [3, 256], not [2, 256]"),
        ([("target_modules", json!(["q_proj"]))], "lora_A.weight", "is not part of an adapter"),
        (
            [("base_model_name_or_path", json!(trained.model))],
            "q_proj.lora_A.weight",
            "has the shape [3, 256], not [3, 28]",
        ),
    ] {
        for (command, outcome) in run(&adapter_for_a_file(&place, &changes)) {
            let error = outcome.err().unwrap_or_else(|| panic!("{command} takes it")).to_string();
            for part in ["adapter_model.safetensors", tensor, problem] {
                assert!(error.contains(part), "{command}: {error}");
            }
        }
    }
    assert!(wgr::model::Checkpoint::open(&adapter_for_a_file(&place, &[])).is_ok());
}

#[test]
fn a_base_beside_the_adapter_is_found_from_anywhere() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let checkpoint = wgr::model::Checkpoint::open(&golden.join("lora").display().to_string()).unwrap();
    assert_eq!(checkpoint.base_name(), golden.join("llama").canonicalize().unwrap().display().to_string());
}
