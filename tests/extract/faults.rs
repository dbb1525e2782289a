//! The bugs of the public pipeline, each with logs that trigger it.

use std::collections::HashSet;

use serde_json::json;
use wgr::extract::SplitBy;
use wgr::extract::TestSize;

use crate::harness::*;

/// Sixty turns of twenty conversations and five users.
fn sixty() -> Log {
    let rows: Vec<_> = (0..20)
        .map(|index| {
            let numbers = [3 * index, 3 * index + 1, 3 * index + 2];
            let [a, b, c] = numbers.map(question);
            let [x, y, z] = numbers.map(answer);
            // A user's judgement of a response may be followed by the next question.
            let next = |question: &str| format!("{PRAISE} {question}");
            let messages = [a.as_str(), &x, &next(&b), &y, &next(&c), &z, COMPLAINT];
            conversation(&format!("c{index}"), &format!("user {}", index % 5), &messages)
        })
        .collect();
    Log::of(&rows)
}

fn split_on(field_name: &str, by: SplitBy) {
    let mut log = sixty();
    log.config.split_by = by;
    log.config.test_size = Some(TestSize::Share(0.4));
    log.run().unwrap();
    let [train, test] = ["train.jsonl", "test.jsonl"].map(|name| log.file(name));
    assert_eq!((train.len(), test.len()), (36, 24));
    let names = |rows: &[_]| field(rows, field_name).into_iter().collect::<HashSet<_>>();
    assert!(names(&train).is_disjoint(&names(&test)), "{field_name}");
}

#[test]
fn no_conversation_is_divided() {
    split_on("conversation", SplitBy::Conversation);
}

#[test]
fn no_user_is_divided() {
    split_on("user", SplitBy::User);
}

#[test]
fn the_split_follows_the_seed_and_nothing_else() {
    let split = |seed| {
        let mut log = sixty();
        log.config.seed = seed;
        log.config.test_size = Some(TestSize::Share(0.4));
        log.run().unwrap();
        (field(&log.file("train.jsonl"), "id"), field(&log.file("test.jsonl"), "id"))
    };
    assert_eq!(split(1), split(1));
    assert_ne!(split(1), split(2));
}

#[test]
fn users_are_kept_through_every_stage() {
    let log = Log::of(&[turn(1, "u1", PRAISE)]);
    log.run().unwrap();
    assert_eq!(field(&log.rows(), "user"), ["u1"]);
    assert_eq!(field(&log.file("stages/turns.jsonl"), "user"), ["u1"]);
}

#[test]
fn an_odd_last_user_message_is_feedback() {
    let [a, b] = [question(1), question(2)];
    let [x, y] = [answer(1), answer(2)];
    let log = Log::of(&[conversation("c", "u", &[&a, &x, &b, &y, PRAISE])]);
    log.run().unwrap();
    assert_eq!(field(&log.rows(), "id"), ["c:2"]);
}

#[test]
fn an_irregular_conversation_ends_nothing() {
    let odd = json!({"conversation_hash": "odd", "conversation": [{"role": "critic", "content": "x"}]});
    let log = Log::of(&[turn(1, "u", PRAISE), odd, turn(2, "u", COMPLAINT)]);
    let report = log.run().unwrap();
    assert_eq!(field(&log.rows(), "id"), ["c1:1", "c2:1"]);
    assert_eq!(report.irregular.get("unknown_role"), Some(&1));
    assert_eq!(field(&log.file("stages/irregular.jsonl"), "id"), ["odd"]);
}

#[test]
fn rows_carry_the_full_history() {
    // The first turn is dropped as too short; it is still part of what was said before the second.
    let (b, y) = (question(2), answer(2));
    let log = Log::of(&[conversation("c", "u", &["Hello", "Hi, how can I help?", &b, &y, PRAISE])]);
    log.run().unwrap();
    let rows = log.rows();
    assert_eq!(field(&rows, "id"), ["c:2"]);
    assert_eq!(rows[0]["turn"], 2);
    let said = json!([{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi, how can I help?"}]);
    assert_eq!(rows[0]["history"], said);
}

#[test]
fn a_second_run_neither_reads_nor_extends_the_first() {
    let mut log = Log::of(&[turn(1, "u", PRAISE), turn(2, "u", COMPLAINT)]);
    log.run().unwrap();
    let rows = log.rows();
    log.config.force = true;
    log.run().unwrap();
    assert_eq!(log.rows(), rows);
    log.config.force = false;
    let error = log.run().unwrap_err();
    assert!(error.to_string().contains("already holds a run") && error.exit_code() == 2, "{error}");
    assert_eq!(log.rows(), rows);
}
