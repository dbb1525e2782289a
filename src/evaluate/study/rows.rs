//! The rated rows that cells choose from, each with its user, and with its label before and after the changes of
//! extraction.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use twox_hash::XxHash3_128;

use crate::data::Feedback;
use crate::data::records::records;
use crate::data::rows::parse_row;
use crate::data::{Content, Purpose, ReadReport, Record};
use crate::{Error, Result};

/// The columns that rows are made of.
const COLUMNS: [&str; 11] = [
    "id",
    "text",
    "label",
    "history",
    "messages",
    "user",
    "evidence",
    "system",
    "tools",
    "documents",
    "chat_template_kwargs",
];
/// Those of a conversation, beside its messages.
const BESIDE_MESSAGES: [&str; 5] = ["history", "system", "tools", "documents", "chat_template_kwargs"];
/// Levels of rows that keep neutral feedback.
const WITH_NEUTRAL: u32 = 5;
/// Levels of rows without neutral feedback.
const WITHOUT_NEUTRAL: u32 = 4;

/// A rated row.
#[derive(Clone, Debug, PartialEq)]
pub struct RatedRow {
    /// Its user, by a number.
    pub user: Option<usize>,
    /// Its label.
    pub label: u32,
    /// Whether the label was mined from a later turn.
    pub mined: bool,
    /// Whether the validation of refusals decided the label.
    pub validated: bool,
    /// The label that the annotator's own verdict gives; `None` where it gives none, as neutral feedback does. Means
    /// something for rows that are mined or validated only.
    pub annotated: Option<u32>,
}

/// A row to train on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Its place among the rows.
    pub row: usize,
    /// The label to train on.
    pub label: u32,
}

/// The rows of some files; their texts are read again when a cell wants them.
#[derive(Clone, Debug)]
pub struct Rows {
    files: Vec<PathBuf>,
    /// The facts about each row, in the order of the files.
    pub rows: Vec<RatedRow>,
    /// The number of users.
    pub users: usize,
    /// A hash of everything read.
    pub hash: u128,
}

impl Rows {
    /// Reads files with labels from 1 to `levels`.
    ///
    /// # Errors
    /// As [`read_rows`](crate::data::read_rows); evidence that is not as `wgr extract` writes it; and rows of which some are
    /// texts and some messages, which cannot be paired.
    pub fn read(files: &[PathBuf], levels: u32) -> Result<Self> {
        let mut all = Self { files: files.to_vec(), rows: vec![], users: 0, hash: 0 };
        let mut users: HashMap<String, usize> = HashMap::new();
        let mut places: HashMap<String, String> = HashMap::new();
        let mut has_texts = None;
        for file in files {
            let before = all.rows.len();
            for record in records(file, &COLUMNS)? {
                let mut record = record?;
                let place = record.place.clone();
                let (user, evidence) = (user(&record.fields), Evidence::of(&record, levels)?);
                all.hash = XxHash3_128::oneshot(format!("{:032x}{}", all.hash, json!(record.fields)).as_bytes());
                let unnamed = unnamed(file, &record);
                let row = parse_row(&mut record, unnamed, Purpose::Levels(levels), &mut ReadReport::default())?;
                let is_text = matches!(row.content, Content::Text(_));
                if *has_texts.get_or_insert(is_text) != is_text {
                    let problem = "some rows hold `messages` and some only `text`";
                    return Err(Error::input(place, problem, "give rows of one kind"));
                }
                if let Some(taken) = places.insert(row.id.clone(), place.clone()) {
                    let problem = format!("the id {:?} was already used at {taken}", row.id);
                    return Err(Error::input(place, problem, "ids must be unique over all files of a run"));
                }
                let next = users.len();
                all.rows.push(RatedRow {
                    user: user.map(|name| *users.entry(name).or_insert(next)),
                    // `parse_row` has checked that there is one and that it is whole.
                    label: row.label.unwrap_or_default() as u32,
                    mined: evidence.mined,
                    validated: evidence.validated,
                    annotated: evidence.annotated,
                });
            }
            if all.rows.len() == before {
                return Err(Error::input(file.display().to_string(), "holds no rows", ""));
            }
        }
        all.users = users.len();
        Ok(all)
    }

    /// Rows without texts.
    #[cfg(test)]
    pub fn of(rows: Vec<RatedRow>, users: usize) -> Self {
        Self { files: vec![], rows, users, hash: 0 }
    }

    /// The files.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Reads rows again, as training reads them: `id`, `label`, and `messages` with `history`, or `text`. One for each
    /// pick; picks go up.
    ///
    /// # Errors
    /// The files have changed.
    pub fn gather(&self, picks: &[Pick]) -> Result<Vec<Map<String, Value>>> {
        let mut gathered = Vec::with_capacity(picks.len());
        let mut wanted = picks.iter().peekable();
        let mut number = 0;
        for file in &self.files {
            for record in records(file, &COLUMNS)? {
                let mut record = record?;
                if let Some(pick) = wanted.next_if(|pick| pick.row == number) {
                    let id = record.fields.remove("id").filter(|id| !id.is_null());
                    let id = id.unwrap_or_else(|| unnamed(file, &record).into());
                    let mut row = Map::from_iter([("id".to_owned(), id), ("label".to_owned(), pick.label.into())]);
                    let mut take = |name: &str| record.fields.remove(name).filter(|value| !value.is_null());
                    match take("messages") {
                        Some(messages) => {
                            row.extend(
                                BESIDE_MESSAGES.iter().filter_map(|name| Some(((*name).to_owned(), take(name)?))),
                            );
                            row.insert("messages".into(), messages);
                        }
                        None => row.extend(take("text").map(|text| ("text".to_owned(), text))),
                    }
                    gathered.push(row);
                }
                number += 1;
            }
        }
        match gathered.len() == picks.len() {
            true => Ok(gathered),
            false => Err(Error::run("the training rows have changed since the study began", "start it again")),
        }
    }
}

fn unnamed(file: &Path, record: &Record) -> String {
    format!("{}:{}", file.file_stem().unwrap_or_default().to_string_lossy(), record.number)
}

fn user(fields: &Map<String, Value>) -> Option<String> {
    match fields.get("user") {
        Some(Value::String(user)) => Some(user.clone()),
        Some(Value::Number(user)) => Some(user.to_string()),
        _ => None,
    }
}

/// The parts of a row's evidence that concern its label.
#[derive(Default)]
struct Evidence {
    mined: bool,
    validated: bool,
    annotated: Option<u32>,
}

impl Evidence {
    fn of(record: &Record, levels: u32) -> Result<Self> {
        let Some(evidence) = record.fields.get("evidence").filter(|value| !value.is_null()) else {
            return Ok(Self::default());
        };
        let field = |name: &str| evidence.get(name).filter(|value| !value.is_null());
        let mined = field("mined_from").is_some();
        let validated = field("refusal_verdict").is_some_and(|verdict| verdict == "justified");
        if !mined && !validated {
            return Ok(Self::default());
        }
        let wrong = |problem: String| {
            Error::input(&record.place, problem, "`evidence` is read as `wgr extract` writes it, with 4 levels or 5")
        };
        let level = field("level").ok_or_else(|| wrong("`evidence` has no `level`".into()))?;
        let level: Feedback =
            serde_json::from_value(level.clone()).map_err(|_| wrong(format!("`evidence.level` is {level}")))?;
        let annotated = match levels {
            WITHOUT_NEUTRAL => level.label(false),
            WITH_NEUTRAL => level.label(true),
            _ => return Err(wrong(format!("the annotator's level has no place among `.levels` {levels}"))),
        };
        Ok(Self { mined, validated, annotated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, label: u32, user: Option<&str>, evidence: Value) -> Value {
        let messages = json!([{"role": "user", "content": id}, {"role": "assistant", "content": "a"}]);
        json!({"id": id, "text": "rendered", "history": [], "messages": messages, "label": label, "user": user,
               "turn": 3, "evidence": evidence})
    }

    fn read(rows: &[Value], levels: u32) -> (tempfile::TempDir, Result<Rows>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.jsonl");
        std::fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
        let rows = Rows::read(&[path], levels);
        (folder, rows)
    }

    fn mined() -> Value {
        row("m", 4, Some("u"), json!({"level": "neutral", "mined_from": 5, "refusal_verdict": null}))
    }

    fn validated() -> Value {
        row("v", 4, Some("w"), json!({"level": "rejection", "mined_from": null, "refusal_verdict": "justified"}))
    }

    #[test]
    fn labels_are_known_with_and_without_what_changed_them() {
        let plain = row("p", 2, None, json!({"level": "correction", "refusal_verdict": "unjustified"}));
        let bare = json!({"id": 7, "messages": plain["messages"], "label": 3});
        let (_folder, rows) = read(&[mined(), validated(), plain, bare], 4);
        let rows = rows.unwrap();
        let known = |row: &RatedRow| (row.user, row.label, row.mined, row.validated, row.annotated);
        assert_eq!(
            rows.rows.iter().map(known).collect::<Vec<_>>(),
            [
                (Some(0), 4, true, false, None),
                (Some(1), 4, false, true, Some(1)),
                (None, 2, false, false, None),
                (None, 3, false, false, None),
            ]
        );
        assert_eq!(rows.users, 2);
        let (_folder, rows) = read(&[mined()], 5);
        assert_eq!(rows.unwrap().rows[0].annotated, Some(3), "with five levels neutral is one");
    }

    #[test]
    fn rows_are_read_again_with_the_label_of_the_pick() {
        let (_folder, rows) = read(&[mined(), validated()], 4);
        let gathered = rows.unwrap().gather(&[Pick { row: 1, label: 1 }]).unwrap();
        let messages = &validated()["messages"];
        assert_eq!(json!(gathered), json!([{"id": "v", "label": 1, "history": [], "messages": messages}]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (rows, levels, problem) in [
            (vec![row("a", 5, None, json!(null))], 4, "train.jsonl:1: row \"a\": the label 5 is outside 1..4"),
            (vec![mined(), mined()], 4, "train.jsonl:2: the id \"m\" was already used at "),
            (vec![mined()], 6, "no place among `.levels` 6"),
            (vec![row("a", 1, None, json!({"mined_from": 2}))], 4, "train.jsonl:1: `evidence` has no `level`"),
            (vec![row("a", 1, None, json!({"mined_from": 2, "level": "good"}))], 4, "`evidence.level` is \"good\""),
            (vec![mined(), json!({"text": "t", "label": 1})], 4, "train.jsonl:2: some rows hold `messages`"),
            (vec![], 4, "holds no rows"),
        ] {
            let (_folder, read) = read(&rows, levels);
            let error = read.unwrap_err();
            assert!(error.to_string().contains(problem) && error.exit_code() == 2, "{error}");
        }
    }
}
