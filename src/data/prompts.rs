//! Prompts to sample from.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::json::kind;
use super::message::{
    Exchange, Message, TemplateInputs, parse_history, parse_messages, take, take_conversation, with_system,
};
use super::opened::named_once;
use super::read_report::ReadReport;
use super::record::Record;
use super::records::records;
use super::role::Role;
use super::rows::Ids;
use crate::{Error, Result};

/// The columns prompts are made of.
const COLUMNS: [&str; 10] = [
    "id",
    "history",
    "prompt",
    "messages",
    "conversations",
    "conversation",
    "system",
    "tools",
    "documents",
    "chat_template_kwargs",
];

/// The content of a prompt.
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
    /// The inputs of the row's chat template besides messages.
    pub inputs: TemplateInputs,
}

impl Prompt {
    /// The prompt with a response, as a reward model judges it; a text is the query of an exchange without history.
    ///
    /// # Errors
    /// The conversation does not end with what the user says, which no prompt read from a file does.
    pub fn exchange(&self, response: &str) -> Result<Exchange> {
        match &self.ask {
            Ask::Text(text) => Ok(Exchange::new(vec![], text, response)),
            Ask::Chat(messages) => {
                let (at, response) = (format!("prompt {:?}", self.id), Message::new(Role::Assistant, response));
                Exchange::from_messages(&at, [&messages[..], &[response]].concat(), self.inputs.clone())
            }
        }
    }

    /// The prompt as rows of a file hold it.
    pub fn to_json(&self) -> Value {
        match &self.ask {
            Ask::Text(text) => json!(text),
            Ask::Chat(messages) => messages.iter().map(|message| Value::from(message.to_json())).collect(),
        }
    }
}

/// All prompts of `paths`, in order, and what became of their irregularities: rows `{"id", "prompt"}`, a string or messages,
/// or `{"id", "messages"}`, of which an assistant's messages at the end are left out. The turns of `history` come before.
///
/// # Errors
/// A file is missing, empty, broken or named twice, a row has no prompt or one that does not end with something to answer, or an id is
/// used twice in a file; each names the file and line.
pub fn read(paths: &[PathBuf]) -> Result<(Vec<Prompt>, ReadReport)> {
    named_once(paths)?;
    let (mut prompts, mut report, mut ids) = (vec![], ReadReport::default(), Ids::default());
    for path in paths {
        let before = prompts.len();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let (file, records) = (path.display().to_string(), records(path, &COLUMNS)?);
        report.unused_columns(&file, records.undecoded.iter().cloned());
        for record in records {
            let mut record = record?;
            let unnamed = format!("{stem}:{}", record.number);
            let prompt = parse(&mut record, unnamed, &mut report)?;
            report.unused(&file, &record.fields);
            let id = ids.unique(path, &record.place, prompt.id, &mut report)?;
            prompts.push(Prompt { id, ..prompt });
        }
        if prompts.len() == before {
            return Err(Error::input(file, "holds no prompts", ""));
        }
    }
    Ok((prompts, report))
}

fn parse(record: &mut Record, unnamed: String, report: &mut ReadReport) -> Result<Prompt> {
    report.lone_surrogates += usize::from(record.mended);
    let Record { place, fields, .. } = record;
    let id = match take(fields, "id") {
        None => unnamed,
        Some(Value::String(id)) => id,
        Some(Value::Number(id)) => id.to_string(),
        Some(other) => {
            let problem = format!("`id` is {}, not a string or a number", kind(&other));
            return Err(Error::input(place.as_str(), problem, ""));
        }
    };
    let at = format!("{place}: prompt {id:?}");
    let history = parse_history(&at, take(fields, "history"), report)?;
    let messages = match take(fields, "prompt") {
        Some(Value::String(text)) if text.is_empty() => return Err(Error::input(at, "`prompt` is empty", "")),
        Some(Value::String(text)) if !history.is_empty() => vec![Message::new(Role::User, text)],
        Some(Value::String(text)) => {
            return Ok(Prompt { id, ask: Ask::Text(text), inputs: TemplateInputs::default() });
        }
        Some(messages) => parse_messages(&at, "prompt", messages, report)?,
        None => {
            let Some((name, messages)) = take_conversation(fields) else {
                let hint = r#"write {"id", "prompt"}, a string or messages, or {"id", "messages"}"#;
                return Err(Error::input(at, "the row has neither `prompt` nor `messages`", hint));
            };
            let mut messages = parse_messages(&at, name, messages, report)?;
            // Rows of whole conversations serve as prompts too: their last response is sampled again.
            while messages.last().is_some_and(|message| message.role == Role::Assistant) {
                messages.pop();
            }
            messages
        }
    };
    ends_with_user(&at, &messages)?;
    let messages = with_system(&at, fields, [history, messages].concat())?;
    let inputs = TemplateInputs::take(&at, fields)?;
    Ok(Prompt { id, ask: Ask::Chat(messages), inputs })
}

/// Takes a conversation that is to be answered out of `fields`, as clients of chat models send it: `messages`, `tools`,
/// `documents` and `chat_template_kwargs`. `at` names it in errors, and is its id.
///
/// # Errors
/// A message or an input of the template is not what it should be; the conversation does not end with something to answer.
pub fn parse_chat(at: &str, fields: &mut Map<String, Value>, report: &mut ReadReport) -> Result<Prompt> {
    let messages = parse_messages(at, "messages", fields.remove("messages").unwrap_or_default(), report)?;
    ends_with_user(at, &messages)?;
    Ok(Prompt { id: at.to_owned(), ask: Ask::Chat(messages), inputs: TemplateInputs::take(at, fields)? })
}

fn ends_with_user(at: &str, messages: &[Message]) -> Result<()> {
    match messages.last() {
        Some(Message { role: Role::User | Role::Tool, .. }) => Ok(()),
        _ => {
            let hint = "a prompt ends with the message to answer";
            Err(Error::input(at, "the conversation does not end with the user", hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_lines(lines: &str) -> Result<Vec<Prompt>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts.jsonl");
        std::fs::write(&path, lines).unwrap();
        Ok(read(&[path])?.0)
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
        assert_eq!(prompts, asks.map(|(id, ask)| Prompt { id: id.into(), ask, inputs: TemplateInputs::default() }));
        let exchange = prompts[2].exchange("Because.").unwrap();
        assert_eq!(
            (exchange.history.len(), &*exchange.query.content, &*exchange.response.content),
            (1, "Why?", "Because.")
        );
        assert_eq!(prompts[0].exchange("Because.").unwrap().query.content, "Why?");
    }

    #[test]
    fn a_history_comes_before_the_prompt() {
        let history = r#""history": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "a"}]"#;
        let said = |prompt: &str| match &read_lines(&format!("{{{history}, {prompt}}}")).unwrap()[0].ask {
            Ask::Chat(messages) => messages.iter().map(|message| message.content.clone()).collect(),
            Ask::Text(text) => vec![text.clone()],
        };
        assert_eq!(said(r#""prompt": "q""#), ["p", "a", "q"]);
        assert_eq!(said(r#""messages": [{"role": "user", "content": "q"}]"#), ["p", "a", "q"]);
    }

    #[test]
    fn the_chat_of_a_request_keeps_all_its_messages_and_inputs() {
        let parse = |request: Value| {
            let mut fields = request.as_object().cloned().unwrap();
            (parse_chat("request", &mut fields, &mut ReadReport::default()), fields)
        };
        let user = json!({"role": "user", "content": [{"type": "text", "text": "Why?"}]});
        let request = json!({"messages": [user], "chat_template_kwargs": {"enable_thinking": false}, "n": 2});
        let (prompt, rest) = parse(request);
        let prompt = prompt.unwrap();
        assert_eq!(prompt.ask, Ask::Chat(vec![Message::new(Role::User, "Why?")]));
        assert_eq!(prompt.inputs.names().collect::<Vec<_>>(), ["enable_thinking"]);
        assert_eq!(rest.keys().collect::<Vec<_>>(), ["n"]);
        let answered = json!({"messages": [user, {"role": "assistant", "content": "So."}]});
        for (request, expected) in [
            (json!({}), "request: `messages` is null"),
            (json!({"messages": []}), "does not end with the user"),
            (answered, "does not end with the user"),
            (json!({"messages": [{"role": 1}]}), "`messages[0].role` is a number"),
        ] {
            let error = parse(request).0.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
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
