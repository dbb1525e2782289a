//! Messages, and the exchange a reward model judges.

use crate::{Error, Result};
use serde_json::Value;

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions that frame the conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool the model called.
    Tool,
}

impl Role {
    /// The name templates see: `system`, `user`, `assistant` or `tool`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// Reads a role in the OpenAI or the ShareGPT spelling.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "system" | "developer" => Some(Self::System),
            "user" | "human" => Some(Self::User),
            "assistant" | "gpt" => Some(Self::Assistant),
            "tool" | "observation" => Some(Self::Tool),
            _ => None,
        }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who wrote it.
    pub role: Role,
    /// What it says, verbatim.
    pub content: String,
}

impl Message {
    /// A message of `role`.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// A response, the user query it answers, and what was said before: what the prompt template renders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The conversation before the query, oldest first; often empty.
    pub history: Vec<Message>,
    /// The user's message that the response answers.
    pub query: String,
    /// The assistant's response to judge.
    pub response: String,
}

impl Exchange {
    /// Splits a conversation that ends with a user query and its response; `at` names the row in errors.
    ///
    /// # Errors
    /// The last message is not the assistant's, or the one before it is not the user's.
    pub fn from_messages(at: &str, mut messages: Vec<Message>) -> Result<Self> {
        let response = pop(at, &mut messages, Role::Assistant, "the last message, the response to judge,")?;
        let query = pop(at, &mut messages, Role::User, "the message before the response")?;
        Ok(Self { history: messages, query, response })
    }
}

fn pop(at: &str, messages: &mut Vec<Message>, role: Role, which: &str) -> Result<String> {
    const HINT: &str = "`messages` is a user query followed by the assistant's response";
    match messages.pop() {
        Some(message) if message.role == role => Ok(message.content),
        Some(message) => Err(Error::input(
            at,
            format!("{which} has role `{}`, not `{}`", message.role.as_str(), role.as_str()),
            HINT,
        )),
        None => Err(Error::input(at, format!("{which} is missing"), HINT)),
    }
}

/// Reads a list of messages out of `field`; a string is an error here, never a list of characters.
pub(crate) fn parse_messages(at: &str, field: &str, value: Value) -> Result<Vec<Message>> {
    let Value::Array(items) = value else {
        return Err(Error::input(
            at,
            format!("`{field}` is {}, not a list of messages", kind(&value)),
            r#"a list of messages is written [{"role": "user", "content": "…"}, …]"#,
        ));
    };
    items.into_iter().enumerate().map(|(i, item)| parse_message(at, &format!("{field}[{i}]"), item)).collect()
}

/// Reads one message object: `role` and `content`, or ShareGPT's `from` and `value`.
pub(super) fn parse_message(at: &str, field: &str, mut value: Value) -> Result<Message> {
    if !value.is_object() {
        return Err(Error::input(
            at,
            format!("`{field}` is {}, not a message", kind(&value)),
            r#"a message is written {"role": "user", "content": "…"}"#,
        ));
    }
    let mut take = |name: &str| value.get_mut(name).map(Value::take);
    let mut string = |names: [&str; 2]| match take(names[0]).or_else(|| take(names[1])) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(Error::input(at, format!("`{field}.{}` is {}, not a string", names[0], kind(&other)), "")),
        None => Err(Error::input(at, format!("`{field}` has no `{}`", names[0]), "")),
    };
    let (name, content) = (string(["role", "from"])?, string(["content", "value"])?);
    let role = Role::parse(&name).ok_or_else(|| {
        Error::input(
            at,
            format!("`{field}` has the unknown role {name:?}"),
            "roles are system, user, assistant and tool; human and gpt are read as user and assistant",
        )
    })?;
    Ok(Message { role, content })
}

/// What kind of JSON value this is, for error sentences.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_spellings_are_read() {
        let openai = json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]);
        let sharegpt = json!([{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]);
        let expected = vec![Message::new(Role::User, "q"), Message::new(Role::Assistant, "a")];
        assert_eq!(parse_messages("t", "messages", openai).unwrap(), expected);
        assert_eq!(parse_messages("t", "messages", sharegpt).unwrap(), expected);
    }

    #[test]
    fn malformed_messages_name_the_place() {
        for (value, expected) in [
            (json!("hello"), "`messages` is a string, not a list of messages"),
            (json!(["hello"]), "`messages[0]` is a string, not a message"),
            (json!([{"role": "critic", "content": "x"}]), "unknown role \"critic\""),
            (json!([{"role": "user"}]), "`messages[0]` has no `content`"),
            (json!([{"role": "user", "content": ["x"]}]), "`messages[0].content` is a list, not a string"),
        ] {
            let error = parse_messages("f.jsonl:3", "messages", value).unwrap_err().to_string();
            assert!(error.starts_with("f.jsonl:3: ") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_exchange_ends_with_query_and_response() {
        let conversation = [Role::System, Role::User, Role::Assistant, Role::User, Role::Assistant];
        let messages: Vec<_> = conversation.iter().enumerate().map(|(i, r)| Message::new(*r, i.to_string())).collect();
        let exchange = Exchange::from_messages("t", messages.clone()).unwrap();
        assert_eq!((exchange.query.as_str(), exchange.response.as_str()), ("3", "4"));
        assert_eq!(exchange.history, messages[..3]);

        let error = Exchange::from_messages("t", messages[..4].to_vec()).unwrap_err().to_string();
        assert!(error.contains("has role `user`, not `assistant`"), "{error}");
        let error = Exchange::from_messages("t", messages[4..].to_vec()).unwrap_err().to_string();
        assert!(error.contains("the message before the response is missing"), "{error}");
    }
}
