//! Against a real server on the loopback device that misbehaves on purpose.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::Silent;
use crate::evaluate::suites::SuiteName;
use crate::test_server::{Reply, Request, Server as TestServer};

/// A suite of rated responses in a folder of its own.
fn suite(responses: usize) -> (TempDir, Suite) {
    let folder = tempfile::tempdir().unwrap();
    let row =
        |index: usize| format!("{}\n", json!({"id": index, "text": format!("text {index}"), "label": 1 + index % 4}));
    let path = folder.path().join("rows.jsonl");
    std::fs::write(&path, (0..responses).map(row).collect::<String>()).unwrap();
    (folder, Suite::read(SuiteName::Wildfb, &[path]).unwrap())
}

/// The scores of a suite, by a server with this reply.
fn scores(folder: &Path, suite: &Suite, server: &TestServer) -> Result<Vec<f64>> {
    let config = EvalConfig { batch_size: 2, output: folder.to_owned(), ..EvalConfig::default() };
    let url = server.base().replace("/v1", "/get_reward");
    let mut asked = Server::open(&config, &url)?;
    asked.server = asked.server.impatient();
    let mut store = Store::open(&folder.join("scores.jsonl"))?;
    let mut found = vec![];
    asked.score(&config, std::slice::from_ref(suite), &mut store, &mut Silent, &mut |_, scored| {
        found = scored.answers?;
        Ok(())
    })?;
    Ok(found.iter().flatten().map(|answer| answer.score).collect())
}

/// The number in each text, as its reward.
fn rewards(request: &Request) -> Vec<f64> {
    let texts = request.body["query"].as_array().unwrap();
    texts.iter().map(|text| text.as_str().unwrap().rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn rewards_come_in_order_and_once() {
    let (folder, suite) = suite(5);
    let server = TestServer::start(|_, request| Reply::json(&json!({"rewards": rewards(request)})));
    assert_eq!(scores(folder.path(), &suite, &server).unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!((server.log().len(), server.log()[0].path.as_str()), (3, "/get_reward"));
    assert_eq!(scores(folder.path(), &suite, &server).unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(server.log().len(), 3, "a second run asks nothing");
}

#[test]
fn a_lie_leaves_no_score() {
    let (folder, suite) = suite(2);
    let server = TestServer::start(|_, _| Reply::json(&json!({"rewards": [1.0, null]})));
    let error = scores(folder.path(), &suite, &server).unwrap_err();
    assert!(error.to_string().contains("not a finite number") && error.exit_code() == 1, "{error}");
    assert_eq!(std::fs::read(folder.path().join("scores.jsonl")).unwrap(), b"");
}

#[test]
fn a_failure_ends_the_run_and_keeps_what_came_before() {
    let (folder, suite) = suite(4);
    let server = TestServer::start(|n, request| match n {
        0 => Reply::json(&json!({"rewards": rewards(request)})),
        _ => Reply::status(404),
    });
    let error = scores(folder.path(), &suite, &server).unwrap_err();
    assert!(error.to_string().contains("get_reward"), "{error}");
    assert_eq!(server.log().len(), 2);
    let kept = std::fs::read_to_string(folder.path().join("scores.jsonl")).unwrap();
    assert_eq!(kept.lines().count(), 2);
    let good = TestServer::start(|_, request| Reply::json(&json!({"rewards": rewards(request)})));
    // Another address is another model, so all is asked again.
    assert_eq!(scores(folder.path(), &suite, &good).unwrap().len(), 4);
    assert_eq!(good.log().len(), 2);
}
