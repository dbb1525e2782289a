//! Reads files of labels.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::{Map, Number, Value};
use twox_hash::XxHash3_128;

use super::category::{KNOWN, level_named};
use crate::data::Feedback;
use crate::data::Record;
use crate::data::records::records;
use crate::{Error, Result};

/// Fields that name the conversation, the first of them that a row has.
const CONVERSATION: [&str; 3] = ["conversation_id", "conversation_hash", "conversation"];
/// Fields that number the response; `turn` may be a count of all turns where `feedback_turn` stands beside it.
const TURN: [&str; 2] = ["feedback_turn", "turn"];
/// Fields that hold the judgement of the user's message about the response.
const LEVEL: [&str; 2] = ["category", "level"];
/// All fields that are read. `id` is `<conversation>:<turn>`, as in the files of a run.
const FIELDS: [&str; 9] =
    [CONVERSATION[0], CONVERSATION[1], CONVERSATION[2], TURN[0], TURN[1], LEVEL[0], LEVEL[1], "id", "reason"];
/// The largest whole number up to which JSON's numbers are certain where they have a decimal point.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// A label of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// The level that it stands for.
    pub level: Feedback,
    /// The row's `reason`, or its category as it stands there.
    pub reason: String,
    /// The row it stands in, from 1.
    pub row: usize,
    /// Whether another row gives the turn another level.
    pub contradicted: bool,
}

/// The labels of a conversation, by the number of the response.
pub(crate) type Labelled = BTreeMap<u64, Label>;

/// The labels of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelFile {
    /// The labels of each conversation.
    pub conversations: HashMap<String, Labelled>,
    /// Rows.
    pub rows: u64,
    /// A hash of what all rows say, in their order.
    pub hash: u128,
}

impl LabelFile {
    /// Reads a JSONL, JSON or parquet file.
    ///
    /// Among several labels of one turn the lowest level counts, as complaints decide in the rules too; among rows of
    /// the same level, the first.
    ///
    /// # Errors
    /// A file that cannot be read or has no rows; a row that names no turn, or no level that is known.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut file = Self::default();
        for record in records(path, &FIELDS)? {
            let (conversation, turn, label) = parse(record?)?;
            file.rows += 1;
            let said = format!("{conversation}\n{turn}\n{}\n{}", label.level.name(), label.reason);
            file.hash = XxHash3_128::oneshot(&[&file.hash.to_le_bytes(), said.as_bytes()].concat());
            match file.conversations.entry(conversation).or_default().entry(turn) {
                Entry::Vacant(free) => drop(free.insert(label)),
                Entry::Occupied(mut taken) => {
                    let contradicted = taken.get().contradicted || taken.get().level != label.level;
                    if label.level < taken.get().level {
                        taken.insert(label);
                    }
                    taken.get_mut().contradicted = contradicted;
                }
            }
        }
        if file.rows == 0 {
            return Err(Error::input(path.display().to_string(), "holds no labels", "every row is a label of a turn"));
        }
        Ok(file)
    }

    /// Turns that have a label.
    pub(crate) fn turns(&self) -> u64 {
        self.conversations.values().map(|labelled| labelled.len() as u64).sum()
    }
}

/// The conversation, the number of the response and the label of a row.
fn parse(Record { place, number, fields, .. }: Record) -> Result<(String, u64, Label)> {
    let at = || place.clone();
    let (conversation, turn) = match first(&fields, &CONVERSATION) {
        Some((name, value)) => {
            let Some((turn_name, turn)) = first(&fields, &TURN) else {
                let problem = format!("has a `{name}` but no `feedback_turn`");
                return Err(Error::input(at(), problem, NUMBERING));
            };
            (id(&place, name, value)?, turn_number(&place, turn_name, turn)?)
        }
        None => match first(&fields, &["id"]) {
            Some((_, Value::String(text))) => divided(text).ok_or_else(|| {
                Error::input(
                    at(),
                    format!("`id` is {text:?}, which does not name a turn"),
                    "write <conversation>:<turn>",
                )
            })?,
            _ => {
                let hint = "give them in `conversation_id` and `feedback_turn`, or in `id` as <conversation>:<turn>";
                return Err(Error::input(at(), "does not name a conversation and a turn", hint));
            }
        },
    };
    let (name, value) = match (first(&fields, &LEVEL[..1]), first(&fields, &LEVEL[1..])) {
        (Some(_), Some(_)) => {
            return Err(Error::input(at(), "has both `category` and `level`", "leave one of them out"));
        }
        (None, None) => return Err(Error::input(at(), "has neither `category` nor `level`", KNOWN)),
        (Some(one), None) | (None, Some(one)) => one,
    };
    let text = match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => whole(number),
        _ => None,
    };
    let Some((level, text)) = text.and_then(|text| Some((level_named(&text)?, text))) else {
        return Err(Error::input(at(), format!("`{name}` is {value}, which is not a level of feedback"), KNOWN));
    };
    let reason = fields.get("reason").and_then(Value::as_str).map_or(text, str::to_owned);
    Ok((conversation, turn, Label { level, reason, row: number, contradicted: false }))
}

/// The numbering of turns, for error messages.
const NUMBERING: &str = "it is the number of the response that the label judges, from 1";

/// The first of these fields that a row has; `null` counts as missing, as parquet has no other way to say so.
fn first<'a>(fields: &'a Map<String, Value>, names: &[&'static str]) -> Option<(&'static str, &'a Value)> {
    names.iter().find_map(|name| Some((*name, fields.get(*name).filter(|value| !value.is_null())?)))
}

/// An id as it stands in the row: a text or a number of any length.
fn id(place: &str, name: &str, value: &Value) -> Result<String> {
    let id = match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    id.ok_or_else(|| {
        let hint = "an id is a text that is not empty, or a number";
        Error::input(place, format!("`{name}` is {}, which is not an id", shown(value)), hint)
    })
}

fn turn_number(place: &str, name: &str, value: &Value) -> Result<u64> {
    let text = match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => whole(number),
        _ => None,
    };
    let turn = text.and_then(|text| text.parse().ok()).filter(|turn| *turn > 0);
    turn.ok_or_else(|| {
        Error::input(place, format!("`{name}` is {}, which is not the number of a turn", shown(value)), NUMBERING)
    })
}

/// A whole number in digits, if none of them were lost on the way.
fn whole(number: &Number) -> Option<String> {
    let exact = |number: &f64| number.fract() == 0.0 && number.abs() < LARGEST_EXACT;
    let as_real = || number.as_f64().filter(exact).map(|number| number.to_string());
    number.as_i64().map(|number| number.to_string()).or_else(as_real)
}

/// A value for error sentences, which a list of messages would swamp.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
        other => other.to_string(),
    }
}

/// The conversation and the number of the response in `<conversation>:<turn>`; ids may hold colons.
fn divided(id: &str) -> Option<(String, u64)> {
    let (conversation, turn) = id.rsplit_once(':')?;
    let turn = turn.parse().ok().filter(|turn| *turn > 0)?;
    (!conversation.is_empty()).then(|| (conversation.to_owned(), turn))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<LabelFile> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        LabelFile::read(file.path())
    }

    fn one(row: &str) -> (String, u64, Feedback, String) {
        let file = read(row).unwrap();
        let (conversation, labelled) = file.conversations.into_iter().next().unwrap();
        let (turn, label) = labelled.into_iter().next().unwrap();
        (conversation, turn, label.level, label.reason)
    }

    #[track_caller]
    fn refused(rows: &str, parts: &[&str]) {
        let error = read(rows).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(parts.iter().all(|part| error.to_string().contains(part)), "{error}");
    }

    #[test]
    fn rows_of_the_published_set_are_read() {
        let row = r#"{"conversation_id": "0a1f", "feedback_turn": 2, "category": "UR2", "label": -1}"#;
        assert_eq!(one(row), ("0a1f".into(), 2, Feedback::Correction, "UR2".into()));
    }

    #[test]
    fn rows_of_a_run_are_read() {
        let row = r#"{"id": "a:b:12", "level": "engagement", "reason": "en/agreement", "confidence": null}"#;
        assert_eq!(one(row), ("a:b".into(), 12, Feedback::Engagement, "en/agreement".into()));
    }

    #[test]
    fn ids_stay_as_they_stand() {
        let of = |id: &str| one(&format!(r#"{{"conversation_id": {id}, "turn": "3", "level": 5}}"#)).0;
        assert_eq!(of("17"), "17");
        assert_eq!(of("17.0"), "17.0");
        for number in ["18446744073709551615", "123456789012345678901234567890"] {
            assert_eq!(of(number), number);
        }
        assert_eq!(of("-9223372036854775808"), "-9223372036854775808");
        assert_eq!(of("\" 007 \""), " 007 ");
        let long = "9".repeat(5000);
        assert_eq!(of(&format!("{long:?}")), long);
        for other in ["\"\"", "true", "[1]", "NaN"] {
            refused(&format!(r#"{{"conversation_id": {other}, "turn": 3, "level": 5}}"#), &["conversation_id", ":1"]);
        }
    }

    #[test]
    fn the_turn_of_the_feedback_is_known_from_the_number_of_turns() {
        // LMSYS-Chat-1M counts the turns of a conversation in `turn`.
        let row = r#"{"conversation_id": "c", "turn": 9, "feedback_turn": 2, "category": "UR1", "conversation": [{}]}"#;
        assert_eq!(one(row).1, 2);
    }

    #[test]
    fn a_row_that_is_no_label_is_named() {
        let sound = "{\"id\": \"a:1\", \"level\": 1}\n";
        let second = |row: &str| format!("{sound}{row}\n");
        refused(&second(r#"{"id": "a:2", "category": "UR9"}"#), &[":2", "category", "UR9", "UR1 to UR5"]);
        refused(&second(r#"{"id": "a:2", "level": 6}"#), &[":2", "level", "6"]);
        refused(&second(r#"{"id": "a:2", "level": 1, "category": "UR1"}"#), &[":2", "both"]);
        refused(&second(r#"{"id": "a:2", "label": 1}"#), &[":2", "neither"]);
        refused(&second(r#"{"id": "a", "level": 1}"#), &[":2", "does not name a turn"]);
        refused(&second(r#"{"id": "a:0", "level": 1}"#), &[":2", "does not name a turn"]);
        refused(&second(r#"{"level": 1}"#), &[":2", "conversation_id"]);
        refused(&second(r#"{"conversation_id": "a", "level": 1}"#), &[":2", "feedback_turn"]);
        refused(&second(r#"{"conversation_id": "a", "turn": 0, "level": 1}"#), &[":2", "from 1"]);
        refused(&second(r#"{"conversation_id": "a", "turn": -1, "level": 1}"#), &[":2", "from 1"]);
        refused(&second(r#"{"conversation_id": "a", "turn": 1.5, "level": 1}"#), &[":2", "from 1"]);
        refused("", &["holds no labels"]);
        refused("{", &[":1", "JSON"]);
    }

    #[test]
    fn the_lowest_of_several_levels_stands() {
        let file = read(
            "{\"id\": \"a:1\", \"category\": \"UR5\"}\n{\"id\": \"a:1\", \"category\": \"UR2\"}\n{\"id\": \"a:1\", \"category\": \"UR1\"}\n\
             {\"id\": \"a:2\", \"category\": \"UR3\"}\n{\"id\": \"a:2\", \"category\": \"UR4\"}\n",
        )
        .unwrap();
        let labelled = &file.conversations["a"];
        let label = |turn| (labelled[&turn].level, labelled[&turn].reason.as_str(), labelled[&turn].contradicted);
        assert_eq!(label(1), (Feedback::Correction, "UR2", true));
        assert_eq!(label(2), (Feedback::Correction, "UR3", false));
        assert_eq!((file.rows, file.turns()), (5, 2));
    }

    #[test]
    fn the_hash_is_that_of_the_labels() {
        let lines = "{\"id\": \"a:1\", \"level\": 1}\n{\"id\": \"a:2\", \"level\": 2}\n";
        let list = "[{\"level\": 1, \"id\": \"a:1\", \"label\": 4}, {\"id\": \"a:2\", \"level\": 2}]";
        let hash = |text| read(text).unwrap().hash;
        assert_eq!(hash(lines), hash(list));
        assert_ne!(hash(lines), hash("{\"id\": \"a:1\", \"level\": 1}\n{\"id\": \"a:2\", \"level\": 3}\n"));
        assert_ne!(hash(lines), hash("{\"id\": \"a:1\", \"level\": 1}\n{\"id\": \"b:2\", \"level\": 2}\n"));
    }
}
