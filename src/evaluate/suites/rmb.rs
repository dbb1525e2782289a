//! RMB, best of N: `bon_uid`, `conversation_input`, `bon_best`, `loser_list`, `category_path`; pairs: `pair_uid`,
//! `conversation_input`, `chosen`, `reject`, `category_path` (`RMB_dataset` of `Zhou-Zoey/RMB-Reward-Model-Benchmark`).
//!
//! A flattened copy has other names, which are accepted too: `conversation`, `chosen` and `rejected`. A response is an
//! object with an `answer`, or a text. Scores are listed best, then the others. Ids are unique within each form, so the
//! id of an item is `bon:<bon_uid>` or `pair:<pair_uid>`.

use serde_json::Value;

use super::fields::conversation;
use super::{Fields, Item};
use crate::Result;
use crate::data::{Message, ReadReport, Role};
use crate::evaluate::benchmarks::Rmb;
use crate::evaluate::benchmarks::rmb::{RmbPrompt, RmbSection};

/// The field of the conversation.
const CONVERSATION: [&str; 2] = ["conversation_input", "conversation"];
/// The field of the best response.
const BEST: [&str; 2] = ["bon_best", "chosen"];
/// The field of the other responses of a best-of-N prompt.
const OTHERS: [&str; 2] = ["loser_list", "rejected"];
/// The field of the other response of a pair.
const OTHER: [&str; 2] = ["reject", "rejected"];

pub fn item(mut fields: Fields, report: &mut ReadReport) -> Result<Item> {
    let (kind, own_id) = match (fields.optional("bon_uid")?, fields.optional("pair_uid")?) {
        (Some(uid), _) => ("bon", uid),
        (None, Some(uid)) => ("pair", uid),
        (None, None) => {
            return Err(fields.wrong("the row has no `bon_uid` or `pair_uid`", "is this a file of the suite?"));
        }
    };
    let is_best_of_n = kind == "bon";
    let path = fields.text("category_path")?;
    let Some((section, category)) = section(is_best_of_n, &path) else {
        let hint = "it is written BoN_set/Helpfulness/Code/Documentation";
        return Err(fields.wrong(format!("`category_path` is {path:?}, which is not a goal and a category"), hint));
    };
    let (name, said) = fields.any(&CONVERSATION)?;
    let language = said.as_array().and_then(|said| said.last()?.get("language")?.as_str().map(str::to_owned));
    let said = fields.messages(name, said, report)?;

    let (name, best) = fields.any(&BEST)?;
    let mut responses = vec![answer(&fields, name, best)?];
    let (name, others) = fields.any(if is_best_of_n { &OTHERS } else { &OTHER })?;
    match others {
        Value::Array(others) if is_best_of_n && !others.is_empty() => {
            for other in others {
                responses.push(answer(&fields, name, other)?);
            }
        }
        other if is_best_of_n => return Err(fields.not(name, &other, "a list of responses")),
        other => responses.push(answer(&fields, name, other)?),
    }

    let unit = said.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\0");
    let chat = |response: &String| {
        let mut messages = said.clone();
        messages.push(Message::new(Role::Assistant, response));
        conversation(fields.place(), messages)
    };
    Ok(Item {
        id: format!("{kind}:{own_id}"),
        own_id,
        place: fields.place().to_owned(),
        correct: (0..responses.len()).map(|place| place == 0).collect(),
        pairs: (1..responses.len()).map(|other| [0, other]).collect(),
        responses: responses.iter().map(chat).collect::<Result<_>>()?,
        label: None,
        unit,
        source: format!("{}/{category}", section.name()),
        language,
        user: None,
    })
}

/// The part of the benchmark that a path belongs to, and the path below its goal.
fn section(is_best_of_n: bool, path: &str) -> Option<(RmbSection, &str)> {
    let below = path.strip_prefix("BoN_set/").or_else(|| path.strip_prefix("Pairwise_set/")).unwrap_or(path);
    let (goal, category) = below.split_once('/')?;
    Some((RmbSection::new(is_best_of_n, goal)?, category)).filter(|_| !category.is_empty())
}

/// The text of a response.
fn answer(fields: &Fields, name: &str, response: Value) -> Result<String> {
    match response.get("answer").unwrap_or(&response) {
        Value::String(text) => Ok(text.clone()),
        _ => Err(fields.not(name, &response, "a response with an `answer`")),
    }
}

pub fn benchmark(items: &[Item], scores: &[Vec<f64>]) -> Rmb {
    let prompt = |(item, scores): (&Item, &Vec<f64>)| {
        let (section, category) = item.source.split_once('/')?;
        let section = RmbSection::from_name(section)?;
        Some(RmbPrompt { section, category: category.to_owned(), scores: scores.clone(), unit: item.unit.clone() })
    };
    Rmb::new(&items.iter().zip(scores).filter_map(prompt).collect::<Vec<_>>())
}
