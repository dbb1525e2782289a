//! Labels made elsewhere.

use std::fs::File;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::json;
use wgr::extract::AnnotatorKind;
use wgr::extract::inspect::{Query, find};

use crate::harness::*;

#[test]
fn labels_take_the_place_of_an_annotator() {
    let mut log = few();
    let rows = [
        label("a:b", 1, "UR2"),
        label("c3", 1, "Positive Feedback"),
        label("c4", 1, "UR1"),
        label("a:b", 3, "UR1"),
        label("elsewhere", 1, "UR4"),
    ];
    let file = labels(&log, "labels.jsonl", &rows);
    log.config.annotator_file = Some(file.clone());
    let report = log.run().unwrap();
    let name = format!("file:{}", file.display());
    assert_eq!(report.annotator, name);
    assert_eq!(
        (field(&log.rows(), "id"), field(&log.rows(), "label")),
        (vec!["a:b:1".into(), "c3:1".into()], vec!["2".into(), "4".into()])
    );
    let evidence = &log.rows()[0]["evidence"];
    assert_eq!((&evidence["annotator"], &evidence["level"]), (&json!(name), &json!("correction")));
    assert_eq!(evidence["reason"], "UR2");
    // The user's praise of the second response has no label.
    assert_eq!(report.annotated.0, [0, 1, 1, 0, 1]);
    let of = report.labels.as_ref().unwrap();
    assert_eq!((of.rows, of.turns, of.judged, of.filtered, of.unlabelled), (5, 5, 2, 1, 1));
    assert_eq!(of.misplaced.examples, ["turn 3 of a:b (row 4)"]);
    assert_eq!(of.unknown.examples, ["turn 1 of elsewhere (row 5)"]);
    let verdicts = log.file("stages/verdicts.jsonl");
    assert_eq!(field(&verdicts, "reason"), ["UR2", "no label", "Positive Feedback"]);
    let query = Query { id: None, label: None, reason: Some("UR2".into()), limit: 9 };
    assert_eq!(find(&log.config.output, &query).unwrap().len(), 1);
    let page = std::fs::read_to_string(log.config.output.join("report.html")).unwrap();
    for part in ["Labels made elsewhere", "turn 1 of elsewhere (row 5)", "without a label, so neutral"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn labels_come_in_parquet_too() {
    let mut log = few();
    let file = log.path("labels.parquet");
    let columns: [(&str, ArrayRef); 3] = [
        ("conversation_id", Arc::new(StringArray::from(vec!["a:b", "c3"]))),
        ("feedback_turn", Arc::new(Int64Array::from(vec![2, 1]))),
        ("category", Arc::new(StringArray::from(vec!["UR5", "UR3"]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&file).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    log.config.annotator_file = Some(file);
    log.run().unwrap();
    assert_eq!(
        (field(&log.rows(), "id"), field(&log.rows(), "label")),
        (vec!["a:b:2".into(), "c3:1".into()], vec!["4".into(), "2".into()])
    );
}

#[test]
fn ids_that_are_numbers_fit_those_of_the_log() {
    let mut numbered = turn(1, "u", COMPLAINT);
    numbered["conversation_hash"] = json!(9_007_199_254_740_993_i64);
    let long = "f".repeat(3000);
    let mut log = Log::of(&[numbered, conversation(&long, "u", &[&question(2), &answer(2), PRAISE])]);
    let rows = [label(9_007_199_254_740_993_i64, 1, "UR3"), label(long.as_str(), 1, "UR5")];
    log.config.annotator_file = Some(labels(&log, "labels.jsonl", &rows));
    assert_eq!(log.run().unwrap().labels.unwrap().judged, 2);
}

#[test]
fn neutral_turns_without_a_label_are_rows_only_where_neutral_is_kept() {
    let mut log = few();
    log.config.annotator_file = Some(labels(&log, "labels.jsonl", &[label("a:b", 1, "UR2")]));
    log.config.annotator = Some(AnnotatorKind::File);
    log.config.keep_neutral = true;
    log.run().unwrap();
    assert_eq!(field(&log.rows(), "label"), ["2", "3", "3"]);
    assert_eq!(log.rows()[1]["evidence"]["reason"], "no label");
}

#[test]
fn an_unknown_category_costs_nothing() {
    let mut log = few();
    log.run().unwrap();
    let before = log.rows();
    log.config.annotator_file = Some(labels(&log, "labels.jsonl", &[label("c3", 1, "UR1"), label("c3", 1, "UR7")]));
    log.config.force = true;
    let error = log.run().unwrap_err();
    for part in ["labels.jsonl:2", "UR7", "UR1 to UR5"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!((error.exit_code(), log.rows()), (2, before));
}

#[test]
fn a_run_goes_on_with_its_own_labels_only() {
    let mut log = few();
    let (some, others) =
        (labels(&log, "some.jsonl", &[label("c3", 1, "UR1")]), labels(&log, "others.jsonl", &[label("c3", 1, "UR5")]));
    log.config.annotator_file = Some(some.clone());
    log.run().unwrap();
    let rows = log.rows();
    log.config.annotator_file = Some(others.clone());
    log.config.resume = true;
    let error = log.run().unwrap_err();
    for part in ["`.annotator_file`", "others.jsonl", "some.jsonl", "`.force`"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(log.rows(), rows, "what a run finished stays");
    // The same labels elsewhere are the same labels.
    log.config.annotator_file = Some(log.path("moved.jsonl"));
    std::fs::rename(some, log.path("moved.jsonl")).unwrap();
    log.run().unwrap();
    (log.config.resume, log.config.force) = (false, true);
    log.config.annotator_file = Some(others);
    log.run().unwrap();
    assert_eq!(field(&log.rows(), "label"), ["4"]);
}

#[test]
fn labels_are_not_read_from_where_rows_are_written() {
    let mut log = few();
    log.run().unwrap();
    log.config.annotator_file = Some(log.config.output.join("stages/verdicts.jsonl"));
    log.config.force = true;
    assert!(log.run().unwrap_err().to_string().contains("contains the input"));
}

#[test]
fn verdicts_of_a_run_are_labels_for_another() {
    let mut log = few();
    log.run().unwrap();
    let rows = log.rows();
    let verdicts = log.path("verdicts.jsonl");
    std::fs::copy(log.config.output.join("stages/verdicts.jsonl"), &verdicts).unwrap();
    log.config.annotator_file = Some(verdicts);
    log.config.output = log.path("again");
    log.run().unwrap();
    let of = |name: &str| (field(&rows, name), field(&log.rows(), name));
    for name in ["id", "label"] {
        assert_eq!(of(name).0, of(name).1);
    }
}
