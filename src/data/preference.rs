//! Preference pairs, in the shapes that trainers of preference models accept.
//!
//! The dataset formats follow TRL's documentation, "Dataset formats and types": standard (strings) or
//! conversational (message lists), with an explicit prompt or one implied by what both completions share.

use super::message::{Exchange, Message, Role, kind, parse_message, parse_messages};
use crate::{Error, Result};
use serde_json::{Map, Value};

/// A prompt with a completion that was preferred and one that was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preference {
    /// Plain strings. Without a prompt, `chosen` and `rejected` are whole texts that hold it themselves.
    Text {
        /// What both completions answer.
        prompt: Option<String>,
        /// The preferred completion.
        chosen: String,
        /// The other one.
        rejected: String,
    },
    /// Messages: `prompt` ends with a user message, each completion with an assistant message.
    Chat {
        /// The conversation both completions continue.
        prompt: Vec<Message>,
        /// The preferred continuation.
        chosen: Vec<Message>,
        /// The other one.
        rejected: Vec<Message>,
    },
}

impl Preference {
    /// Reads `prompt` (or ShareGPT's `conversations`), `chosen` and `rejected`; `at` names the row in errors.
    pub(super) fn parse(at: &str, fields: &mut Map<String, Value>) -> Result<Self> {
        let mut take = |name: &str| fields.remove(name).filter(|value| !value.is_null());
        let prompt = take("prompt").or_else(|| take("conversations"));
        let mut completion = |name: &str| {
            take(name).ok_or_else(|| {
                Error::input(at, format!("the pair has no `{name}`"), "a pair holds `prompt`, `chosen` and `rejected`")
            })
        };
        let pair = match (prompt, completion("chosen")?, completion("rejected")?) {
            (None, Value::String(chosen), Value::String(rejected)) => Self::Text { prompt: None, chosen, rejected },
            (Some(Value::String(prompt)), Value::String(chosen), Value::String(rejected)) => {
                Self::Text { prompt: Some(prompt), chosen, rejected }
            }
            (prompt, chosen, rejected) => {
                let prompt = prompt.map(|value| parse_side(at, "prompt", value, Role::User)).transpose()?;
                let chosen = parse_side(at, "chosen", chosen, Role::Assistant)?;
                let rejected = parse_side(at, "rejected", rejected, Role::Assistant)?;
                Self::split_prompt(prompt, chosen, rejected)
            }
        };
        // Every later reader may rely on both sides being a complete exchange.
        pair.exchanges(at)?;
        Ok(pair)
    }

    /// Chosen and rejected as exchanges to judge; a text pair's prompt is the query. `at` names the row in errors.
    ///
    /// # Errors
    /// A conversational side does not end with a user query and a response, which no pair read from a file does.
    pub fn exchanges(&self, at: &str) -> Result<[Exchange; 2]> {
        match self {
            Self::Text { prompt, chosen, rejected } => Ok([chosen, rejected].map(|response| Exchange {
                history: Vec::new(),
                query: prompt.clone().unwrap_or_default(),
                response: response.clone(),
            })),
            Self::Chat { prompt, chosen, rejected } => {
                let side = |completion: &[Message]| Exchange::from_messages(at, [prompt, completion].concat());
                Ok([side(chosen)?, side(rejected)?])
            }
        }
    }

    /// Moves the messages that both completions begin with into the prompt: all they share where the prompt is
    /// implicit, and the prompt itself where each completion repeats it.
    fn split_prompt(prompt: Option<Vec<Message>>, mut chosen: Vec<Message>, mut rejected: Vec<Message>) -> Self {
        let prompt = match prompt {
            Some(prompt) => {
                if chosen.starts_with(&prompt) && rejected.starts_with(&prompt) {
                    chosen.drain(..prompt.len());
                    rejected.drain(..prompt.len());
                }
                prompt
            }
            None => {
                let same = chosen.iter().zip(&rejected).take_while(|(a, b)| a == b).count();
                // Two equal completions still keep their last message each.
                let shared = same.min(chosen.len().saturating_sub(1)).min(rejected.len().saturating_sub(1));
                rejected.drain(..shared);
                chosen.drain(..shared).collect()
            }
        };
        Self::Chat { prompt, chosen, rejected }
    }
}

/// A prompt or completion of a conversational pair: a list, one message, or a bare string of the implied role.
fn parse_side(at: &str, field: &str, value: Value, role: Role) -> Result<Vec<Message>> {
    match value {
        Value::String(content) => Ok(vec![Message { role, content }]),
        Value::Object(_) => Ok(vec![parse_message(at, field, value)?]),
        Value::Array(_) => parse_messages(at, field, value),
        other => Err(Error::input(at, format!("`{field}` is {}, not a string or messages", kind(&other)), "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: Value) -> Result<Preference> {
        let Value::Object(mut fields) = value else { unreachable!() };
        Preference::parse("t", &mut fields)
    }

    fn chat() -> Preference {
        Preference::Chat {
            prompt: vec![Message::new(Role::User, "q")],
            chosen: vec![Message::new(Role::Assistant, "good")],
            rejected: vec![Message::new(Role::Assistant, "bad")],
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
        let Preference::Chat { prompt, chosen, rejected } = parse(json!({"chosen": side, "rejected": side})).unwrap()
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
}
