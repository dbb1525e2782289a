//! `wgr extract` as users meet it: what it prints, what it refuses, and that a killed run pays for no answer twice.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc;

use serde_json::{Value, json};
use tempfile::TempDir;

use self::server::{Reply, Request, Server};

#[expect(dead_code, reason = "the tests of the library use the rest")]
#[path = "../../tests/support/server.rs"]
mod server;

/// A folder with a log of N conversations of one turn each.
fn log(conversations: usize) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let lines: String = (0..conversations)
        .map(|index| {
            let row = json!({"conversation_hash": format!("c{index}"), "language": "English", "conversation": [
                {"role": "user", "content": format!("Could you tell me in which year bridge number {index} was built?")},
                {"role": "assistant", "content": format!("Bridge number {index} was built in {}, the town's records say.", 1500 + index)},
                {"role": "user", "content": "Thank you, that is exactly what I needed!"},
            ]});
            format!("{row}\n")
        })
        .collect();
    std::fs::write(&path, lines).unwrap();
    (folder, path)
}

fn extract(input: &Path, output: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgr"));
    command.arg("extract").arg("--input").arg(input).arg("--output").arg(output).args(flags);
    command.env_remove("WGR_API_KEY");
    command
}

#[track_caller]
fn done(output: Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The conversations that requests ask about.
fn asked(requests: &[Request]) -> HashSet<String> {
    let number = |request: &Request| {
        let question = request.question();
        let at = question.find("bridge number ").unwrap() + "bridge number ".len();
        format!("c{}:1", question[at..].split(' ').next().unwrap())
    };
    requests.iter().map(number).collect()
}

#[test]
fn rows_are_written_and_found_again() {
    let (folder, input) = log(20);
    let output = folder.path().join("out");
    let report: Value = serde_json::from_str(&done(extract(&input, &output, &["--json"]).output().unwrap())).unwrap();
    assert_eq!((&report["train"]["rows"], &report["test"]["rows"]), (&json!(18), &json!(2)));
    for name in ["train.jsonl", "test.jsonl", "report.json", "report.html", "wgr.toml", "stages/turns.jsonl"] {
        assert!(output.join(name).exists(), "{name}");
    }
    let mut inspect = Command::new(env!("CARGO_BIN_EXE_wgr"));
    inspect.args(["extract", "inspect", "--label", "4", "--limit", "1", "--output"]).arg(&output);
    let text = done(inspect.output().unwrap());
    for part in [":1", "[user]", "[user, next]\nThank you", "verdicts: level satisfaction"] {
        assert!(text.contains(part), "{text}");
    }
    let again = extract(&input, &output, &[]).output().unwrap();
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("--resume"));
}

#[test]
fn settings_come_from_a_file_too() {
    let (folder, input) = log(20);
    let config = folder.path().join("run.toml");
    std::fs::write(&config, "keep-neutral = true\ntest-size = 0.5\nseed = 3\n").unwrap();
    let output = folder.path().join("out");
    let flags = ["--json", "--test-size", "4", "--config", config.to_str().unwrap()];
    let report: Value = serde_json::from_str(&done(extract(&input, &output, &flags).output().unwrap())).unwrap();
    assert_eq!((&report["train"]["labels"], &report["test"]["rows"]), (&json!([0, 0, 0, 0, 16]), &json!(4)));
}

#[test]
fn a_killed_run_asks_only_for_what_is_missing() {
    let (folder, input) = log(30);
    let output = folder.path().join("out");
    let answers = output.join("answers.jsonl");
    let (is_stored, stored) = (answers.clone(), mpsc::channel());
    let (sender, receiver) = stored;
    // Twelve answers; once they are stored, the thirteenth question never gets one.
    let server = Server::start(move |n, _| match n {
        0..12 => Reply::feedback("satisfaction"),
        12 => {
            while lines(&is_stored).len() < 12 {
                std::thread::yield_now();
            }
            sender.send(()).unwrap();
            Reply::Silence
        }
        _ => Reply::feedback("satisfaction"),
    });
    let base = server.base();
    let flags = ["--annotator", "api", "--api-model", "m", "--api-base", &base, "--api-concurrency", "1"];
    let mut child = extract(&input, &output, &flags).stderr(std::process::Stdio::null()).spawn().unwrap();
    receiver.recv().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let first = asked(&server.log()[..12]);
    assert!(!output.join("train.jsonl").exists(), "an unfinished run has no rows");

    let stdout = done(extract(&input, &output, &[&flags[..], &["--resume", "--json"]].concat()).output().unwrap());
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let resumed = asked(&server.log()[13..]);
    assert_eq!((first.len(), resumed.len(), server.log().len()), (12, 18, 31));
    assert!(first.is_disjoint(&resumed));
    assert_eq!((&report["usage"]["requests"], &report["usage"]["stored"]), (&json!(18), &json!(12)));
    assert_eq!(lines(&output.join("train.jsonl")).len() + lines(&output.join("test.jsonl")).len(), 30);
}

#[test]
fn what_is_wrong_is_one_sentence() {
    let (folder, input) = log(1);
    let output = folder.path().join("out");
    let server = Server::start(|_, _| Reply::status(401));
    let base = server.base();
    for (flags, code, part) in [
        (&["--annotator", "api"][..], 2, "--api-base"),
        (&["--annotator", "local"], 2, "--annotator-model"),
        (&["--similarity", "-2"], 2, "--similarity"),
        (&["--test-size", "1.5"], 2, "1.5"),
        (&["--resume", "--force"], 2, "--force"),
        (&["--annotator", "api", "--api-model", "m", "--api-base", &base], 1, "WGR_API_KEY"),
    ] {
        let result = extract(&input, &output, flags).output().unwrap();
        let text = String::from_utf8_lossy(&result.stderr);
        assert_eq!(result.status.code(), Some(code), "{text}");
        assert!(text.contains(part), "{text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let (folder, input) = log(1);
    // A file where a folder should be is refused for every user, even for one who may write anywhere.
    let output = folder.path().join("log.jsonl/out");
    let result = extract(&input, &output, &[]).output().unwrap();
    assert_ne!(result.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&result.stderr).contains("log.jsonl/out"));
}

fn wgr(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wgr")).args(arguments).env_remove("WGR_API_KEY").output().unwrap()
}

#[test]
fn labels_made_elsewhere_make_rows_and_are_compared() {
    let (folder, input) = log(20);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let labels = path("labels.jsonl");
    let row = |index: usize, category: &str| {
        format!(
            "{}\n",
            json!({"conversation_id": format!("c{index}"), "feedback_turn": 1, "category": category, "label": 1})
        )
    };
    let rows: String = (0..16).map(|index| row(index, if index < 4 { "UR2" } else { "UR5" })).collect();
    std::fs::write(&labels, rows + &row(77, "UR1")).unwrap();

    let labelled = path("labelled");
    let result = extract(&input, labelled.as_ref(), &["--annotator-file", &labels]).output().unwrap();
    let notes = String::from_utf8_lossy(&result.stderr).into_owned();
    done(result);
    for part in ["cannot be used: 1, such as turn 1 of c77 (row 17)", "count as neutral: 4 of 20"] {
        assert!(notes.contains(part), "{notes}");
    }
    let saved = std::fs::read_to_string(folder.path().join("labelled/wgr.toml")).unwrap();
    assert!(saved.contains("annotator-file") && saved.contains("labels.jsonl"), "{saved}");
    let report: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("labelled/report.json")).unwrap()).unwrap();
    assert_eq!((&report["labels"]["judged"], &report["labels"]["unlabelled"]), (&json!(16), &json!(4)));
    assert_eq!(report["annotator"], format!("file:{labels}"));

    // The saved settings alone start the same run again, and its own labels let it continue.
    let config = path("labelled/wgr.toml");
    done(wgr(&["extract", "--config", &config, "--force", "--annotator", "file"]));
    done(wgr(&["extract", "--config", &config, "--resume"]));
    std::fs::write(path("others.jsonl"), row(1, "UR3")).unwrap();
    let others = path("others.jsonl");
    let refused = wgr(&["extract", "--config", &config, "--resume", "--annotator-file", &others]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("holds other labels"));

    let rules = path("rules");
    done(extract(&input, rules.as_ref(), &[]).output().unwrap());
    let text = done(wgr(&["extract", "compare", &rules, &labels, "--limit", "1"]));
    for part in [
        "20 turns judged by rules",
        "17 turns with labels",
        "16  turns judged by both, of 16 conversations",
        "4  only by A",
        "1  only by B",
        "same level            0.750",
        "satisfaction  16",
        "[user, next] Thank you",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let found: Value = serde_json::from_str(&done(wgr(&["extract", "compare", "--json", &rules, &labels]))).unwrap();
    assert_eq!((&found["agreement"]["value"], &found["kappa"]["value"]), (&json!(0.75), &json!(0.0)));
    assert_eq!(
        (&found["confusion"][4], found["disagreements"].as_array().unwrap().len()),
        (&json!([0, 4, 0, 0, 12]), 4)
    );
    let alone = done(wgr(&["extract", "compare", &rules, &rules]));
    assert!(alone.contains("undefined") && !alone.contains("NaN"), "{alone}");
}

#[test]
fn labels_that_are_wrong_are_one_sentence() {
    let (folder, input) = log(1);
    let output = folder.path().join("out");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let sound = write("sound.jsonl", "{\"id\": \"c0:1\", \"level\": \"correction\"}\n");
    let typo = write("typo.jsonl", "{\"id\": \"c0:1\", \"level\": \"corection\"}\n");
    for (flags, parts) in [
        (&["--annotator-file", &sound, "--annotator", "rules"][..], &["--annotator rules", "--annotator-file"][..]),
        (&["--annotator", "file"], &["--annotator-file"]),
        (&["--annotator-file", &typo], &["typo.jsonl:1", "corection"]),
        (&["--annotator-file", "nowhere.jsonl"], &["nowhere.jsonl"]),
    ] {
        let result = extract(&input, &output, flags).output().unwrap();
        let text = String::from_utf8_lossy(&result.stderr);
        assert_eq!(result.status.code(), Some(2), "{text}");
        assert!(parts.iter().all(|part| text.contains(part)) && text.trim().lines().count() == 1, "{text}");
        assert!(!output.exists());
    }
    for arguments in
        [&["extract", "compare"][..], &["extract", "compare", &sound], &["extract", "compare", &sound, "nowhere"]]
    {
        assert_eq!(wgr(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
