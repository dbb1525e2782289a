//! Votes of Chatbot Arena (Chiang et al., 2024, arXiv 2403.04132), including ties.
//!
//! Rows: `question_id` or `id`, `winner` (`model_a`, `model_b` or a tie), `conversation_a` and `conversation_b`
//! as lists of messages, or as such a list in JSON; `language` (`lmsys/chatbot_arena_conversations`,
//! `lmarena-ai/arena-human-preference-100k`, `-140k`). Or `id`, `prompt`, `response_a` and `response_b`, each a list of
//! texts in JSON, one per turn, with `winner_model_a`, `winner_model_b` and `winner_tie` (`…-55k`).
//!
//! Scores are listed A, B: those of the last response of each conversation. Ties have no pair to compare, but the
//! benchmark counts them. A row with content other than text, or without any, is left out.

use serde_json::Value;

use super::definition::Definition;
use super::part::{Benchmark, Part, indicator, measure};
use super::tie_calibration::{Verdict, threshold};
use crate::Result;
use crate::data::json;
use crate::data::{Message, ReadReport, Role};
use crate::evaluate::items::fields::conversation;
use crate::evaluate::items::{Fields, Item, LeftOut, Row};
use crate::statistics::{Units, weighted};

pub(super) const SUITE: Definition = Definition {
    columns: &COLUMNS,
    measure: Some(|items, scores, bootstrap| measure(&benchmark(items, scores), bootstrap)),
    ..Definition::new("arena", "Chatbot Arena", |_, record, report| item(Fields::new(record), report))
};

const NO_TEXT: LeftOut = LeftOut("messages without text");
const NOT_TEXT: LeftOut = LeftOut("messages with something other than text, such as images");
/// The columns that are read of a parquet file; its others hold most of the bytes.
const COLUMNS: [&str; 15] = [
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

fn item(mut fields: Fields, report: &mut ReadReport) -> Result<Row> {
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
        _ => Err(fields.wrong(
            format!("not exactly one of `{}` is 1", OUTCOMES.join("`, `")),
            "one of them must be 1, and the others 0",
        )),
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

fn benchmark(items: &[Item], scores: &[Vec<f64>]) -> Arena {
    let vote = |(item, scores): (&Item, &Vec<f64>)| ArenaVote {
        scores: [scores[0], scores[1]],
        winner: item.pairs.first().map(|pair| pair[0]),
        unit: item.unit.clone(),
    };
    Arena::new(&items.iter().zip(scores).map(vote).collect::<Vec<_>>())
}

/// A vote between two responses, with their scores.
#[derive(Clone, Debug, PartialEq)]
struct ArenaVote {
    /// Scores of the two responses.
    scores: [f64; 2],
    /// Which of them won, 0 or 1; `None` for a tie.
    winner: Option<usize>,
    /// Votes of one session, or on one prompt, are drawn together.
    unit: String,
}

impl ArenaVote {
    fn verdict(&self) -> Verdict {
        let [a, b] = self.scores;
        match self.winner {
            None => Verdict::Tied(a - b),
            Some(0) => Verdict::Decided(a - b),
            Some(_) => Verdict::Decided(b - a),
        }
    }
}

/// Some of the votes: one entry per row, 1 if it is counted.
#[derive(Clone, Debug)]
struct Counted {
    rows: Vec<f64>,
    n: usize,
}

impl Counted {
    fn new(rows: impl Iterator<Item = bool>) -> Self {
        let rows: Vec<f64> = rows.map(indicator).collect();
        Self { n: rows.iter().filter(|&&counted| counted > 0.0).count(), rows }
    }

    /// The share of the counted rows that is correct.
    fn part(&self, name: &str, right: &[f64], weights: &[u32], chance: Option<f64>) -> Part {
        let rows: Vec<(f64, f64)> =
            right.iter().zip(&self.rows).map(|(&right, &counted)| (right * counted, counted)).collect();
        Part::new(name, self.n, weighted::ratio(&rows, weights), chance)
    }
}

/// Votes with scores. The result is the accuracy on votes for one response: it is right when that response scores
/// strictly higher.
///
/// `with ties` is the accuracy on all votes with tie calibration (Deutsch, Foster and Freitag, 2023): differences of at
/// most ε count as ties, where ε is the threshold that agrees with the most votes of this very set; so it gives the
/// best threshold's result, and confidence intervals keep ε fixed. Below it are the shares of `decided` votes and of
/// `ties` that are then correct. A model without skill gets the share of ties by calling everything a tie, or half of
/// the rest by never doing so. This part is absent if nobody voted for a tie.
#[derive(Clone, Debug)]
struct Arena {
    all: Counted,
    decided: Counted,
    tied: Counted,
    /// Whether the winner scores higher; of ties 0.
    right: Vec<f64>,
    /// Whether the vote agrees with the model's calibrated one.
    agrees: Vec<f64>,
    units: Units,
}

impl Arena {
    /// Lays out votes for scoring.
    fn new(votes: &[ArenaVote]) -> Self {
        let verdicts: Vec<Verdict> = votes.iter().map(ArenaVote::verdict).collect();
        let epsilon = threshold(&verdicts);
        let is_right = |verdict: &Verdict| matches!(verdict, Verdict::Decided(difference) if *difference > 0.0);
        Self {
            all: Counted::new(votes.iter().map(|_| true)),
            decided: Counted::new(votes.iter().map(|vote| vote.winner.is_some())),
            tied: Counted::new(votes.iter().map(|vote| vote.winner.is_none())),
            right: verdicts.iter().map(|verdict| indicator(is_right(verdict))).collect(),
            agrees: verdicts.iter().map(|verdict| indicator(verdict.agrees(epsilon))).collect(),
            units: Units::grouped(votes.iter().map(|vote| vote.unit.as_str())),
        }
    }
}

impl Benchmark for Arena {
    fn units(&self) -> Units {
        self.units.clone()
    }

    fn score(&self, weights: &[u32]) -> Part {
        let part = self.decided.part("Chatbot Arena", &self.right, weights, Some(0.5));
        if self.tied.n == 0 {
            return part;
        }
        let ties = self.tied.n as f64 / self.all.n as f64;
        let of = |counted: &Counted, name: &str| counted.part(name, &self.agrees, weights, None);
        let calibrated = self.all.part("with ties", &self.agrees, weights, Some(ties.max((1.0 - ties) / 2.0)));
        part.with_parts(vec![calibrated.with_parts(vec![of(&self.decided, "decided"), of(&self.tied, "ties")])])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Bootstrap;

    fn vote(scores: [f64; 2], winner: Option<usize>) -> ArenaVote {
        ArenaVote { scores, winner, unit: format!("{scores:?}{winner:?}") }
    }

    #[test]
    fn ties_count_in_their_own_part() {
        let votes = [
            vote([5.0, 1.0], Some(0)),
            vote([1.0, 5.0], Some(1)),
            vote([2.0, 1.5], Some(0)),
            vote([1.0, 4.0], Some(0)),
            vote([1.0, 1.0], Some(1)),
            vote([1.0, 2.0], None),
            vote([2.0, 1.0], None),
            vote([1.0, 9.0], None),
        ];
        let tree = measure(&Arena::new(&votes), &Bootstrap::default());
        let part = |path: &[&str]| {
            let part = tree.get(path).unwrap();
            (part.n, part.estimate.value, part.estimate.baseline)
        };
        assert_eq!(part(&[]), (5, Some(3.0 / 5.0), Some(0.5)), "equal scores are wrong where people saw a difference");
        // ε = 1: two of three ties, and of the decided votes the two with a difference of 4.
        assert_eq!(part(&["with ties"]), (8, Some(4.0 / 8.0), Some(3.0 / 8.0)));
        assert_eq!(part(&["with ties", "decided"]), (5, Some(2.0 / 5.0), None));
        assert_eq!(part(&["with ties", "ties"]), (3, Some(2.0 / 3.0), None));
        let interval = tree.get(&["with ties"]).unwrap().estimate.interval.unwrap();
        assert!(interval.low < 0.5 && 0.5 < interval.high);
    }

    #[test]
    fn where_most_votes_are_ties_chance_calls_everything_one() {
        let tree = measure(&Arena::new(&[vote([1.0, 2.0], None), vote([1.0, 0.0], Some(0))]), &Bootstrap::default());
        assert_eq!(tree.get(&["with ties"]).unwrap().estimate.baseline, Some(0.5));
        let tree = measure(&Arena::new(&[vote([1.0, 2.0], None)]), &Bootstrap::default());
        assert_eq!((tree.estimate.value, tree.get(&["with ties"]).unwrap().estimate.value), (None, Some(1.0)));
    }

    #[test]
    fn where_few_votes_are_ties_chance_calls_nothing_one() {
        let decided = [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0]].map(|scores| vote(scores, Some(0)));
        let bench = Arena::new(&[&decided[..], &[vote([9.0, 0.0], None)]].concat());
        let tree = bench.score(&bench.units().ones());
        assert_eq!(tree.get(&["with ties"]).unwrap().estimate.baseline, Some((1.0 - 1.0 / 5.0) / 2.0));
    }

    #[test]
    fn without_ties_there_is_one_number() {
        let tree = measure(&Arena::new(&[vote([1.0, 2.0], Some(1)), vote([1.0, 2.0], Some(0))]), &Bootstrap::default());
        assert_eq!((tree.estimate.value, tree.parts.len()), (Some(0.5), 0));
        assert_eq!(measure(&Arena::new(&[]), &Bootstrap::default()).estimate.value, None);
    }

    #[test]
    fn votes_of_one_session_are_drawn_together() {
        let of = |unit: &str| ArenaVote { unit: unit.into(), ..vote([1.0, 0.0], Some(0)) };
        assert_eq!(Arena::new(&[of("a"), of("b"), of("a")]).units().unit_count(), 2);
    }
}
