//! Logs to extract from, a run, and its output.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use wgr::extract::report::Report;
use wgr::extract::{ExtractConfig, extract};
use wgr::{Result, Silent};

/// A question long enough for the filters; each number asks something else.
pub(crate) fn question(number: usize) -> String {
    format!("Could you tell me in which year the bridge number {number} of the old town was built?")
}

/// An answer long enough for the filters.
pub(crate) fn answer(number: usize) -> String {
    format!(
        "The bridge number {number} of the old town was built in the year {}, as far as the records say.",
        1500 + number
    )
}

/// The message of a satisfied user.
pub(crate) const PRAISE: &str = "Thank you, that is exactly what I needed!";
/// The message of a user who corrects.
pub(crate) const COMPLAINT: &str = "No, that is wrong.";

/// A conversation as WildChat logs it; messages alternate, the user begins.
pub(crate) fn conversation(id: &str, user: &str, messages: &[&str]) -> Value {
    let roles = ["user", "assistant"].into_iter().cycle();
    let messages: Vec<Value> = roles
        .zip(messages)
        .map(|(role, content)| json!({"role": role, "content": content, "language": "English"}))
        .collect();
    json!({
        "conversation_hash": id, "hashed_ip": user, "model": "gpt-4", "language": "English",
        "timestamp": "2023-04-09T00:02:53", "conversation": messages,
    })
}

/// A conversation of one turn with this feedback, unlike every other number's.
pub(crate) fn turn(number: usize, user: &str, feedback: &str) -> Value {
    conversation(&format!("c{number}"), user, &[&question(number), &answer(number), feedback])
}

/// Logs and output of a run in a folder that goes away.
pub(crate) struct Log {
    folder: TempDir,
    /// The settings; input and output are set.
    pub config: ExtractConfig,
}

impl Log {
    /// A JSONL file of these rows.
    pub(crate) fn of(rows: &[Value]) -> Self {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        Self::text("log.jsonl", &lines)
    }

    /// A file with this text.
    pub(crate) fn text(name: &str, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join(name);
        std::fs::write(&input, text).unwrap();
        let output = folder.path().join("out");
        Self { folder, config: ExtractConfig { input: vec![input], output, ..ExtractConfig::default() } }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Extracts.
    pub(crate) fn run(&self) -> Result<Report> {
        pollster::block_on(extract(None, &wgr::Ranks::alone(), &self.config, &mut Silent))
    }

    /// Rows of `train`, then of `test`, by id.
    pub(crate) fn rows(&self) -> Vec<Map<String, Value>> {
        let mut rows = [self.file("train.jsonl"), self.file("test.jsonl")].concat();
        rows.sort_by_key(|row| row["id"].as_str().unwrap().to_owned());
        rows
    }

    /// Rows of a file of the output.
    pub(crate) fn file(&self, name: &str) -> Vec<Map<String, Value>> {
        lines(&self.config.output.join(name))
    }
}

/// Rows of a JSONL file.
pub(crate) fn lines(path: &Path) -> Vec<Map<String, Value>> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A field of each row, as text.
pub(crate) fn field(rows: &[Map<String, Value>], name: &str) -> Vec<String> {
    rows.iter().map(|row| row[name].as_str().map_or_else(|| row[name].to_string(), str::to_owned)).collect()
}

/// A log of four turns in three conversations, the last of them too short for the filters.
pub(crate) fn few() -> Log {
    let (a, b) = (question(1), question(2));
    let (x, y) = (answer(1), answer(2));
    let mut short = turn(4, "u", PRAISE);
    short["conversation"][0]["content"] = "Hi".into();
    Log::of(&[conversation("a:b", "u", &[&a, &x, &b, &y, PRAISE]), turn(3, "u", COMPLAINT), short])
}

/// A file of labels in the folder of a log.
pub(crate) fn labels(log: &Log, name: &str, rows: &[Value]) -> PathBuf {
    let path = log.path(name);
    std::fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    path
}

/// A row of such a file.
pub(crate) fn label(conversation: impl Into<Value>, turn: u64, category: &str) -> Value {
    json!({"conversation_id": conversation.into(), "feedback_turn": turn, "category": category})
}
