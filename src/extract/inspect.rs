//! Finds rows and turns of a finished run, for reading.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::stages::FOLDER;
use crate::data::records::records;
use crate::{Error, Result};

/// The search; a turn must match every given criterion.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The id of a row or turn.
    pub id: Option<String>,
    /// The label of a row.
    pub label: Option<u32>,
    /// A filter that dropped the turn, a rule or an answer that judged it, or why a conversation is irregular.
    pub reason: Option<String>,
    /// The maximum number of results.
    pub limit: usize,
}

/// A turn with its rows in the files of a run, by file: `train`, `turns`, `verdicts`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// Its row in each file, the training or test row first.
    pub rows: Vec<(&'static str, Map<String, Value>)>,
}

/// The files of rows and turns, in the order shown.
const FILES: [&str; 8] = ["train", "test", "irregular", "turns", "verdicts", "unparsable", "mined", "refusals"];

/// The turns that fit a query, in the order of the run.
///
/// # Errors
/// The output holds no finished run, or one of its files is broken.
pub fn find(output: &Path, query: &Query) -> Result<Vec<Found>> {
    let files: Vec<(&'static str, PathBuf)> =
        FILES.iter().filter_map(|name| Some((*name, path(output, name)?))).collect();
    if !files.iter().any(|(name, _)| *name == "turns") {
        let hint = "give the `.output` of a finished run of wgr extract";
        return Err(Error::input(output.display().to_string(), "holds no finished run", hint));
    }
    let mut found: Vec<Found> = vec![];
    for (_, path) in &files {
        for record in records(path, &[])? {
            let row = record?.fields;
            if found.len() == query.limit {
                break;
            }
            let id = id(&row);
            if fits(&row, &id, query) && !found.iter().any(|found| found.id == id) {
                found.push(Found { id, rows: vec![] });
            }
        }
    }
    let places: BTreeMap<String, usize> =
        found.iter().enumerate().map(|(place, found)| (found.id.clone(), place)).collect();
    for (name, path) in &files {
        for record in records(path, &[])? {
            let row = record?.fields;
            if let Some(place) = places.get(&id(&row)) {
                found[*place].rows.push((name, row));
            }
        }
    }
    Ok(found)
}

fn path(output: &Path, name: &str) -> Option<PathBuf> {
    let folder = if matches!(name, "train" | "test") { output.to_owned() } else { output.join(FOLDER) };
    ["jsonl", "parquet"].map(|end| folder.join(format!("{name}.{end}"))).into_iter().find(|path| path.exists())
}

/// The id of a row; irregular conversations have a place in a file where they have no id.
fn id(row: &Map<String, Value>) -> String {
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    text("id").or(text("place")).unwrap_or_default().to_owned()
}

fn fits(row: &Map<String, Value>, id: &str, query: &Query) -> bool {
    let reasons = [
        row.get("dropped"),
        row.get("reason"),
        row.get("pattern"),
        row.get("evidence").and_then(|evidence| evidence.get("reason")),
        row.get("evidence").and_then(|evidence| evidence.get("refusal")),
    ];
    let has_reason = |reason: &String| reasons.into_iter().flatten().any(|value| value.as_str() == Some(reason));
    let has_label = |label: u32| row.get("label").and_then(Value::as_u64) == Some(u64::from(label));
    query.id.as_ref().is_none_or(|wanted| wanted == id)
        && query.label.is_none_or(has_label)
        && query.reason.as_ref().is_none_or(has_reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of a run with three turns: one became a row, one was dropped, one is neutral.
    fn run() -> tempfile::TempDir {
        let output = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(output.path().join(name), text).unwrap();
        std::fs::create_dir(output.path().join(FOLDER)).unwrap();
        write("train.jsonl", "{\"id\":\"a:1\",\"label\":4,\"evidence\":{\"reason\":\"en/thanks\"}}\n");
        write("test.jsonl", "");
        write("stages/irregular.jsonl", "{\"place\":\"f.jsonl:3\",\"id\":null,\"reason\":\"broken_json\"}\n");
        let turns = "{\"id\":\"a:1\",\"dropped\":null}\n{\"id\":\"a:2\",\"dropped\":\"short_query\"}\n\
                     {\"id\":\"a:3\",\"dropped\":null}\n";
        write("stages/turns.jsonl", turns);
        let verdicts = "{\"id\":\"a:1\",\"reason\":\"en/thanks\"}\n{\"id\":\"a:3\",\"reason\":\"no evidence\"}\n";
        write("stages/verdicts.jsonl", verdicts);
        output
    }

    fn ids(query: Query) -> Vec<String> {
        find(run().path(), &Query { limit: 20, ..query }).unwrap().into_iter().map(|found| found.id).collect()
    }

    #[test]
    fn turns_are_found_by_label_reason_and_id() {
        assert_eq!(ids(Query { label: Some(4), ..Query::default() }), ["a:1"]);
        assert_eq!(ids(Query { label: Some(1), ..Query::default() }), Vec::<String>::new());
        let reason = |name: &str| ids(Query { reason: Some(name.into()), ..Query::default() });
        assert_eq!(reason("short_query"), ["a:2"]);
        assert_eq!(reason("no evidence"), ["a:3"]);
        assert_eq!(reason("en/thanks"), ["a:1"]);
        assert_eq!(reason("broken_json"), ["f.jsonl:3"]);
        assert_eq!(ids(Query { id: Some("a:3".into()), ..Query::default() }), ["a:3"]);
        assert_eq!(ids(Query::default()).len(), 4);
    }

    #[test]
    fn everything_known_of_a_turn_is_gathered() {
        let query = Query { id: Some("a:1".into()), limit: 20, ..Query::default() };
        let found = find(run().path(), &query).unwrap();
        let files: Vec<&str> = found[0].rows.iter().map(|(name, _)| *name).collect();
        assert_eq!(files, ["train", "turns", "verdicts"]);
    }

    #[test]
    fn the_limit_holds_and_a_run_is_asked_for() {
        let query = Query { limit: 2, ..Query::default() };
        assert_eq!(find(run().path(), &query).unwrap().len(), 2);
        let empty = tempfile::tempdir().unwrap();
        assert!(find(empty.path(), &query).unwrap_err().to_string().contains("holds no finished run"));
    }
}
