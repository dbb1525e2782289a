//! Rows and texts in memory come to what files come to.

use wgr::Silent;
use wgr::data::{Content, Row};
use wgr::objective::Objective;
use wgr::train::{RewardModel, TrainConfig, train_on};

use crate::harness::*;

fn train_in_memory(config: &TrainConfig, rows: &[Row], held_out: &[Row]) -> wgr::Result<wgr::train::TrainSummary> {
    pollster::block_on(train_on(&GPU, config, rows, held_out, &mut Silent))
}

/// `labelled`, as rows in memory.
fn rows(count: usize) -> Vec<Row> {
    let row = |row: serde_json::Value| {
        Row::new(row["id"].as_str().unwrap(), row["text"].as_str().unwrap()).labelled(row["label"].as_f64().unwrap())
    };
    labelled(count).into_iter().map(row).collect()
}

#[test]
fn rows_in_memory_train_as_those_of_files_do() {
    let place = Place::new();
    let mut config = place.run(Objective::Ordinal, 8);
    config.trainer.eval_data = vec![place.write("held-out.jsonl", &labelled(5))];
    let of_files = train(&config, &mut Watch::default()).unwrap();

    let in_memory = config.with(|config| {
        (config.data, config.trainer.eval_data) = (vec![], vec![]);
        config.trainer.output = place.path("in-memory");
    });
    let summary = train_in_memory(&in_memory, &rows(8), &rows(5)).unwrap();
    assert_eq!((summary.steps, summary.evaluation), (of_files.steps, of_files.evaluation));
    let weights = |config: &TrainConfig| tensors(&config.trainer.output.join("model.safetensors"));
    assert!(weights(&in_memory) == weights(&config));
}

#[test]
fn rows_in_memory_are_refused_as_those_of_files_are() {
    let place = Place::new();
    let config = place.run(Objective::Ordinal, 1);
    let said = |config: &TrainConfig, rows: &[Row]| train_in_memory(config, rows, &[]).unwrap_err().to_string();
    let error = said(&config, &rows(4));
    assert!(error.contains("rows.jsonl, but the rows are given"), "{error}");
    let config = config.with(|config| config.data.clear());
    let labelled = |label| Row::new("x", "w3").labelled(label);
    for (row, expected) in [
        (Row::new("x", "w3"), "row \"x\": the label is missing"),
        (labelled(2.5), "is not a whole number"),
        (labelled(5.0), "outside 1..4"),
        (labelled(f64::NAN), "is not a whole number"),
        (Row::new("x", "").labelled(1.0), "the text is empty"),
    ] {
        let error = said(&config, &[row]);
        assert!(error.contains(expected), "{error}");
    }
    assert!(said(&config, &[]).contains("is missing"));
    assert!(!config.trainer.output.exists(), "nothing was written");
}

#[test]
fn texts_score_as_the_rows_of_a_file_do() {
    let place = Place::new();
    let path = place.model("llama");
    let model = RewardModel::open(path.to_str().unwrap()).unwrap();
    let mut scorer = model.load(&GPU, &mut Silent).unwrap();
    let texts: Vec<String> = (0..20).map(text).collect();
    let found = pollster::block_on(scorer.score(texts.clone())).unwrap();
    let expected = scores(&place.scoring(&path, &labelled(20)));
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found.score - expected["score"].as_f64().unwrap()).abs() < 2e-6, "{found:?}, not {expected}");
    }
    assert_eq!(found.len(), expected.len());
    assert!(pollster::block_on(scorer.score(Vec::<Content>::new())).unwrap().is_empty());
    let error = pollster::block_on(scorer.score(["w3", ""])).unwrap_err().to_string();
    assert!(error.starts_with("row \"1\": the text is empty"), "{error}");
}
