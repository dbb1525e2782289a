//! Prompts to sample from.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::message::{Exchange, Message, Role, kind, parse_messages};
use super::records::{Record, records};
use crate::{Error, Result};

/// The columns prompts are made of.
const COLUMNS: [&str; 3] = ["id", "prompt", "messages"];

/// What a prompt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A text to continue.
    Text(String),
    /// A conversation that ends with what the user says.
    Chat(Vec<Message>),
}

/// A prompt of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Its own id, or `<file stem>:<line>`; unique over everything read together.
    pub id: String,
    /// What it says.
    pub ask: Ask,
}

impl Prompt {
    /// The prompt with a response, as a reward model judges it; a text is the query of an exchange without history.
    ///
    /// # Errors
    /// The conversation does not end with what the user says, which no prompt read from a file does.
    pub fn exchange(&self, response: &str) -> Result<Exchange> {
        match &self.ask {
            Ask::Text(text) => Ok(Exchange { history: vec![], query: text.clone(), response: response.to_owned() }),
            Ask::Chat(messages) => {
                let response = Message::new(Role::Assistant, response);
                Exchange::from_messages(&format!("prompt {:?}", self.id), [&messages[..], &[response]].concat())
            }
        }
    }

    /// The prompt as rows of a file hold it.
    pub fn to_json(&self) -> Value {
        match &self.ask {
            Ask::Text(text) => json!(text),
            Ask::Chat(messages) => {
                let message = |m: &Message| json!({"role": m.role.as_str(), "content": m.content});
                messages.iter().map(message).collect()
            }
        }
    }
}

/// All prompts of `paths`, in order: rows `{"id", "prompt"}`, a string or messages, or `{"id", "messages"}`, of which an
/// assistant's messages at the end are left out.
///
/// # Errors
/// A file is missing, empty or broken, a row has no prompt or one that does not end with the user, or an id is used twice;
/// each names the file and line.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Prompt>> {
    let mut prompts = vec![];
    let mut places: HashMap<String, String> = HashMap::new();
    for path in paths {
        let before = prompts.len();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        for record in records(path, &COLUMNS)? {
            let record = record?;
            let place = record.place.clone();
            let unnamed = format!("{stem}:{}", record.number);
            let prompt = parse(record, unnamed)?;
            if let Some(earlier) = places.insert(prompt.id.clone(), place.clone()) {
                let problem = format!("the id {:?} was already used at {earlier}", prompt.id);
                return Err(Error::input(place, problem, "ids must be unique over all files of a run"));
            }
            prompts.push(prompt);
        }
        if prompts.len() == before {
            return Err(Error::input(path.display().to_string(), "holds no prompts", ""));
        }
    }
    Ok(prompts)
}

fn parse(record: Record, unnamed: String) -> Result<Prompt> {
    let Record { place, mut fields, .. } = record;
    let mut take = |name: &str| fields.remove(name).filter(|value| !value.is_null());
    let id = match take("id") {
        None => unnamed,
        Some(Value::String(id)) => id,
        Some(Value::Number(id)) => id.to_string(),
        Some(other) => {
            return Err(Error::input(place, format!("`id` is {}, not a string or a number", kind(&other)), ""));
        }
    };
    let at = format!("{place}: prompt {id:?}");
    let ask = match (take("prompt"), take("messages")) {
        (Some(Value::String(text)), _) if text.is_empty() => return Err(Error::input(at, "`prompt` is empty", "")),
        (Some(Value::String(text)), _) => Ask::Text(text),
        (Some(messages), _) => Ask::Chat(parse_messages(&at, "prompt", messages)?),
        (None, Some(messages)) => {
            let mut messages = parse_messages(&at, "messages", messages)?;
            // Rows of whole conversations serve as prompts, too: what was answered is sampled anew.
            while messages.last().is_some_and(|message| message.role == Role::Assistant) {
                messages.pop();
            }
            Ask::Chat(messages)
        }
        (None, None) => {
            let hint = r#"write {"id", "prompt"}, a string or messages, or {"id", "messages"}"#;
            return Err(Error::input(at, "the row has neither `prompt` nor `messages`", hint));
        }
    };
    let prompt = Prompt { id, ask };
    if let Ask::Chat(messages) = &prompt.ask
        && messages.last().is_none_or(|message| message.role != Role::User)
    {
        return Err(Error::input(
            at,
            "the conversation does not end with the user",
            "a prompt is what is to be answered",
        ));
    }
    Ok(prompt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_lines(lines: &str) -> Result<Vec<Prompt>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts.jsonl");
        std::fs::write(&path, lines).unwrap();
        read(&[path])
    }

    #[test]
    fn texts_and_conversations_are_prompts() {
        let prompts = read_lines(concat!(
            r#"{"id": "a", "prompt": "Why?"}"#,
            "\n",
            r#"{"id": 7, "prompt": [{"role": "user", "content": "Why?"}]}"#,
            "\n",
            r#"{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"},"#,
            r#" {"role": "assistant", "content": "So."}]}"#,
        ))
        .unwrap();
        let chat = |messages: &[(Role, &str)]| {
            Ask::Chat(messages.iter().map(|(role, content)| Message::new(*role, *content)).collect())
        };
        let asks = [
            ("a", Ask::Text("Why?".into())),
            ("7", chat(&[(Role::User, "Why?")])),
            ("prompts:3", chat(&[(Role::System, "Be brief."), (Role::User, "Why?")])),
        ];
        assert_eq!(prompts, asks.map(|(id, ask)| Prompt { id: id.into(), ask }));
        let exchange = prompts[2].exchange("Because.").unwrap();
        assert_eq!((exchange.history.len(), &*exchange.query, &*exchange.response), (1, "Why?", "Because."));
        assert_eq!(prompts[0].exchange("Because.").unwrap().query, "Why?");
    }

    #[test]
    fn rows_that_are_no_prompts_are_named() {
        for (lines, expected) in [
            ("", "holds no prompts"),
            (r#"{"id": "a"}"#, "prompts.jsonl:1: prompt \"a\": the row has neither"),
            (r#"{"id": ["a"], "prompt": "x"}"#, "`id` is a list"),
            (r#"{"prompt": ""}"#, "`prompt` is empty"),
            (r#"{"prompt": [{"role": "assistant", "content": "x"}]}"#, "does not end with the user"),
            (r#"{"messages": []}"#, "does not end with the user"),
            (r#"{"messages": "x"}"#, "`messages` is a string"),
            ("{\"id\": 1, \"prompt\": \"x\"}\n{\"id\": \"1\", \"prompt\": \"y\"}", "already used at"),
        ] {
            let error = read_lines(lines).unwrap_err();
            assert!(error.to_string().contains(expected) && error.exit_code() == 2, "{lines}: {error}");
        }
    }
}
