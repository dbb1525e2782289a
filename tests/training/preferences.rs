//! `wgr dpo` from files to files.

use std::path::Path;

use serde_json::{Value, json};
use wgr::dpo::{DpoConfig, DpoSummary, PolicyConfig, dpo};
use wgr::generate::{GenerateConfig, Sampling, generate};
use wgr::model::base::BaseDtype;
use wgr::model::convert::{self, Format};
use wgr::model::weights::Dtype;
use wgr::objective::PreferenceLoss;
use wgr::optimizer::Schedule;
use wgr::train::{Precision, TrainerConfig};
use wgr::{Event, Observer};

use crate::harness::*;

impl With for DpoConfig {}

/// A tiny causal model.
const MODEL: &str = "dpo/llama";

/// Pairs that can be distinguished: chosen completions always begin with the same words, rejected ones with others.
fn separable(count: usize) -> Vec<Value> {
    let row = |n: usize| {
        json!({"id": format!("p{n}"), "prompt": text(n), "chosen": format!("w10 w11 w{}", 3 + n % 40),
               "rejected": format!("w20 w21 w{}", 3 + n * 7 % 40)})
    };
    (0..count).map(row).collect()
}

/// Settings of a short run on the tiny Llama, which gets a bos and an eos token.
fn run(place: &Place, rows: usize) -> DpoConfig {
    let model = place.path(MODEL);
    if !model.exists() {
        place.model(MODEL);
        let tokens = json!({"bos_token": "<s>", "eos_token": "</s>"});
        std::fs::write(model.join("tokenizer_config.json"), tokens.to_string()).unwrap();
    }
    DpoConfig {
        policy: PolicyConfig { model: model.display().to_string(), lr: 1e-3, ..PolicyConfig::default() },
        data: vec![place.write("pairs.jsonl", &separable(rows))],
        trainer: TrainerConfig {
            output: place.path("out"),
            schedule: Schedule::Constant,
            warmup_ratio: 0.0,
            ..TrainerConfig::default()
        },
        ..DpoConfig::default()
    }
}

fn train(config: &DpoConfig, watch: &mut Watch) -> wgr::Result<DpoSummary> {
    pollster::block_on(dpo(&GPU, &wgr::Ranks::alone(), config, watch))
}

/// Metrics without what the clock decides.
fn metrics(output: &Path) -> Vec<Value> {
    let mut rows = json_lines(&output.join("metrics.jsonl"));
    for row in &mut rows {
        row.as_object_mut().unwrap().remove("tokens_per_second");
    }
    rows
}

#[test]
fn a_policy_learns_to_tell_pairs_apart() {
    let place = Place::new();
    let held_out = place.write("held-out.jsonl", &separable(40)[32..]);
    let config = run(&place, 32).with(|c| {
        c.trainer.epochs = 3;
        c.trainer.eval_data = vec![held_out];
        c.trainer.eval_every = Some(12);
    });
    let summary = train(&config, &mut Watch::default()).unwrap();
    assert_eq!((summary.training.steps, summary.pairs.pairs), (24, 32));
    let rows = metrics(&config.trainer.output);
    let first = &rows[0];
    for (name, at_start) in [("loss", 2f64.ln()), ("rewards/margins", 0.0)] {
        assert!((first[name].as_f64().unwrap() - at_start).abs() < 1e-5, "{name}: {first}");
    }
    for name in ["rewards/chosen", "rewards/rejected", "logps/chosen", "logps/rejected", "entropy", "grad_norm"] {
        assert!(first[name].is_f64(), "{name}: {first}");
    }
    let steps: Vec<&Value> = rows.iter().filter(|row| row["loss"].is_f64()).collect();
    assert_eq!(steps.len(), 24);
    let last = steps[23];
    assert!(last["loss"].as_f64().unwrap() < 0.6, "{last}");
    assert_eq!(last["rewards/accuracies"], 1.0);
    let evaluation = &summary.training.evaluation;
    assert_eq!(evaluation["eval/pairs"], 8);
    assert!(evaluation["eval/rewards/accuracies"].as_f64().unwrap() > 0.8, "{evaluation:?}");
    assert!(evaluation["eval/loss"].as_f64().unwrap() < 2f64.ln(), "{evaluation:?}");
    for file in ["model.safetensors", "tokenizer.json", "README.md", "loss.svg", "wgr.toml", "reference.jsonl"] {
        assert!(config.trainer.output.join(file).exists(), "{file}");
    }
    // The output is a policy: it can be trained further, and starts where the other ended.
    let again = run(&place, 32).with(|c| {
        c.policy.model = config.trainer.output.display().to_string();
        c.trainer.output = place.path("again");
        c.trainer.max_steps = Some(1);
    });
    train(&again, &mut Watch::default()).unwrap();
    let first = &metrics(&again.trainer.output)[0];
    assert!((first["loss"].as_f64().unwrap() - 2f64.ln()).abs() < 1e-5, "{first}");
    // The model it came from is a reference that it has left behind.
    let against = again.with(|c| {
        c.policy.reference = Some(run(&place, 32).policy.model);
        c.trainer.output = place.path("against");
    });
    train(&against, &mut Watch::default()).unwrap();
    let first = &metrics(&against.trainer.output)[0];
    assert!(first["rewards/margins"].as_f64().unwrap() > 0.1, "{first}");
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_bits() {
    for (loss, precision) in [(PreferenceLoss::Sigmoid, Precision::Mixed), (PreferenceLoss::Simpo, Precision::F32)] {
        let place = Place::new();
        let held_out = place.write("held-out.jsonl", &separable(30)[24..]);
        let at = |name: &str| {
            run(&place, 11).with(|c| {
                c.loss.kind = loss;
                c.trainer.output = place.path(name);
                c.trainer.eval_data = vec![held_out.clone()];
                c.trainer.epochs = 2;
                c.trainer.grad_accum = 2;
                c.trainer.batch_size = 2;
                c.trainer.save_every = Some(3);
                c.trainer.schedule = Schedule::Cosine;
                c.trainer.precision = precision;
            })
        };
        let (whole, parts) = (at("whole"), at("parts"));
        train(&whole, &mut Watch::default()).unwrap();
        let resumed = parts.with(|c| c.trainer.resume = true);
        for stop_after in [1, 4] {
            let mut watch = Watch { stop_after: Some(stop_after), ..Watch::default() };
            let summary = train(&resumed, &mut watch).unwrap();
            assert!(summary.training.interrupted && summary.training.steps == stop_after, "{summary:?}");
            assert!(!parts.trainer.output.join("config.json").exists(), "a stopped run leaves no model");
        }
        let summary = train(&resumed, &mut Watch::default()).unwrap();
        assert_eq!(summary.training.steps, 6);
        assert_eq!(metrics(&parts.trainer.output), metrics(&whole.trainer.output), "{loss}");
        for file in ["model.safetensors", "config.json", "checkpoints/step-6/optimizer.safetensors"] {
            let bytes = |config: &DpoConfig| std::fs::read(config.trainer.output.join(file)).unwrap();
            assert!(bytes(&parts) == bytes(&whole), "{loss}: {file}");
        }
        assert_eq!(parts.trainer.output.join("reference.jsonl").exists(), loss.needs_reference());
    }
}

/// Counts what the reference computes, and may stop it after some batches.
#[derive(Default)]
struct Passes {
    batches: usize,
    tokens: u64,
    stop_after: Option<usize>,
}

impl Observer for Passes {
    fn on(&mut self, event: Event<'_>) {
        if let Event::Scored { tokens, .. } = event {
            self.batches += 1;
            self.tokens = tokens;
        }
    }

    fn stop_requested(&self) -> bool {
        self.stop_after.is_some_and(|batches| self.batches >= batches)
    }
}

#[test]
fn an_interrupted_reference_computes_only_what_is_missing() {
    let place = Place::new();
    let policy = run(&place, 11).policy.model;
    for (name, reference) in [("own", None), ("second", Some(policy))] {
        let at = |part: &str| {
            run(&place, 11).with(|c| {
                c.policy.reference = reference.clone();
                c.trainer.output = place.path(&format!("{name}-{part}"));
                c.trainer.batch_size = 2;
                c.trainer.max_steps = Some(1);
            })
        };
        let (whole, parts) = (at("whole"), at("parts"));
        let compute = |config: &DpoConfig, stop_after: Option<usize>| {
            let mut passes = Passes { stop_after, ..Passes::default() };
            (pollster::block_on(dpo(&GPU, &wgr::Ranks::alone(), config, &mut passes)), passes)
        };
        let (done, all) = compute(&whole, None);
        done.unwrap();
        assert!(all.batches > 3);
        let (stopped, some) = compute(&parts, Some(2));
        let error = stopped.unwrap_err();
        assert!(matches!(&error, wgr::Error::Interrupted(what) if what.contains("are kept")), "{error}");
        let (done, rest) = compute(&parts, None);
        done.unwrap();
        assert_eq!((some.tokens + rest.tokens, rest.batches), (all.tokens, all.batches), "{name}");
        assert!(some.tokens > 0 && rest.tokens > 0);
        for file in ["reference.jsonl", "model.safetensors"] {
            let bytes = |config: &DpoConfig| std::fs::read(config.trainer.output.join(file)).unwrap();
            assert!(bytes(&parts) == bytes(&whole), "{name}: {file}");
        }
        assert!(!parts.trainer.output.join("reference.part.jsonl").exists());
    }
}

#[test]
fn reference_log_probabilities_are_computed_once() {
    let place = Place::new();
    let shared = |name: &str, beta: f64| {
        run(&place, 8).with(|c| {
            c.loss.beta = beta;
            c.reference_cache = Some(place.path("cache"));
            c.trainer.output = place.path(name);
            c.trainer.max_steps = Some(1);
        })
    };
    let first = shared("first", 0.1);
    train(&first, &mut Watch::default()).unwrap();
    let cache = place.path("cache/reference.jsonl");
    let written = std::fs::read(&cache).unwrap();
    // Another β needs no other log-probabilities.
    let mut watch = Watch::default();
    train(&shared("second", 0.5), &mut watch).unwrap();
    assert!(watch.notes.iter().any(|note| note.contains("come from")), "{:?}", watch.notes);
    assert!(!watch.notes.iter().any(|note| note.contains("computing")), "{:?}", watch.notes);
    assert_eq!(std::fs::read(&cache).unwrap(), written);
    let refused = |config: &DpoConfig, expected: &str| {
        let error = train(config, &mut Watch::default()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(expected), "{error}");
        assert!(error.to_string().contains("reference.jsonl") && !config.trainer.output.exists(), "{error}");
    };
    refused(&shared("fresh", 0.1).with(|c| c.data = vec![place.write("other.jsonl", &separable(9))]), "other rows");
    refused(&shared("fresh", 0.1).with(|c| c.trainer.max_length = 7), "`.max_length`");
    refused(&shared("fresh", 0.1).with(|c| c.trainer.precision = Precision::Mixed), "`.precision` f32");
    refused(&shared("fresh", 0.1).with(|c| c.policy.model = other_model(&place)), "another reference model");
    std::fs::write(&cache, &written[..written.len() - 9]).unwrap();
    refused(&shared("fresh", 0.1), "is damaged");

    // A resumed run uses its own, and does not continue without it.
    let own = run(&place, 8).with(|c| c.trainer.save_every = Some(1));
    train(&own, &mut Watch { stop_after: Some(1), ..Watch::default() }).unwrap();
    let resumed = own.with(|c| c.trainer.resume = true);
    let kept = own.trainer.output.join("reference.jsonl");
    let good = std::fs::read(&kept).unwrap();
    std::fs::remove_file(&kept).unwrap();
    let error = train(&resumed, &mut Watch::default()).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("the policy has changed"), "{error}");
    std::fs::write(&kept, good).unwrap();
    assert_eq!(train(&resumed, &mut Watch::default()).unwrap().training.steps, 2);
    // A new run in its place takes nothing over that is not its own.
    let replacing = own.with(|c| {
        c.trainer.force = true;
        c.data = vec![place.write("other.jsonl", &separable(9))];
    });
    train(&replacing, &mut Watch::default()).unwrap();
    assert_eq!(json_lines(&kept).len(), 1 + 9);
}

/// A copy of the tiny model with another weight.
fn other_model(place: &Place) -> String {
    let (from, to) = (place.path(MODEL), place.path("other"));
    std::fs::create_dir_all(&to).unwrap();
    for entry in std::fs::read_dir(&from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    let weights = to.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    to.display().to_string()
}

#[test]
fn bad_input_is_refused_before_anything_is_written() {
    let place = Place::new();
    let good = run(&place, 4);
    let refused = |config: &DpoConfig, expected: &[&str]| {
        let error = train(config, &mut Watch::default()).unwrap_err();
        let message = error.to_string();
        assert_eq!(error.exit_code(), 2, "{message}");
        assert!(expected.iter().all(|part| message.contains(part)) && !message.contains('\n'), "{message}");
        assert!(!config.trainer.output.exists(), "{message}");
    };
    let with = |rows: &[Value]| good.with(|c| c.data = vec![place.write("bad.jsonl", rows)]);
    refused(&with(&[]), &["bad.jsonl", "holds no rows"]);
    refused(&with(&[json!({"prompt": "w3", "chosen": "w4"})]), &["bad.jsonl:1", "no `rejected`"]);
    refused(&with(&[json!({"text": "w3", "label": 1})]), &["bad.jsonl:1", "preference pairs"]);
    let equal = json!({"prompt": "w3", "chosen": "w4", "rejected": "w4"});
    refused(&with(&[equal]), &["`.data`", "equal completions"]);
    refused(&with(&[json!({"id": "bare", "chosen": "w4", "rejected": "w5"})]), &["row \"bare\"", "has no prompt"]);
    let chat = json!({"id": "chat", "prompt": "w3", "chosen": [{"role": "assistant", "content": "w4"}],
                      "rejected": [{"role": "assistant", "content": "w5"}]});
    refused(&with(&[chat]), &["has no chat template", "row \"chat\""]);
    refused(&good.with(|c| c.policy.model = place.path("absent").display().to_string()), &["absent"]);
    refused(&good.with(|c| c.loss.beta = 0.0), &["`.beta`"]);
    refused(&good.with(|c| c.policy.reference = Some("no/such/model".into())), &["no/such/model"]);

    let other = other_model(&place);
    let tokenizer = Path::new(&other).join("tokenizer.json");
    let vocabulary = std::fs::read_to_string(&tokenizer).unwrap().replace("\"w9\":9", "\"w9\":10");
    let vocabulary = vocabulary.replace("\"w10\":10", "\"w10\":9");
    std::fs::write(&tokenizer, vocabulary).unwrap();
    refused(
        &good.with(|c| c.policy.reference = Some(other.clone())),
        &["`.reference`", "a different vocabulary", "token 9"],
    );

    let classifier = place.run(wgr::objective::Objective::Ordinal, 4).with(|c| c.trainer.output = place.path("rm"));
    crate::harness::train(&classifier, &mut Watch::default()).unwrap();
    refused(&good.with(|c| c.policy.model = place.path("rm").display().to_string()), &["`.policy`", "is a classifier"]);
}

#[test]
fn a_run_goes_on_with_what_it_was_after_only() {
    let place = Place::new();
    let config = run(&place, 8).with(|c| c.trainer.save_every = Some(1));
    train(&config, &mut Watch { stop_after: Some(1), ..Watch::default() }).unwrap();
    let other = config.with(|c| {
        c.trainer.resume = true;
        c.loss.beta = 0.2;
    });
    let error = train(&other, &mut Watch::default()).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("`.beta` 0.2"), "{error}");
}

#[test]
fn a_run_that_diverges_keeps_the_last_good_state() {
    let place = Place::new();
    let config = run(&place, 12).with(|c| c.policy.lr = 1e30);
    let error = train(&config, &mut Watch::default()).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("at step 2") && error.to_string().contains("`.lr`"), "{error}");
    assert!(config.trainer.output.join("checkpoints/step-1/dpo.json").exists());
    assert!(!config.trainer.output.join("config.json").exists(), "no model is left behind");
}

#[test]
fn a_policy_learns_with_adapters_and_goes_on_to_the_same_bits() {
    let place = Place::new();
    let at = |name: &str| {
        run(&place, 32).with(|c| {
            c.trainer.output = place.path(name);
            c.trainer.epochs = 3;
            c.policy.lr = 1e-2;
            c.lora.lora_rank = Some(4);
        })
    };
    let (whole, parts) = (at("whole"), at("parts"));
    train(&whole, &mut Watch::default()).unwrap();
    let rows = metrics(&whole.trainer.output);
    let (first, last) = (&rows[0], rows.iter().rfind(|row| row["loss"].is_f64()).unwrap());
    // New adapters change nothing, so the policy begins as its own reference.
    assert!((first["loss"].as_f64().unwrap() - 2f64.ln()).abs() < 1e-5, "{first}");
    assert!(last["loss"].as_f64().unwrap() < 0.6 && last["rewards/accuracies"] == 1.0, "{last}");
    assert!(!whole.trainer.output.join("model.safetensors").exists());
    let mut watch = Watch { stop_after: Some(9), ..Watch::default() };
    assert!(train(&parts, &mut watch).unwrap().training.interrupted);
    train(&parts.with(|c| c.trainer.resume = true), &mut Watch::default()).unwrap();
    for file in ["adapter_model.safetensors", "adapter_config.json"] {
        let bytes = |config: &DpoConfig| std::fs::read(config.trainer.output.join(file)).unwrap();
        assert!(bytes(&parts) == bytes(&whole), "{file}");
    }
    assert_eq!(metrics(&parts.trainer.output), metrics(&whole.trainer.output));
    // An adapter is a policy, too, and begins as its own reference.
    let again = at("again").with(|c| {
        c.policy.model = whole.trainer.output.display().to_string();
        c.trainer.max_steps = Some(1);
    });
    train(&again, &mut Watch::default()).unwrap();
    let first = &metrics(&again.trainer.output)[0];
    assert!((first["loss"].as_f64().unwrap() - 2f64.ln()).abs() < 1e-5, "{first}");
}

#[test]
fn an_adapter_generates_as_the_policy_it_is_merged_into() {
    let place = Place::new();
    let config = run(&place, 32).with(|c| {
        c.policy.lr = 1e-2;
        c.lora.lora_rank = Some(4);
        c.lora.base_dtype = Some(BaseDtype::Q8);
    });
    train(&config, &mut Watch::default()).unwrap();
    let (adapter, merged) = (config.trainer.output.display().to_string(), place.path("merged"));
    convert::merge(&adapter, &merged, Some(Dtype::F32), Format::HuggingFace).unwrap();
    let greedy = |model: &str| {
        let config = GenerateConfig {
            model: model.into(),
            prompt: Some(text(3)),
            raw: true,
            sampling: Sampling::greedy(),
            max_new_tokens: 12,
            ..GenerateConfig::default()
        };
        let summary = pollster::block_on(generate(&GPU, &wgr::Ranks::alone(), &config, &mut wgr::Silent)).unwrap();
        summary.rows[0].text.clone()
    };
    let with_adapter = greedy(&adapter);
    assert_eq!(with_adapter, greedy(&merged.display().to_string()));
    assert_ne!(with_adapter, greedy(&config.policy.model), "it learned");
}
