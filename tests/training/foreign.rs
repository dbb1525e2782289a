//! Models made elsewhere: how their heads, templates, tokens and companions are used.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wgr::objective::Objective;
use wgr::optimizer::Schedule;
use wgr::train::{HeadReading, ScoreConfig};

use crate::harness::*;

const CHAT: &str = "{% for m in messages %}{{ m.role }} {{ m.content }}\n{% endfor %}";

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut json = std::fs::read(path).map_or(json!({}), |bytes| serde_json::from_slice(&bytes).unwrap());
    change(&mut json);
    std::fs::write(path, json.to_string()).unwrap();
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The tiny Llama as a reward model that another trainer made: one logit, a chat template, no word of `wgr`.
fn published(place: &Place) -> PathBuf {
    let config = place.run(Objective::Pairwise, 8);
    train(&config, &mut Watch::default()).unwrap();
    let model = config.trainer.output;
    edit(&model.join("config.json"), |json| {
        json.as_object_mut().unwrap().remove("wgr");
        json["id2label"] = json!({"0": "LABEL_0"});
        json.as_object_mut().unwrap().remove("problem_type");
    });
    std::fs::remove_file(model.join("wgr_template.jinja")).unwrap();
    edit(&model.join("tokenizer_config.json"), |json| json["chat_template"] = CHAT.into());
    let renamed = place.path("published");
    std::fs::rename(model, &renamed).unwrap();
    renamed
}

#[test]
fn a_published_head_scores_by_its_logit_and_reads_chats_by_its_own_template() {
    let place = Place::new();
    let model = published(&place);
    let chat = json!([{"role": "user", "content": "w3 w4"}, {"role": "assistant", "content": "w5"}]);
    let rows = [json!({"id": "chat", "messages": chat}), json!({"id": "text", "text": "user w3 w4\nassistant w5\n"})];
    let config = place.scoring(&model, &rows);
    let summary = score(&config).unwrap();
    let found = json_lines(&config.output);
    for row in &found {
        assert_eq!(row["score"].as_f64(), row["logits"][0].as_f64());
        assert_eq!(row["probs"], json!([]));
    }
    assert_eq!(found[0]["score"], found[1]["score"], "the chat template rendered the conversation");
    let reading = summary.reading.unwrap();
    assert!(reading.head.unwrap().contains("a scalar reward"), "{:?}", reading.template);
    assert!(reading.template.starts_with("of the model"), "{}", reading.template);
    // If the user says that the one logit is a threshold, it is one.
    let ordinal = scores(&ScoreConfig { head: Some(HeadReading::Ordinal), ..config });
    let logit = ordinal[0]["logits"][0].as_f64().unwrap();
    assert!((ordinal[0]["score"].as_f64().unwrap() - 1.0 - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-9);
}

#[test]
fn a_bias_of_the_head_is_used_and_kept() {
    let place = Place::new();
    let model = published(&place);
    let rows = labelled(3);
    let before = scores(&place.scoring(&model, &rows));
    let path = model.join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let bias = 2.5_f32.to_le_bytes();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &bias).unwrap();
    let all = file.tensors().into_iter().chain([("score.bias".to_owned(), view)]);
    let with_bias = safetensors::serialize(all, None).unwrap();
    std::fs::write(&path, with_bias).unwrap();
    for (before, after) in before.iter().zip(scores(&place.scoring(&model, &rows))) {
        let [before, after] = [before, &after].map(|row| row["score"].as_f64().unwrap());
        assert!((after - before - 2.5).abs() < 1e-5, "{before} {after}");
    }
    // Training continues from it, and gives it a gradient.
    let config = place.run(Objective::Pairwise, 4).with(|c| c.model = model.display().to_string());
    let mut watch = Watch::default();
    train(&config, &mut watch).unwrap();
    assert!(watch.notes.iter().any(|note| note.contains("classifiers of transformers have none")), "{:?}", watch.notes);
    let saved = tensors(&config.trainer.output.join("model.safetensors"));
    let (_, bias) = saved.iter().find(|(name, _)| name == "score.bias").unwrap();
    assert!((bias[0] - 2.5).abs() < 0.1, "{bias:?}");
}

#[test]
fn a_head_is_kept_or_replaced_with_a_word() {
    let place = Place::new();
    let model = published(&place).display().to_string();
    let run = |change: &dyn Fn(&mut wgr::train::TrainConfig)| {
        let config = place.run(Objective::Pairwise, 4).with(|c| {
            c.model.clone_from(&model);
            c.trainer.force = true;
            // Nothing is learned, so that what was drawn can be seen.
            c.lr = 1e-30;
            change(c);
        });
        let mut watch = Watch::default();
        train(&config, &mut watch).unwrap();
        let saved = tensors(&config.trainer.output.join("model.safetensors"));
        (watch.notes.join("\n"), saved.into_iter().find(|(name, _)| name == "score.weight").unwrap().1)
    };
    let (notes, kept) = run(&|_| {});
    assert!(notes.contains("head kept: score.weight with 1 output") && !notes.contains("is not used"), "{notes}");
    let (notes, new) = run(&|c| c.new_head = true);
    assert!(notes.contains("head new, 1 output") && new != kept, "{notes}");
    let data = place.write("rated.jsonl", &labelled(4));
    let (notes, wide) = run(&|c| (c.objective, c.data) = (Objective::Ordinal, vec![data.clone()]));
    assert!(notes.contains("warning: score.weight of the model, with 1 output, is not used"), "{notes}");
    assert_eq!(wide.len(), 3 * kept.len());
}

#[test]
fn servers_are_not_told_to_squash_a_scalar() {
    for (objective, problem_type, labels) in
        [(Objective::Pairwise, "regression", 1), (Objective::Ordinal, "multi_label_classification", 3)]
    {
        let place = Place::new();
        let config = place.run(objective, 4);
        train(&config, &mut Watch::default()).unwrap();
        let json = read(&config.trainer.output.join("config.json"));
        assert_eq!((&json["problem_type"], &json["num_labels"]), (&json!(problem_type), &json!(labels)));
        // Directories of earlier releases called every head multi-label; they are read as before.
        edit(&config.trainer.output.join("config.json"), |json| {
            json["problem_type"] = "multi_label_classification".into()
        });
        score(&place.scoring(&config.trainer.output, &labelled(2))).unwrap();
    }
}

#[test]
fn companions_travel_and_no_row_ends_with_the_pad_token() {
    let place = Place::new();
    let model = place.model("llama");
    std::fs::write(model.join("generation_config.json"), r#"{"eos_token_id": [2, 4]}"#).unwrap();
    std::fs::create_dir(model.join("additional_chat_templates")).unwrap();
    std::fs::write(model.join("chat_template.jinja"), CHAT).unwrap();
    std::fs::write(model.join("additional_chat_templates/rag.jinja"), "r").unwrap();
    edit(&model.join("config.json"), |json| {
        (json["pad_token_id"], json["eos_token_id"]) = (json!(2), json!(2));
    });
    edit(&model.join("tokenizer_config.json"), |json| {
        (json["eos_token"], json["unk_token"]) = ("</s>".into(), "<unk>".into())
    });
    let rows: Vec<Value> = (0..4).map(|i| json!({"text": format!("{} </s>", text(i)), "label": 1 + i})).collect();
    let config = place.run(Objective::Ordinal, 4).with(|c| c.data = vec![place.write("ends.jsonl", &rows)]);
    let mut watch = Watch::default();
    train(&config, &mut watch).unwrap();
    let saved = |name: &str| config.trainer.output.join(name);
    assert_eq!(read(&saved("config.json"))["pad_token_id"], 0);
    assert_eq!(read(&saved("tokenizer_config.json"))["pad_token"], "<unk>");
    assert!(
        watch.notes.iter().any(|note| note.contains("the padding token is saved as <unk> (0)")),
        "{:?}",
        watch.notes
    );
    assert_eq!(read(&saved("generation_config.json"))["eos_token_id"], json!([2, 4]));
    assert_eq!(std::fs::read_to_string(saved("additional_chat_templates/rag.jinja")).unwrap(), "r");
    // An adapter keeps the pad token in its tokenizer, for the model that it is merged into.
    let adapter = config.with(|c| (c.lora.lora_rank, c.trainer.output) = (Some(2), place.path("adapter")));
    let mut watch = Watch::default();
    train(&adapter, &mut watch).unwrap();
    assert!(watch.notes.iter().any(|note| note.contains("pad_token_id of the base model")), "{:?}", watch.notes);
    let [from, to] = ["adapter", "merged"].map(|name| place.path(name));
    wgr::model::convert::merge(from.to_str().unwrap(), &to, None, wgr::model::convert::Format::HuggingFace).unwrap();
    assert_eq!(read(&to.join("config.json"))["pad_token_id"], 0);
    // Another model in the same output leaves nothing of the first.
    let other = place.model("qwen2").display().to_string();
    train(&config.with(|c| (c.model, c.trainer.force) = (other, true)), &mut Watch::default()).unwrap();
    for name in ["generation_config.json", "chat_template.jinja", "additional_chat_templates"] {
        assert!(!saved(name).exists(), "{name}");
    }
}

#[test]
fn adapters_replace_a_model_and_a_model_adapters() {
    let place = Place::new();
    let full = place.run(Objective::Ordinal, 4).with(|c| c.trainer.force = true);
    let adapter = full.with(|c| c.lora.lora_rank = Some(2));
    for config in [&full, &adapter, &full] {
        train(config, &mut Watch::default()).unwrap();
        score(&place.scoring(&config.trainer.output, &labelled(2))).unwrap();
        let has = |name: &str| config.trainer.output.join(name).exists();
        let is_adapter = config.lora.lora_rank.is_some();
        assert_eq!([has("config.json"), has("model.safetensors")], [!is_adapter; 2]);
        assert_eq!([has("adapter_config.json"), has("adapter_model.safetensors")], [is_adapter; 2]);
    }
}

#[test]
fn weights_under_other_names_are_not_taken_for_none() {
    let place = Place::new();
    let config = place.run(Objective::Ordinal, 4);
    let model = place.model("llama");
    let [from, to] = ["model.safetensors", "model-00001-of-00002.safetensors"].map(|name| model.join(name));
    std::fs::rename(from, &to).unwrap();
    let error = train(&config, &mut Watch::default()).unwrap_err().to_string();
    assert!(error.contains("but model-00001-of-00002.safetensors (fetch model.safetensors.index.json"), "{error}");
    std::fs::remove_file(&to).unwrap();
    let mut watch = Watch::default();
    train(&config, &mut watch).unwrap();
    assert!(
        watch.notes.iter().any(|note| note.contains("has no weights; they are initialized at random")),
        "{:?}",
        watch.notes
    );
}

#[test]
fn a_finished_run_goes_on_where_its_schedule_allows() {
    let place = Place::new();
    let long = place.run(Objective::Ordinal, 16).with(|c| c.trainer.max_steps = Some(4));
    train(&long, &mut Watch::default()).unwrap();
    let short = long.with(|c| (c.trainer.max_steps, c.trainer.output) = (Some(2), place.path("short")));
    train(&short, &mut Watch::default()).unwrap();
    let more = short.with(|c| (c.trainer.max_steps, c.trainer.resume) = (Some(4), true));
    let mut watch = Watch::default();
    train(&more, &mut watch).unwrap();
    assert_eq!(watch.steps.len(), 2);
    let weights =
        |config: &wgr::train::TrainConfig| std::fs::read(config.trainer.output.join("model.safetensors")).unwrap();
    assert!(weights(&long) == weights(&more), "the run that was extended ends with the same bits");

    let linear = short.with(|c| (c.trainer.schedule, c.trainer.output) = (Schedule::Linear, place.path("linear")));
    train(&linear, &mut Watch::default()).unwrap();
    let before = weights(&linear);
    let more = linear.with(|c| (c.trainer.max_steps, c.trainer.resume) = (Some(4), true));
    let error = train(&more, &mut Watch::default()).unwrap_err();
    assert!(error.to_string().contains("`.schedule` constant") && error.exit_code() == 2, "{error}");
    assert!(weights(&linear) == before);
}
