//! The output of a run.

use serde_json::json;
use wgr::data::{Purpose, read_rows};
use wgr::extract::Format;
use wgr::extract::TestSize;
use wgr::extract::inspect::{Query, find};

use crate::harness::*;

#[test]
fn a_row_has_the_fields_of_wildfb_and_where_it_comes_from() {
    let log = Log::of(&[turn(1, "u1", COMPLAINT)]);
    log.run().unwrap();
    let row = &log.rows()[0];
    let names: Vec<&str> = row.keys().map(String::as_str).collect();
    let expected = [
        "id",
        "history",
        "text",
        "messages",
        "user_feedback",
        "label",
        "user",
        "conversation",
        "turn",
        "language",
        "model",
        "timestamp",
        "evidence",
    ];
    assert_eq!(names, expected);
    assert_eq!(row["label"], 2);
    assert_eq!(row["history"], json!([]));
    assert_eq!(row["messages"][1], json!({"role": "assistant", "content": answer(1)}));
    assert_eq!(row["user_feedback"], json!({"role": "user", "content": COMPLAINT}));
    let evidence = &row["evidence"];
    assert_eq!((&evidence["annotator"], &evidence["level"]), (&json!("rules"), &json!("correction")));
    assert!(evidence["reason"].as_str().unwrap().starts_with("correction/"), "{evidence}");
}

#[test]
fn labels_close_the_gap_of_neutral_or_keep_it() {
    let rows = [turn(1, "u", PRAISE), turn(2, "u", COMPLAINT), turn(3, "u", &question(4))];
    let mut log = Log::of(&rows);
    log.run().unwrap();
    assert_eq!(field(&log.rows(), "label"), ["4", "2"]);
    log.config.keep_neutral = true;
    log.config.force = true;
    let report = log.run().unwrap();
    assert_eq!(field(&log.rows(), "label"), ["5", "2", "3"]);
    assert_eq!(report.annotated.0, [0, 1, 1, 0, 1]);
}

#[test]
fn what_extraction_writes_training_reads() {
    let rows: Vec<_> = (0..20).map(|index| turn(index, "u", [PRAISE, COMPLAINT][index % 2])).collect();
    let mut log = Log::of(&rows);
    log.config.test_size = Some(TestSize::Rows(4));
    log.run().unwrap();
    for format in [Format::Jsonl, Format::Parquet] {
        log.config.format = format;
        log.config.force = true;
        let report = log.run().unwrap();
        assert_eq!((report.train.rows, report.test.rows), (16, 4));
        let path = log.config.output.join("train").with_extension(format.extension());
        let (read, _) = read_rows(&[path], Purpose::Levels(4)).unwrap();
        assert_eq!(read.len(), 16);
        let other = log.config.output.join(if format == Format::Jsonl { "train.parquet" } else { "train.jsonl" });
        assert!(!other.exists(), "rows of an earlier run must not stay beside those of this one");
    }
}

#[test]
fn the_report_accounts_for_every_turn() {
    let mut short = turn(3, "u", PRAISE);
    short["conversation"][0]["content"] = "Hi".into();
    let rows = [turn(1, "u", PRAISE), turn(2, "u", &question(9)), short, turn(1, "u", PRAISE)];
    let mut log = Log::of(&rows);
    // The fourth has the id of the first; under another one it is the same exchange.
    let report = log.run().unwrap();
    let count = |name: &str| report.funnel.iter().find(|stage| stage.name == name).unwrap().count;
    assert_eq!([count("conversations read"), count("usable conversations")], [4, 3]);
    assert_eq!([count("responses with a next user message"), count("left by the filters")], [3, 2]);
    assert_eq!(count("rows"), 1);
    assert_eq!(report.filters.iter().map(|filter| filter.count).sum::<u64>(), 1);
    let saved: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(log.config.output.join("report.json")).unwrap()).unwrap();
    assert_eq!(saved, serde_json::to_value(&report).unwrap());

    let mut again = turn(4, "u", PRAISE);
    again["conversation"] = turn(1, "u", COMPLAINT)["conversation"].clone();
    log = Log::of(&[turn(1, "u", PRAISE), again]);
    let report = log.run().unwrap();
    let duplicates = report.filters.iter().find(|filter| filter.name == "duplicate").unwrap();
    assert_eq!((duplicates.count, log.rows().len()), (1, 1));
}

#[test]
fn turns_are_found_again() {
    let mut short = turn(3, "u", PRAISE);
    short["conversation"][0]["content"] = "Hi".into();
    let log = Log::of(&[turn(1, "u", PRAISE), turn(2, "u", COMPLAINT), short]);
    log.run().unwrap();
    let found = |query: Query| {
        let found = find(&log.config.output, &query).unwrap();
        found.into_iter().map(|turn| turn.id).collect::<Vec<_>>()
    };
    let all = || Query { id: None, label: None, reason: None, limit: 20 };
    assert_eq!(found(Query { id: Some("c2:1".into()), ..all() }), ["c2:1"]);
    assert_eq!(found(Query { label: Some(4), ..all() }), ["c1:1"]);
    assert_eq!(found(Query { reason: Some("short_query".into()), ..all() }), ["c3:1"]);
    assert_eq!(found(Query { limit: 1, ..all() }).len(), 1);
}
