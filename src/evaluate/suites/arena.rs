//! Chatbot Arena: `question_id` or `id`, `winner` (`model_a`, `model_b` or a tie), `conversation_a` and
//! `conversation_b` as lists of messages, or as such a list in JSON; `language` (`lmsys/chatbot_arena_conversations`,
//! `lmarena-ai/arena-human-preference-100k`, `-140k`). Or `id`, `prompt`, `response_a` and `response_b`, each a list of
//! texts in JSON, one per turn, with `winner_model_a`, `winner_model_b` and `winner_tie` (`…-55k`).
//!
//! Scores are listed A, B: those of the last response of each conversation. Ties have no pair to compare, but the
//! benchmark counts them. A row with content other than text, or without any, is left out.

use serde_json::Value;

use super::fields::conversation;
use super::{Fields, Item, LeftOut, Row};
use crate::Result;
use crate::data::json;
use crate::data::{Message, ReadReport, Role};
use crate::evaluate::benchmarks::Arena;
use crate::evaluate::benchmarks::arena::ArenaVote;

const NO_TEXT: LeftOut = LeftOut("messages without text");
const NOT_TEXT: LeftOut = LeftOut("messages with something other than text, such as images");
/// The columns that are read of a parquet file; its others hold most of the bytes.
pub const COLUMNS: [&str; 15] = [
    "question_id",
    "id",
    "winner",
    "winner_model_a",
    "winner_model_b",
    "winner_tie",
    "conversation_a",
    "conversation_b",
    "prompt",
    "response_a",
    "response_b",
    "language",
    "evaluation_session_id",
    "judge",
    "judge_hash",
];
/// The winner, in data sets with a column for each outcome.
const OUTCOMES: [&str; 3] = ["winner_model_a", "winner_model_b", "winner_tie"];

pub fn item(mut fields: Fields, report: &mut ReadReport) -> Result<Row> {
    let (name, id) = fields.any(&["question_id", "id"])?;
    let id = match id {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        other => return Err(fields.not(name, &other, "a text")),
    };
    let in_columns = OUTCOMES.iter().any(|name| fields.has(name));
    let winner = if in_columns { outcome(&mut fields)? } else { winner(&mut fields)? };
    let conversations = if in_columns { turns(&mut fields)? } else { messages(&mut fields, report)? };
    let [a, b] = match conversations {
        Ok(conversations) => conversations,
        Err(left_out) => return Ok(Err(left_out)),
    };

    let asked: Vec<&str> =
        a.iter().filter(|message| message.role == Role::User).map(|message| message.content.as_str()).collect();
    let source = if asked.len() > 1 { "several turns" } else { "one turn" };
    let unit = fields.optional("evaluation_session_id")?.unwrap_or_else(|| asked.join("\0"));
    let item = Item {
        own_id: id.clone(),
        id,
        place: fields.place().to_owned(),
        responses: vec![conversation(fields.place(), a)?, conversation(fields.place(), b)?],
        correct: vec![],
        pairs: vec![],
        label: None,
        unit,
        source: source.to_owned(),
        language: fields.optional("language")?,
        user: match fields.optional("judge")? {
            None => fields.optional("judge_hash")?,
            named => named,
        },
    };
    Ok(Ok(match winner {
        Some(better) => item.decided_for(better),
        None => item,
    }))
}

/// Which response won, 0 or 1; `None` for a tie.
fn winner(fields: &mut Fields) -> Result<Option<usize>> {
    match fields.text("winner")?.as_str() {
        "model_a" => Ok(Some(0)),
        "model_b" => Ok(Some(1)),
        "tie" | "tie (bothbad)" | "both_bad" => Ok(None),
        other => {
            let hint = "it is model_a, model_b, tie, tie (bothbad) or both_bad";
            Err(fields.wrong(format!("`winner` is {other:?}"), hint))
        }
    }
}

/// The same of three columns.
fn outcome(fields: &mut Fields) -> Result<Option<usize>> {
    let outcomes = OUTCOMES.iter().map(|name| fields.boolean(name)).collect::<Result<Vec<_>>>()?;
    match outcomes[..] {
        [true, false, false] => Ok(Some(0)),
        [false, true, false] => Ok(Some(1)),
        [false, false, true] => Ok(None),
        _ => Err(fields
            .wrong(format!("none of `{}` is 1", OUTCOMES.join("`, `")), "one of them must be 1, and the others 0")),
    }
}

/// Both conversations, or why the row is left out.
type Conversations = std::result::Result<[Vec<Message>; 2], LeftOut>;

/// Conversations of lists of messages.
fn messages(fields: &mut Fields, report: &mut ReadReport) -> Result<Conversations> {
    let mut both = vec![];
    for name in ["conversation_a", "conversation_b"] {
        let mut value = fields.value(name)?;
        if let Value::String(text) = &value {
            value = decoded(fields, name, text)?;
        }
        for message in value.as_array_mut().into_iter().flatten() {
            if let Some(Err(left_out)) = message.get_mut("content").map(as_text) {
                return Ok(Err(left_out));
            }
        }
        both.push(fields.messages(name, value, report)?);
    }
    Ok(Ok(both.try_into().unwrap_or_default()))
}

/// Makes a text of content that is written as a list of parts, as `[{"type": "text", "text": "…"}]`.
fn as_text(content: &mut Value) -> std::result::Result<(), LeftOut> {
    if content.is_null() {
        return Err(NO_TEXT);
    }
    let Value::Array(parts) = &*content else { return Ok(()) };
    let mut texts = vec![];
    for part in parts {
        let has = |name: &str| part.get(name).filter(|value| !value.is_null());
        if has("image").is_some() || has("type").is_some_and(|kind| kind != "text") {
            return Err(NOT_TEXT);
        }
        match has("text") {
            Some(Value::String(text)) => texts.push(text.as_str()),
            None if part.is_object() => {}
            // Not as anyone publishes it: whoever reads the message says what is wrong.
            _ => return Ok(()),
        }
    }
    if texts.is_empty() {
        return Err(NO_TEXT);
    }
    *content = Value::String(texts.concat());
    Ok(())
}

/// Conversations whose turns are lists of texts.
fn turns(fields: &mut Fields) -> Result<Conversations> {
    let mut lists = vec![];
    for name in ["prompt", "response_a", "response_b"] {
        let mut value = fields.value(name)?;
        if let Value::String(text) = &value {
            value = decoded(fields, name, text)?;
        }
        let Ok(texts) = serde_json::from_value::<Vec<Option<String>>>(value.clone()) else {
            return Err(fields.not(name, &value, "a list of texts, one per turn"));
        };
        let Some(texts) = texts.into_iter().collect::<Option<Vec<String>>>() else { return Ok(Err(NO_TEXT)) };
        lists.push((name, texts));
    }
    let (_, asked) = lists.remove(0);
    let mut both = vec![];
    for (name, answers) in lists {
        if answers.len() != asked.len() || asked.is_empty() {
            let problem = format!("`prompt` holds {} texts, and `{name}` {}", asked.len(), answers.len());
            return Err(fields.wrong(problem, "each has one for every turn"));
        }
        let turn = |(asked, answer): (&String, String)| {
            [Message::new(Role::User, asked.as_str()), Message::new(Role::Assistant, answer)]
        };
        both.push(asked.iter().zip(answers).flat_map(turn).collect());
    }
    Ok(Ok(both.try_into().unwrap_or_default()))
}

/// A list written as JSON. Half a character, which a tool cut in two, is read as U+FFFD.
fn decoded(fields: &Fields, name: &str, text: &str) -> Result<Value> {
    match json::parse(text.as_bytes()) {
        Ok(parsed) => Ok(parsed.value),
        Err(fault) => Err(fields.wrong(format!("`{name}` is a text, but not a list in JSON: {fault}"), "")),
    }
}

pub fn benchmark(items: &[Item], scores: &[Vec<f64>]) -> Arena {
    let vote = |(item, scores): (&Item, &Vec<f64>)| ArenaVote {
        scores: [scores[0], scores[1]],
        winner: item.pairs.first().map(|pair| pair[0]),
        unit: item.unit.clone(),
    };
    Arena::new(&items.iter().zip(scores).map(vote).collect::<Vec<_>>())
}
