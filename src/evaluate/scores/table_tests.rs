//! Files of scores, good and bad.

use serde_json::json;

use super::*;
use crate::Silent;
use crate::evaluate::suites::Suite;

/// A suite of two pairs, and what the scores of a file are for it.
fn scores(rows: &str) -> Result<Vec<Vec<Vec<Answer>>>> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let pair = |id: &str| format!("{}\n", json!({"id": id, "prompt": "p", "chosen": "c", "rejected": "r"}));
    let suite = Suite::read(SuiteName::Pairs, &[write("pairs.jsonl", &(pair("a") + &pair("b")))]).unwrap();
    let mut found = vec![];
    for (info, table) in read(&[write("scores.jsonl", rows)])? {
        let mut done = |_, scored: Scored| {
            found.push(scored.answers?);
            Ok(())
        };
        table.score(&info.name, std::slice::from_ref(&suite), &mut Silent, &mut done)?;
    }
    Ok(found)
}

#[test]
fn rows_are_found_by_id_whatever_their_order() {
    let rows =
        "{\"id\": \"b\", \"scores\": [3, 4]}\n{\"pair_id\": \"a\", \"scores\": [1, 2.5], \"suite\": \"pairs\"}\n";
    let found = scores(rows).unwrap();
    let numbers: Vec<f64> = found[0].iter().flatten().map(|answer| answer.score).collect();
    assert_eq!(numbers, [1.0, 2.5, 3.0, 4.0]);
}

#[test]
fn every_model_is_a_column() {
    let row = |model: &str, id: &str| format!("{}\n", json!({"model": model, "id": id, "scores": [1, 2]}));
    let found = scores(&[row("m", "a"), row("n", "a"), row("n", "b"), row("m", "b")].concat()).unwrap();
    assert_eq!(found.len(), 2);
}

#[test]
fn bad_rows_are_named() {
    let good = "{\"id\": \"a\", \"scores\": [1, 2]}\n";
    for (second, problem) in [
        ("{\"id\": \"b\", \"scores\": [1]}", "holds 1 scores, but \"b\" has 2 responses"),
        ("{\"id\": \"b\", \"scores\": [1, null]}", "scores.jsonl:2: `scores` is [1,null]"),
        ("{\"id\": \"b\", \"scores\": [1, NaN]}", "scores.jsonl:2: `scores` is [1,NaN], not a list of finite numbers"),
        (
            "{\"id\": \"b\", \"scores\": [1, 1e999]}",
            "scores.jsonl:2: `scores` is [1,Infinity], not a list of finite numbers",
        ),
        ("{\"id\": \"b\", \"scores\": \"1 2\"}", "not a list of finite numbers"),
        ("{\"id\": \"b\"}", "neither `scores` nor `score`"),
        ("{\"scores\": [1, 2]}", "the row has no `id`"),
        ("{\"id\": \"a\", \"scores\": [1, 2]}", "already scored at"),
        ("{\"id\": \"b\", \"scores\": [1, 2], \"suite\": \"x\"}", "there is no suite \"x\""),
        ("{\"id\": \"b\", \"score\": 1, \"probs\": [2]}", "`probs` holds a number outside 0..1"),
        ("{\"id\": \"c\", \"scores\": [1, 2]}", "pairs has no score of scores for \"b\""),
        ("", "pairs has no score of scores for \"b\""),
    ] {
        let error = scores(&format!("{good}{second}\n")).unwrap_err();
        assert!(error.to_string().contains(problem) && error.exit_code() == 2, "{second}: {error}");
    }
    assert!(scores("").unwrap_err().to_string().contains("holds no rows"));
}

#[test]
fn rows_of_a_model_have_as_many_probabilities() {
    let row = |model: &str, id: &str, probs: &[f64]| {
        format!("{}\n", json!({"model": model, "id": id, "score": 1, "probs": probs}))
    };
    let error =
        scores(&[row("m", "a", &[0.5, 0.2]), row("n", "a", &[0.5]), row("m", "b", &[0.5])].concat()).unwrap_err();
    let expected = "scores.jsonl:3: `probs` holds 1 probabilities, but an earlier row 2";
    assert!(error.to_string().contains(expected) && error.exit_code() == 2, "{error}");
}
