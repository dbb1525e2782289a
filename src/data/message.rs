//! Messages, and the exchange that a reward model judges.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::json::{is_readable, kind, parse};
use super::read_report::ReadReport;
use super::role::{DEVELOPER, FUNCTION_CALL, Role, TOOL_CALL};
use crate::{Error, Result};

/// The names under which reasoning comes; templates read the first, and those of gpt-oss the second.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// One message of a conversation.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its author.
    pub role: Role,
    /// Its text, verbatim; empty if there is none, as beside tool calls.
    pub content: String,
    /// The message as rows hold it, where it carries more than role and content, no content, or a role of a finer name.
    whole: Option<Box<Map<String, Value>>>,
    /// The content in parts, where it came in parts, of which `content` is the text.
    parts: Option<Box<[Value]>>,
}

/// Messages are the same that say the same, be it in parts.
impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        (self.role, &self.content, &self.whole) == (other.role, &other.content, &other.whole)
    }
}

impl Eq for Message {}

impl Message {
    /// A message of `role`.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), whole: None, parts: None }
    }

    /// A message with all its fields: `fields` holds `role`, and `content` if there is any, in the order in which
    /// templates see them.
    pub(crate) fn with_fields(role: Role, content: String, fields: Map<String, Value>) -> Self {
        let is_plain = fields.len() == 2
            && fields.get("content").is_some_and(Value::is_string)
            && fields.get("role").is_some_and(|name| name == role.as_str());
        Self { role, content, whole: (!is_plain).then(|| Box::new(fields)), parts: None }
    }

    /// The message as rows hold it: `role`, `content`, and whatever else it carries (`reasoning_content`, `tool_calls`,
    /// `tool_call_id`, `name`, …).
    pub fn to_json(&self) -> Map<String, Value> {
        match &self.whole {
            Some(whole) => (**whole).clone(),
            None => {
                let mut fields = Map::new();
                fields.insert("role".into(), self.role.as_str().into());
                fields.insert("content".into(), self.content.as_str().into());
                fields
            }
        }
    }

    /// The message as `transformers` (5.24, `chat_template_utils.py`) hands it to a chat template: without fields that are
    /// null, as many templates print them, and with reasoning under each name that templates read. The role `developer` is
    /// `system` unless `keeps_developer`.
    pub(super) fn for_chat_template(&self, keeps_developer: bool) -> Map<String, Value> {
        let mut given = self.to_json();
        given.retain(|_, value| !value.is_null());
        if !keeps_developer {
            given.insert("role".into(), self.role.as_str().into());
        }
        let Some(reasoning) = REASONING.iter().find_map(|name| given.get(*name)).cloned() else { return given };
        let mut fields = Map::from_iter([(REASONING[1].to_owned(), reasoning.clone())]);
        fields.extend(given);
        fields.insert(REASONING[0].into(), reasoning);
        fields
    }

    /// Whether its role is called `developer`, which is `system` under another name.
    pub(super) fn is_of_developer(&self) -> bool {
        self.whole.as_ref().is_some_and(|whole| whole.get("role").is_some_and(|name| name == DEVELOPER))
    }

    /// The message as prompt templates see it, which always has one of the four roles and a text.
    pub(super) fn for_prompt_template(&self) -> Map<String, Value> {
        let mut fields = self.to_json();
        fields.insert("role".into(), self.role.as_str().into());
        fields.insert("content".into(), self.content.as_str().into());
        fields
    }

    /// The names of what it carries beside role and content.
    pub fn extra_fields(&self) -> impl Iterator<Item = &str> {
        self.extras().map(|(name, _)| name)
    }

    /// Its fields besides role and content.
    pub(super) fn extras(&self) -> impl Iterator<Item = (&str, &Value)> {
        let fields = self.whole.iter().flat_map(|whole| whole.iter());
        fields.map(|(name, value)| (name.as_str(), value)).filter(|(name, _)| !["role", "content"].contains(name))
    }

    /// The same without a field; without its reasoning, where that is one of its names.
    pub(super) fn without(&self, name: &str) -> Self {
        let names = if REASONING.contains(&name) { &REASONING[..] } else { &[name] };
        let mut fields = self.to_json();
        fields.retain(|field, _| !names.contains(&field.as_str()));
        Self { parts: self.parts.clone(), ..Self::with_fields(self.role, self.content.clone(), fields) }
    }

    /// Its content in parts, where it came so; each is `{"type": "text", "text": …}`.
    pub(super) fn parts(&self) -> Option<&[Value]> {
        self.parts.as_deref()
    }

    /// The same with another text.
    pub(super) fn saying(&self, content: String) -> Self {
        let mut whole = self.whole.clone();
        if let Some(whole) = &mut whole {
            whole.insert("content".into(), content.as_str().into());
        }
        Self { role: self.role, content, whole, parts: None }
    }
}

/// As [`Message::to_json`].
impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if let Some(whole) = &self.whole {
            return whole.serialize(serializer);
        }
        let mut fields = serializer.serialize_map(Some(2))?;
        fields.serialize_entry("role", self.role.as_str())?;
        fields.serialize_entry("content", &self.content)?;
        fields.end()
    }
}

/// The inputs of a row's chat template besides messages, named as in `apply_chat_template` of `transformers`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateInputs {
    /// Tools that the model may call.
    pub tools: Option<Vec<Value>>,
    /// Documents to answer from.
    pub documents: Option<Vec<Value>>,
    /// Other variables of the template (`chat_template_kwargs`), such as `enable_thinking`.
    pub kwargs: Map<String, Value>,
}

impl TemplateInputs {
    /// Takes `tools`, `documents` and `chat_template_kwargs` out of a row. Tools may be a JSON text, as parquet has no
    /// column for objects of several shapes.
    pub(super) fn take(at: &str, fields: &mut Map<String, Value>) -> Result<Self> {
        let mut list = |name: &str| match take(fields, name) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => match parse(text.as_bytes()).map(|parsed| parsed.value) {
                Ok(Value::Array(list)) => Ok(Some(list)),
                _ => Err(Error::input(at, format!("`{name}` is a text that is not a JSON list"), "")),
            },
            Some(Value::Array(list)) if list.is_empty() => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(other) => Err(Error::input(at, format!("`{name}` is {}, not a list", kind(&other)), "")),
        };
        let (tools, documents) = (list("tools")?, list("documents")?);
        let kwargs = match take(fields, "chat_template_kwargs") {
            None => Map::new(),
            Some(Value::Object(kwargs)) => kwargs,
            Some(other) => {
                let problem = format!("`chat_template_kwargs` is {}, not an object", kind(&other));
                return Err(Error::input(at, problem, "it holds variables of the chat template"));
            }
        };
        Ok(Self { tools, documents, kwargs })
    }

    /// The names of what there is.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let lists = [("tools", &self.tools), ("documents", &self.documents)];
        let given = lists.into_iter().filter(|(_, list)| list.is_some()).map(|(name, _)| name);
        given.chain(self.kwargs.keys().map(String::as_str))
    }
}

/// A response, the user query it answers, and what was said before: what the prompt template renders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The conversation before the query, oldest first; often empty.
    pub history: Vec<Message>,
    /// The message that the response answers: the user's, or the result of a tool.
    pub query: Message,
    /// The assistant's response to judge.
    pub response: Message,
    /// The inputs of the row's chat template besides messages.
    pub inputs: TemplateInputs,
}

impl Exchange {
    /// A response to a query of the user.
    pub fn new(history: Vec<Message>, query: impl Into<String>, response: impl Into<String>) -> Self {
        Self {
            history,
            query: Message::new(Role::User, query),
            response: Message::new(Role::Assistant, response),
            inputs: TemplateInputs::default(),
        }
    }

    /// Splits a conversation that ends with a query and its response; `at` names the row in errors.
    ///
    /// # Errors
    /// The last message is not the assistant's, or the one before it is neither the user's nor the result of a tool.
    pub fn from_messages(at: &str, mut messages: Vec<Message>, inputs: TemplateInputs) -> Result<Self> {
        let response =
            pop(at, &mut messages, &[Role::Assistant], "the last message, the response to judge,", "`assistant`")?;
        let asks = [Role::User, Role::Tool];
        let query = pop(at, &mut messages, &asks, "the message before the response", "`user`")?;
        Ok(Self { history: messages, query, response, inputs })
    }

    /// All messages, oldest first.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.history.iter().chain([&self.query, &self.response])
    }
}

fn pop(at: &str, messages: &mut Vec<Message>, roles: &[Role], which: &str, expected: &str) -> Result<Message> {
    const HINT: &str = "`messages` is a user query followed by the assistant's response";
    match messages.pop() {
        Some(message) if roles.contains(&message.role) => Ok(message),
        Some(message) => {
            let problem = format!("{which} has role `{}`, not {expected}", message.role.as_str());
            Err(Error::input(at, problem, HINT))
        }
        None => Err(Error::input(at, format!("{which} is missing"), HINT)),
    }
}

/// Removes a field; `null` counts as missing, as parquet has no other way to say so.
pub(super) fn take(fields: &mut Map<String, Value>, name: &str) -> Option<Value> {
    fields.remove(name).filter(|value| !value.is_null())
}

/// The fields that hold a conversation, by their names in data sets.
const CONVERSATION: [&str; 3] = ["messages", "conversations", "conversation"];

/// Takes the conversation out of a row, with the name of its column. Where it is not called `messages`, a column that holds
/// no list may hold an id of the conversation.
pub(super) fn take_conversation(fields: &mut Map<String, Value>) -> Option<(&'static str, Value)> {
    let holds_one = |name: &&str| match fields.get(*name) {
        None | Some(Value::Null) => false,
        Some(value) => *name == CONVERSATION[0] || value.is_array(),
    };
    let name = CONVERSATION.into_iter().find(holds_one)?;
    Some((name, take(fields, name)?))
}

/// Missing, `null`, `""` and `[]` all mean no history; any other string is a transcript, kept whole as one message.
pub(super) fn parse_history(at: &str, history: Option<Value>, report: &mut ReadReport) -> Result<Vec<Message>> {
    match history {
        None => Ok(Vec::new()),
        Some(Value::String(transcript)) if transcript.trim().is_empty() => Ok(Vec::new()),
        Some(Value::String(transcript)) => Ok(vec![Message::new(Role::User, transcript)]),
        Some(value) => parse_messages(at, "history", value, report),
    }
}

/// Puts the text of a row's column `system` before its messages.
///
/// # Errors
/// The column is not a text, or the messages begin with another system message.
pub(super) fn with_system(at: &str, fields: &mut Map<String, Value>, messages: Vec<Message>) -> Result<Vec<Message>> {
    let system = match take(fields, "system") {
        None => return Ok(messages),
        Some(Value::String(text)) if text.is_empty() => return Ok(messages),
        Some(Value::String(text)) => Message::new(Role::System, text),
        Some(other) => return Err(Error::input(at, format!("`system` is {}, not a string", kind(&other)), "")),
    };
    match messages.first() {
        Some(first) if first.role == Role::System && first.content == system.content => Ok(messages),
        Some(first) if first.role == Role::System => {
            let problem = "`system` differs from the system message of the conversation";
            Err(Error::input(at, problem, "leave one of them out"))
        }
        _ => Ok([vec![system], messages].concat()),
    }
}

/// Reads a list of messages out of `field`; a string is an error here, never a list of characters.
pub(crate) fn parse_messages(at: &str, field: &str, value: Value, report: &mut ReadReport) -> Result<Vec<Message>> {
    let Value::Array(items) = value else {
        return Err(Error::input(
            at,
            format!("`{field}` is {}, not a list of messages", kind(&value)),
            r#"a list of messages is written [{"role": "user", "content": "…"}, …]"#,
        ));
    };
    let each = |(i, item)| parse_message(at, &format!("{field}[{i}]"), item, report);
    items.into_iter().enumerate().map(each).collect()
}

/// Reads one message object: `role` and `content`, or ShareGPT's `from` and `value`, and whatever else it carries. Fields
/// that are `null` are left out, as parquet fills up messages of other shapes with them.
pub(super) fn parse_message(at: &str, field: &str, value: Value, report: &mut ReadReport) -> Result<Message> {
    let Value::Object(mut given) = value else {
        return Err(Error::input(
            at,
            format!("`{field}` is {}, not a message", kind(&value)),
            r#"a message is written {"role": "user", "content": "…"}"#,
        ));
    };
    if !is_readable(&Value::Object(given.clone())) {
        return Err(Error::input(at, format!("`{field}` is {}, not a message", kind(&Value::Object(given))), ""));
    }
    let sharegpt = !given.contains_key("role") && given.contains_key("from");
    let [role_name, content_name] = if sharegpt { ["from", "value"] } else { ["role", "content"] };
    let name = match given.get(role_name) {
        Some(Value::String(name)) => name.clone(),
        Some(other) => {
            return Err(Error::input(at, format!("`{field}.{role_name}` is {}, not a string", kind(other)), ""));
        }
        None => return Err(Error::input(at, format!("`{field}` has no `role`"), "")),
    };
    let role = Role::parse(&name).ok_or_else(|| {
        Error::input(
            at,
            format!("`{field}` has the unknown role {name:?}"),
            "roles are system, user, assistant and tool; human and gpt are read as user and assistant",
        )
    })?;
    report.role(&name, role);
    // OpenAI's content may stand beside ShareGPT's role, and the other way round.
    let content_name = if given.contains_key(content_name) || sharegpt { content_name } else { "content" };
    let has_calls = ["tool_calls", "function_call"].iter().any(|name| given.get(*name).is_some_and(|v| !v.is_null()));
    let mut in_parts = None;
    let content = match given.get_mut(content_name).map(Value::take) {
        Some(Value::String(text)) => Some(text),
        Some(Value::Array(parts)) => {
            report.joined_contents += 1;
            in_parts = Some(text_parts(&parts));
            Some(joined(at, &format!("{field}.{content_name}"), parts)?)
        }
        None | Some(Value::Null) if has_calls => None,
        Some(other) => {
            let problem = format!("`{field}.{content_name}` is {}, not a string", kind(&other));
            return Err(Error::input(at, problem, ""));
        }
        None => return Err(Error::input(at, format!("`{field}` has no `content`"), "")),
    };
    // Only here, so that the fields keep their places.
    let mut fields = Map::new();
    for (key, value) in given {
        if key == role_name {
            let is_developer = name.trim().eq_ignore_ascii_case(DEVELOPER);
            fields.insert("role".into(), if is_developer { DEVELOPER } else { role.as_str() }.into());
        } else if key == content_name {
            fields.extend(content.as_deref().map(|text| ("content".to_owned(), text.into())));
        } else if !value.is_null() && is_readable(&value) {
            fields.insert(key, value);
        }
    }
    let message = Message { parts: in_parts, ..Message::with_fields(role, content.unwrap_or_default(), fields) };
    Ok(calling(&name, message))
}

/// A message logged with the role `name`. Where that says that the content is a call of a tool, as in ShareGPT files, the
/// call gets the form that templates know; a content that is none stays a text.
pub(super) fn calling(name: &str, message: Message) -> Message {
    if ![FUNCTION_CALL, TOOL_CALL].contains(&name.trim().to_ascii_lowercase().as_str()) {
        return message;
    }
    let call = |value: &Value| {
        let (name, arguments) = (value.get("name")?.as_str()?, value.get("arguments").or(value.get("parameters"))?);
        Some(serde_json::json!({"type": "function", "function": {"name": name, "arguments": arguments}}))
    };
    let calls: Option<Vec<Value>> = match parse(message.content.as_bytes()).map(|parsed| parsed.value) {
        Ok(Value::Array(list)) => list.iter().map(call).collect(),
        Ok(value) => call(&value).map(|call| vec![call]),
        Err(_) => None,
    };
    let Some(calls) = calls.filter(|calls| !calls.is_empty()) else { return message };
    let mut fields = message.to_json();
    fields.remove("content");
    fields.insert("tool_calls".into(), calls.into());
    Message::with_fields(message.role, String::new(), fields)
}

/// The text of a content that comes in parts, of which all are texts. `field` names the content.
pub(super) fn joined(at: &str, field: &str, parts: Vec<Value>) -> Result<String> {
    let mut text = String::new();
    for (index, part) in parts.into_iter().enumerate() {
        match part_text(&part) {
            Ok(piece) => text.push_str(piece),
            Err(what) => {
                let hint = "wgr reads text only; leave the row out";
                return Err(Error::input(at, format!("`{field}[{index}]` is {what}, not text"), hint));
            }
        }
    }
    Ok(text)
}

/// Parts that are texts, in the form that chat templates know.
fn text_parts(parts: &[Value]) -> Box<[Value]> {
    let known = |part: &Value| match part_text(part) {
        Ok(text) if part.get("type").is_none_or(|kind| kind != "text") => {
            serde_json::json!({"type": "text", "text": text})
        }
        _ => part.clone(),
    };
    parts.iter().map(known).collect()
}

/// The text of one part of a content, or what else it is.
pub(super) fn part_text(part: &Value) -> std::result::Result<&str, String> {
    match part {
        Value::String(text) => Ok(text),
        Value::Object(fields) => match (fields.get("type").and_then(Value::as_str), fields.get("text")) {
            (None | Some("text" | "input_text" | "output_text"), Some(Value::String(text))) => Ok(text),
            (None | Some("text" | "input_text" | "output_text"), _) => Err("a part without a text".into()),
            (Some(kind), _) => Err(format!("a part of type {kind:?}")),
        },
        other => Err(kind(other).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: Value) -> Result<(Vec<Message>, ReadReport)> {
        let mut report = ReadReport::default();
        Ok((parse_messages("f.jsonl:3", "messages", value, &mut report)?, report))
    }

    #[test]
    fn both_spellings_are_read() {
        let openai = json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]);
        let sharegpt = json!([{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]);
        let expected = vec![Message::new(Role::User, "q"), Message::new(Role::Assistant, "a")];
        assert_eq!(parse(openai).unwrap(), (expected.clone(), ReadReport::default()));
        let (messages, report) = parse(sharegpt).unwrap();
        assert_eq!((messages, report.translated_roles.len()), (expected, 2));
    }

    #[test]
    fn malformed_messages_name_the_place() {
        for (value, expected) in [
            (json!("hello"), "`messages` is a string, not a list of messages"),
            (json!(["hello"]), "`messages[0]` is a string, not a message"),
            (json!([{"role": "critic", "content": "x"}]), "unknown role \"critic\""),
            (json!([{"role": "user"}]), "`messages[0]` has no `content`"),
            (json!([{"role": "user", "content": null}]), "`messages[0].content` is null, not a string"),
            (json!([{"role": "user", "content": 3}]), "`messages[0].content` is a number, not a string"),
            (json!([{"role": "user", "content": [3]}]), "`messages[0].content[0]` is a number, not text"),
            (
                json!([{"role": "user", "content": ["x", {"type": "image_url", "image_url": {"url": "u"}}]}]),
                "`messages[0].content[1]` is a part of type \"image_url\", not text",
            ),
            (json!([{"role": "user", "content": [{"type": "input_audio"}]}]), "a part of type \"input_audio\""),
        ] {
            let error = parse(value).unwrap_err().to_string();
            assert!(error.starts_with("f.jsonl:3: ") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn contents_in_parts_are_joined_and_counted() {
        let parts = json!([{"role": "user", "content": [{"type": "text", "text": "a"}, "b", {"text": "c"}]}]);
        let (messages, report) = parse(parts).unwrap();
        assert_eq!((messages, report.joined_contents), (vec![Message::new(Role::User, "abc")], 1));
    }

    #[test]
    fn roles_of_logs_are_translated_and_counted() {
        let named = |role: &str| json!({"role": role, "content": "x"});
        let (messages, report) =
            parse(json!(["User", "BING", "model", "developer", "ipython", "user"].map(named))).unwrap();
        let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::User, Role::Assistant, Role::Assistant, Role::System, Role::Tool, Role::User]);
        assert_eq!(
            report.translated_roles.keys().collect::<Vec<_>>(),
            ["BING", "User", "developer", "ipython", "model"]
        );
    }

    #[test]
    fn everything_a_message_carries_is_kept_in_its_place() {
        let call = json!({"id": "1", "function": {"name": "f", "arguments": {"b": 1, "a": 2}}});
        let given = json!([
            {"name": "me", "role": "user", "content": "q", "weight": null},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "assistant", "tool_calls": [call]},
        ]);
        let (messages, _) = parse(given).unwrap();
        let json: Vec<String> = messages.iter().map(|message| Value::from(message.to_json()).to_string()).collect();
        let calls = r#""tool_calls":[{"id":"1","function":{"name":"f","arguments":{"b":1,"a":2}}}]}"#;
        assert_eq!(json[0], r#"{"name":"me","role":"user","content":"q"}"#);
        assert_eq!(json[1..], [(); 2].map(|()| format!(r#"{{"role":"assistant",{calls}"#)));
        assert_eq!(messages[0].extra_fields().collect::<Vec<_>>(), ["name"]);
        assert_eq!(
            (messages[1].content.as_str(), messages[0].saying("r".into()).to_json()["content"].as_str()),
            ("", Some("r"))
        );
    }

    #[test]
    fn templates_see_no_nulls_and_reasoning_under_every_name() {
        let seen = |value: Value| {
            let (messages, _) = parse(json!([value])).unwrap();
            Value::from(messages[0].for_chat_template(false)).to_string()
        };
        let both = r#"{"thinking":"t","role":"assistant","content":"a","reasoning":"t","reasoning_content":"t"}"#;
        assert_eq!(seen(json!({"role": "assistant", "content": "a", "reasoning": "t"})), both);
        assert_eq!(
            seen(json!({"role": "assistant", "content": "a", "thinking": "t", "reasoning": "r"})),
            r#"{"thinking":"t","role":"assistant","content":"a","reasoning":"r","reasoning_content":"t"}"#
        );
        assert_eq!(
            seen(json!({"role": "assistant", "content": "a", "reasoning_content": "t", "thinking": null})),
            r#"{"thinking":"t","role":"assistant","content":"a","reasoning_content":"t"}"#
        );
        // Only fields of messages: what is null within one stays.
        let call = json!({"id": null, "function": {"name": "f", "arguments": {"x": null}}});
        assert_eq!(
            seen(json!({"role": "assistant", "content": null, "tool_calls": [call]})),
            format!(r#"{{"role":"assistant","tool_calls":[{call}]}}"#)
        );
        let fields = json!({"role": "assistant", "content": null, "name": "n"}).as_object().unwrap().clone();
        let logged = Message::with_fields(Role::Assistant, String::new(), fields);
        assert_eq!(Value::from(logged.for_chat_template(false)), json!({"role": "assistant", "name": "n"}));
        assert_eq!(logged.for_prompt_template()["content"], "");
    }

    #[test]
    fn the_role_developer_is_kept_for_templates_that_know_it() {
        let (messages, report) = parse(json!([{"role": "Developer", "content": "Be terse."}])).unwrap();
        let message = &messages[0];
        assert_eq!((message.role, report.translated_roles["Developer"]), (Role::System, 1));
        assert_eq!(message.to_json()["role"], "developer");
        assert_eq!(message.for_chat_template(true)["role"], "developer");
        assert_eq!(message.for_chat_template(false)["role"], "system");
        assert_eq!(message.for_prompt_template()["role"], "system");
        let mut fields = Map::from_iter([("system".to_owned(), "Be terse.".into())]);
        assert_eq!(with_system("t", &mut fields, messages.clone()).unwrap(), messages);
    }

    #[test]
    fn a_function_call_of_sharegpt_is_a_call() {
        let call = r#"{"name": "f", "arguments": {"x": 1}}"#;
        let given = json!([{"from": "function_call", "value": call}, {"from": "function_call", "value": "no call"}]);
        let (messages, _) = parse(given).unwrap();
        let expected = json!({"role": "assistant", "tool_calls": [
            {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]});
        assert_eq!(Value::from(messages[0].to_json()), expected);
        assert_eq!(messages[1], Message::new(Role::Assistant, "no call"));
    }

    #[test]
    fn an_exchange_ends_with_query_and_response() {
        let conversation = [Role::System, Role::User, Role::Assistant, Role::User, Role::Assistant];
        let messages: Vec<_> = conversation.iter().enumerate().map(|(i, r)| Message::new(*r, i.to_string())).collect();
        let of = |messages: &[Message]| Exchange::from_messages("t", messages.to_vec(), TemplateInputs::default());
        let exchange = of(&messages).unwrap();
        assert_eq!((exchange.query.content.as_str(), exchange.response.content.as_str()), ("3", "4"));
        assert_eq!(exchange.history, messages[..3]);
        assert_eq!(exchange.messages().cloned().collect::<Vec<_>>(), messages);

        let error = of(&messages[..4]).unwrap_err().to_string();
        assert!(error.contains("has role `user`, not `assistant`"), "{error}");
        let error = of(&messages[4..]).unwrap_err().to_string();
        assert!(error.contains("the message before the response is missing"), "{error}");
        let after_tool = [&messages[..3], &[Message::new(Role::Tool, "r"), messages[4].clone()]].concat();
        assert_eq!(of(&after_tool).unwrap().query.role, Role::Tool);
    }

    #[test]
    fn a_column_of_its_own_may_hold_the_system_message() {
        let user = Message::new(Role::User, "q");
        let with = |value: Value, messages: Vec<Message>| {
            with_system("t", &mut Map::from_iter([("system".to_owned(), value)]), messages)
        };
        let system = Message::new(Role::System, "s");
        let expected = vec![system.clone(), user.clone()];
        assert_eq!(with("s".into(), vec![user.clone()]).unwrap(), expected);
        assert_eq!(with("s".into(), expected.clone()).unwrap(), expected);
        assert_eq!(with("".into(), vec![user.clone()]).unwrap(), std::slice::from_ref(&user));
        assert!(with("other".into(), expected).unwrap_err().to_string().contains("differs from the system message"));
        assert!(with(3.into(), vec![user]).unwrap_err().to_string().contains("`system` is a number"));
    }
}
