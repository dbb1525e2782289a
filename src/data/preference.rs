//! Preference pairs, in the formats that trainers of preference models accept.
//!
//! The dataset formats follow TRL's documentation, "Dataset formats and types": standard (strings) or
//! conversational (message lists), with an explicit prompt or one implied by what both completions share.

use super::json::kind;
use super::message::{
    Exchange, Message, TemplateInputs, parse_history, parse_message, parse_messages, take, take_conversation,
    with_system,
};
use super::read_report::ReadReport;
use super::role::Role;
use crate::{Error, Result};
use serde_json::{Map, Value};

/// A prompt with a completion that was preferred and one that was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preference {
    /// Plain strings. Without a prompt, `chosen` and `rejected` are whole texts that hold it themselves.
    Text {
        /// The prompt of both completions.
        prompt: Option<String>,
        /// The preferred completion.
        chosen: String,
        /// The other one.
        rejected: String,
    },
    /// Messages: `prompt` ends with what is to be answered, each completion with an assistant message.
    Chat {
        /// The conversation both completions continue.
        prompt: Vec<Message>,
        /// The preferred continuation.
        chosen: Vec<Message>,
        /// The other one.
        rejected: Vec<Message>,
        /// The inputs of the row's chat template besides messages.
        inputs: TemplateInputs,
    },
}

/// The prompt that a row gives beside its completions.
enum Given {
    /// None: the completions hold it themselves.
    Nothing,
    /// A string, which may be the user's message or a rendering of the whole prompt.
    Text(String),
    /// Messages.
    Messages(Vec<Message>),
}

impl Preference {
    /// Reads `prompt` (or `messages`, `conversations`, `conversation`), `chosen` and `rejected`, and the turns before them
    /// in `history`; `at` names the row in errors.
    pub(super) fn parse(at: &str, fields: &mut Map<String, Value>, report: &mut ReadReport) -> Result<Self> {
        let prompt = take(fields, "prompt").or_else(|| take_conversation(fields).map(|(_, messages)| messages));
        let history = parse_history(at, take(fields, "history"), report)?;
        let mut completion = |name: &str| {
            take(fields, name).ok_or_else(|| {
                Error::input(at, format!("the pair has no `{name}`"), "a pair has `prompt`, `chosen` and `rejected`")
            })
        };
        let pair = match (prompt, completion("chosen")?, completion("rejected")?) {
            (None, Value::String(chosen), Value::String(rejected)) if history.is_empty() => {
                Self::Text { prompt: None, chosen, rejected }
            }
            (Some(Value::String(prompt)), Value::String(chosen), Value::String(rejected)) if history.is_empty() => {
                let repeats = |side: &String| !prompt.is_empty() && side.starts_with(&prompt);
                report.repeated_texts += usize::from(repeats(&chosen) && repeats(&rejected));
                Self::Text { prompt: Some(prompt), chosen, rejected }
            }
            (prompt, chosen, rejected) => {
                let prompt = match prompt {
                    None => Given::Nothing,
                    Some(Value::String(text)) => Given::Text(text),
                    Some(value) => Given::Messages(parse_side(at, "prompt", value, Role::User, report)?),
                };
                let chosen = parse_side(at, "chosen", chosen, Role::Assistant, report)?;
                let rejected = parse_side(at, "rejected", rejected, Role::Assistant, report)?;
                let (prompt, [chosen, rejected]) = divided(at, prompt, [chosen, rejected], report)?;
                let prompt = after(history, prompt);
                let prompt = with_system(at, fields, prompt)?;
                Self::Chat { prompt, chosen, rejected, inputs: TemplateInputs::take(at, fields)? }
            }
        };
        pair.check(at)?;
        Ok(pair)
    }

    /// Every later reader may rely on a prompt that ends with something to answer, and on completions that end with an
    /// answer.
    fn check(&self, at: &str) -> Result<()> {
        let Self::Chat { prompt, chosen, rejected, .. } = self else { return Ok(()) };
        for side in [chosen, rejected] {
            let whole = [&prompt[..], &side[..]].concat();
            let ends = whole.iter().rposition(|message| message.role != Role::Assistant);
            match whole.last() {
                // Several messages of the assistant in a row answer what came before all of them.
                Some(last) if last.role == Role::Assistant && ends.is_some() => {}
                // The sentence for what is missing.
                _ => drop(Exchange::from_messages(at, whole, TemplateInputs::default())?),
            }
        }
        Ok(())
    }

    /// Chosen and rejected as exchanges to judge; a text pair's prompt is the query. `at` names the row in errors.
    ///
    /// # Errors
    /// A conversational side does not end with a query and a response.
    pub fn exchanges(&self, at: &str) -> Result<[Exchange; 2]> {
        match self {
            Self::Text { prompt, chosen, rejected } => Ok([chosen, rejected]
                .map(|response| Exchange::new(Vec::new(), prompt.clone().unwrap_or_default(), response.clone()))),
            Self::Chat { prompt, chosen, rejected, inputs } => {
                let side =
                    |completion: &[Message]| Exchange::from_messages(at, [prompt, completion].concat(), inputs.clone());
                Ok([side(chosen)?, side(rejected)?])
            }
        }
    }
}

/// Finds where the prompt ends.
///
/// Completions that hold the conversation themselves share its messages, and all that both share is the prompt, as TRL
/// computes it. What the row gives as its prompt must then say the same: those messages, some of them, or their text.
/// Completions that begin with a response continue the given prompt.
fn divided(
    at: &str,
    given: Given,
    sides: [Vec<Message>; 2],
    report: &mut ReadReport,
) -> Result<(Vec<Message>, [Vec<Message>; 2])> {
    let same = sides[0].iter().zip(&sides[1]).take_while(|(a, b)| a == b).count();
    // Two equal completions still keep their last message each.
    let shared = same.min(sides[0].len().saturating_sub(1)).min(sides[1].len().saturating_sub(1));
    let split = |count: usize| {
        let rest = [&sides[0], &sides[1]].map(|side| side[count..].to_vec());
        (sides[0][..count].to_vec(), rest)
    };
    let answers =
        |side: &Vec<Message>| side.first().is_none_or(|first| matches!(first.role, Role::Assistant | Role::Tool));
    let is_whole = !sides.iter().all(answers);
    let given = match given {
        Given::Nothing => return Ok(split(shared)),
        // A column that is filled in other rows only.
        Given::Text(text) if is_whole && text.trim().is_empty() => return Ok(split(shared)),
        Given::Messages(messages) if is_whole && messages.is_empty() => return Ok(split(shared)),
        // A conversation that is logged beside the pair that was made of it.
        Given::Messages(messages) if is_whole && sides.contains(&messages) => {
            report.repeated_prompts += 1;
            return Ok(split(shared));
        }
        Given::Text(text) if shared > 0 && renders(&text, &sides[0][..shared]) => {
            report.repeated_prompts += 1;
            return Ok(split(shared));
        }
        Given::Text(text) => vec![Message::new(Role::User, text)],
        Given::Messages(messages) => messages,
    };
    if !given.is_empty() && sides[0][..shared].windows(given.len()).any(|window| window == given) {
        report.repeated_prompts += 1;
        return Ok(split(shared));
    }
    // The last messages of the prompt may be the first of both completions.
    let overlap = (1..=shared.min(given.len())).rev().find(|n| given[given.len() - n..] == sides[0][..*n]);
    if let Some(overlap) = overlap {
        report.repeated_prompts += 1;
        let (rest, sides) = split(shared);
        return Ok(([&given[..], &rest[overlap..]].concat(), sides));
    }
    if !is_whole {
        return Ok((given, sides));
    }
    let asks = |side: &Vec<Message>| side.first().is_some_and(|first| first.role == Role::User);
    let is_open = given.last().is_none_or(|last| last.role != Role::User && last.role != Role::Tool);
    if is_open && sides.iter().all(asks) {
        let (rest, sides) = split(shared);
        return Ok(([given, rest].concat(), sides));
    }
    let problem = "`prompt` and the completions contradict each other: both begin a conversation, but not the same one";
    Err(Error::input(at, problem, "leave `prompt` out, or the messages of the prompt in `chosen` and `rejected`"))
}

/// A prompt with the turns before it, which it may repeat.
fn after(history: Vec<Message>, prompt: Vec<Message>) -> Vec<Message> {
    match prompt.starts_with(&history) {
        true => prompt,
        false => [history, prompt].concat(),
    }
}

/// Whether a text is the question of a conversation, or a rendering of all its messages.
fn renders(text: &str, messages: &[Message]) -> bool {
    let is_query = |message: &Message| message.role == Role::User && message.content.trim() == text.trim();
    let mut rest = text;
    let mut follows = |message: &Message| match rest.split_once(message.content.trim()) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    };
    messages.iter().any(is_query)
        || messages.iter().any(|message| message.role == Role::User) && messages.iter().all(&mut follows)
}

/// A prompt or completion of a conversational pair: a list, one message, or a bare string of the implied role.
fn parse_side(at: &str, field: &str, value: Value, role: Role, report: &mut ReadReport) -> Result<Vec<Message>> {
    match value {
        Value::String(content) => Ok(vec![Message::new(role, content)]),
        Value::Object(_) => Ok(vec![parse_message(at, field, value, report)?]),
        Value::Array(_) => parse_messages(at, field, value, report),
        other => Err(Error::input(at, format!("`{field}` is {}, not a string or messages", kind(&other)), "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: Value) -> Result<Preference> {
        let Value::Object(mut fields) = value else { unreachable!() };
        Preference::parse("t", &mut fields, &mut ReadReport::default())
    }

    fn chat() -> Preference {
        Preference::Chat {
            prompt: vec![Message::new(Role::User, "q")],
            chosen: vec![Message::new(Role::Assistant, "good")],
            rejected: vec![Message::new(Role::Assistant, "bad")],
            inputs: TemplateInputs::default(),
        }
    }

    #[test]
    fn every_conversational_shape_means_the_same() {
        let user = json!({"role": "user", "content": "q"});
        let good = json!({"role": "assistant", "content": "good"});
        let bad = json!({"role": "assistant", "content": "bad"});
        for value in [
            json!({"prompt": [user], "chosen": [good], "rejected": [bad]}),
            json!({"chosen": [user, good], "rejected": [user, bad]}),
            json!({"prompt": "q", "chosen": [user, good], "rejected": [user, bad]}),
            json!({"prompt": "q", "chosen": [good], "rejected": [bad]}),
            json!({"prompt": [user], "chosen": "good", "rejected": "bad"}),
            json!({"messages": [user], "chosen": good, "rejected": bad}),
            json!({"conversation": [user], "chosen": [good], "rejected": [bad]}),
            json!({"messages": [user, good], "chosen": [user, good], "rejected": [user, bad]}),
            json!({"conversation": "an id", "chosen": [user, good], "rejected": [user, bad]}),
            json!({"prompt": "", "chosen": [user, good], "rejected": [user, bad]}),
            json!({"prompt": [], "chosen": [user, good], "rejected": [user, bad]}),
            json!({"conversations": [{"from": "human", "value": "q"}],
                   "chosen": {"from": "gpt", "value": "good"}, "rejected": {"from": "gpt", "value": "bad"}}),
        ] {
            assert_eq!(parse(value.clone()).unwrap(), chat(), "{value}");
        }
    }

    #[test]
    fn strings_stay_strings() {
        let text = |prompt: Option<&str>| Preference::Text {
            prompt: prompt.map(Into::into),
            chosen: "good".into(),
            rejected: "bad".into(),
        };
        assert_eq!(parse(json!({"prompt": "q", "chosen": "good", "rejected": "bad"})).unwrap(), text(Some("q")));
        assert_eq!(parse(json!({"prompt": null, "chosen": "good", "rejected": "bad"})).unwrap(), text(None));
    }

    #[test]
    fn equal_completions_keep_a_response_each() {
        let side = json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]);
        let Preference::Chat { prompt, chosen, rejected, .. } =
            parse(json!({"chosen": side, "rejected": side})).unwrap()
        else {
            unreachable!()
        };
        assert_eq!((prompt.len(), chosen.len(), rejected.len()), (1, 1, 1));
    }

    #[test]
    fn incomplete_pairs_are_refused() {
        for (value, expected) in [
            (json!({"prompt": "q", "chosen": "a"}), "no `rejected`"),
            (json!({"prompt": "q", "chosen": 3, "rejected": "a"}), "`chosen` is a number"),
            (json!({"chosen": [], "rejected": []}), "is missing"),
            (json!({"prompt": [], "chosen": "a", "rejected": "b"}), "the message before the response is missing"),
        ] {
            let error = parse(value).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_prompt_is_what_both_completions_share_however_it_is_given() {
        let message = |role: &str, content: &str| json!({"role": role, "content": content});
        let (system, user) = (message("system", "Be terse."), message("user", "q"));
        let (good, bad) = (message("assistant", "good"), message("assistant", "bad"));
        let (early, more) = (message("assistant", "a"), message("user", "more"));
        let long = [&system, &user, &early, &more];
        let sides = |prompt: Value, before: &[&Value]| {
            let side = |last: &Value| before.iter().copied().chain([last]).cloned().collect::<Vec<_>>();
            json!({"prompt": prompt, "chosen": side(&good), "rejected": side(&bad)})
        };
        for (row, before) in [
            (sides(json!("q"), &[&system, &user]), &long[..2]),
            (sides(json!(" q\n"), &[&system, &user]), &long[..2]),
            (sides(json!("<|system|>Be terse.\n<|user|>q\n<|assistant|>"), &[&system, &user]), &long[..2]),
            (sides(json!([user]), &[&system, &user]), &long[..2]),
            (sides(json!([system]), &[&system, &user]), &long[..2]),
            (sides(user.clone(), &[&system, &user]), &long[..2]),
            (sides(json!([system, user]), &[&system, &user]), &long[..2]),
            (sides(json!([system, user]), &[&user]), &long[..2]),
            (sides(json!([system]), &[&user]), &long[..2]),
            (sides(json!([system, user]), &[]), &long[..2]),
            (sides(json!("q"), &long), &long[..]),
            (sides(json!([system, user, early]), &[&more]), &long[..]),
            (sides(Value::Null, &long), &long[..]),
        ] {
            let expected = parse(json!({"prompt": before, "chosen": [good], "rejected": [bad]})).unwrap();
            assert_eq!(parse(row.clone()).unwrap(), expected, "{row}");
        }
        for row in [
            sides(json!("another question"), &[&system, &user]),
            sides(json!([message("user", "p")]), &[&user]),
            sides(json!([user]), &[&system]),
        ] {
            let error = parse(row.clone()).unwrap_err().to_string();
            assert!(error.contains("contradict each other"), "{row}: {error}");
        }
    }

    #[test]
    fn a_history_comes_before_the_prompt() {
        let message = |role: &str, content: &str| json!({"role": role, "content": content});
        let (early, answer, user) = (message("user", "p"), message("assistant", "a"), message("user", "q"));
        let (good, bad) = (message("assistant", "good"), message("assistant", "bad"));
        let expected = parse(json!({"prompt": [early, answer, user], "chosen": [good], "rejected": [bad]})).unwrap();
        let history = json!([early, answer]);
        for row in [
            json!({"history": history, "prompt": "q", "chosen": "good", "rejected": "bad"}),
            json!({"history": history, "prompt": [user], "chosen": [good], "rejected": [bad]}),
            json!({"history": history, "chosen": [user, good], "rejected": [user, bad]}),
            json!({"history": history, "chosen": [early, answer, user, good], "rejected": [early, answer, user, bad]}),
            json!({"history": [early, answer, user], "chosen": "good", "rejected": "bad"}),
        ] {
            assert_eq!(parse(row.clone()).unwrap(), expected, "{row}");
        }
        for history in [json!([]), json!(""), Value::Null] {
            let row = json!({"history": history, "prompt": "q", "chosen": "good", "rejected": "bad"});
            assert!(matches!(parse(row).unwrap(), Preference::Text { .. }));
        }
        let row = json!({"history": 3, "prompt": "q", "chosen": "good", "rejected": "bad"});
        assert!(parse(row).unwrap_err().to_string().contains("`history` is a number"));
    }

    #[test]
    fn a_row_brings_its_system_message_and_what_its_template_needs() {
        let row = json!({
            "system": "Be terse.", "prompt": "q", "chosen": "good", "rejected": "bad",
            "tools": "[{\"name\": \"f\"}]", "chat_template_kwargs": {"x": 1},
        });
        let Value::Object(mut fields) = row else { unreachable!() };
        // Strings need no chat template, so they leave such columns alone.
        let strings = Preference::parse("t", &mut fields.clone(), &mut ReadReport::default()).unwrap();
        assert!(matches!(strings, Preference::Text { .. }));
        fields.insert("prompt".into(), json!([{"role": "user", "content": "q"}]));
        let Preference::Chat { prompt, inputs, .. } =
            Preference::parse("t", &mut fields, &mut ReadReport::default()).unwrap()
        else {
            unreachable!()
        };
        assert_eq!(prompt, [Message::new(Role::System, "Be terse."), Message::new(Role::User, "q")]);
        assert_eq!(inputs.names().collect::<Vec<_>>(), ["tools", "x"]);
        assert!(fields.is_empty());
    }
}
