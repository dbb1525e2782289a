//! Unreadable input and unwritable output are named, and lose nothing.

use wgr::extract::AnnotatorKind;

use crate::harness::*;

#[track_caller]
fn refused(log: &Log, parts: &[&str]) {
    let error = log.run().unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_file_that_holds_no_conversations_is_named() {
    refused(&Log::text("notes.parquet", "not parquet"), &["notes.parquet", "not a parquet file"]);
    let mut log = Log::of(&[]);
    log.config.input = vec![log.path("nowhere")];
    refused(&log, &["nowhere"]);
}

#[test]
fn a_file_without_one_conversation_is_an_error_that_says_what_it_holds() {
    for (text, expected) in [
        ("{\n17\n", "not one of its rows is a conversation; "),
        ("{\"text\": \"t\"}\n", "not one of its rows is a conversation; "),
        ("id,text\n1,hello\n", "looks like CSV"),
        ("PK\u{3}\u{4}", "is a zip archive"),
        ("\n\n", "holds no conversations"),
    ] {
        refused(&Log::text("log.jsonl", text), &["log.jsonl", expected]);
    }
}

#[test]
fn a_log_without_a_usable_response_gives_a_report_and_no_rows() {
    let log = Log::of(&[conversation("c", "u", &["Hello"])]);
    log.run().unwrap();
    assert_eq!(log.rows().len(), 0);
    assert!(log.config.output.join("report.html").exists());
}

#[test]
fn an_output_that_would_be_read_is_refused() {
    let mut log = Log::of(&[turn(1, "u", PRAISE)]);
    log.config.output = log.path("log.jsonl");
    refused(&log, &["is a file"]);
    log.config.output = log.path("");
    refused(&log, &["contains the input"]);
    log.config.input = vec![log.path("")];
    log.config.output = log.path("out");
    refused(&log, &["is in the input"]);
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_leaves_no_rows() {
    // Every write to this device finds the disk full.
    if !std::path::Path::new("/dev/full").exists() {
        println!("skipped: this system has no /dev/full");
        return;
    }
    let log = Log::of(&[turn(1, "u", PRAISE)]);
    let stages = log.config.output.join("stages");
    std::fs::create_dir_all(&stages).unwrap();
    std::os::unix::fs::symlink("/dev/full", stages.join("rows.jsonl.part")).unwrap();
    let mut log = log;
    log.config.force = true;
    let error = log.run().unwrap_err();
    assert!(error.to_string().contains("rows.jsonl.part") && error.exit_code() == 1, "{error}");
    assert!(!log.config.output.join("train.jsonl").exists() && !log.config.output.join("report.json").exists());
}

#[test]
fn what_an_annotator_lacks_is_asked_for_before_anything_is_written() {
    let mut log = Log::of(&[turn(1, "u", PRAISE)]);
    log.config.annotator = Some(AnnotatorKind::Api);
    refused(&log, &["`.api_base`"]);
    assert!(!log.config.output.exists());
}
