//! A row of a log in any format, and the conversation made from it.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::conversation::Conversation;
use super::irregular::Reason;
use crate::data::json::digits;
use crate::data::message::{calling, part_text};
use crate::data::read_report::ReadReport;
use crate::data::{Message, Role};

/// Maximum bytes of text in a conversation; a longer one is not a chat, and would have to be held in memory whole.
pub(super) const LONGEST_TEXT: usize = 8 << 20;
/// Bytes of what a user wrote that are enough to tell its language.
const TELLING: usize = 2000;

/// Fields of a [`Row`] that may hold the messages; of columns, the first that a file has.
pub(super) const MESSAGES: [&str; 3] = ["conversation", "conversations", "messages"];
/// Its other fields.
pub(super) const COLUMNS: [&str; 10] = [
    "conversation_hash",
    "conversation_id",
    "id",
    "model",
    "timestamp",
    "language",
    "hashed_ip",
    "user",
    "user_id",
    "system",
];

/// The fields of a row that are read; others are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Row {
    #[serde(deserialize_with = "scalar")]
    pub conversation_hash: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub conversation_id: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub id: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub model: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub timestamp: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub language: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub hashed_ip: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub user: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub user_id: Option<String>,
    #[serde(deserialize_with = "scalar")]
    pub system: Option<String>,
    #[serde(alias = "conversations", alias = "messages")]
    pub conversation: Option<Vec<RowMessage>>,
}

/// The fields of a message that are read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RowMessage {
    #[serde(alias = "from")]
    pub role: Option<String>,
    /// Absent where a provider withheld it; that is a message that says nothing.
    #[serde(alias = "value")]
    pub content: Said,
    pub language: Option<String>,
    pub hashed_ip: Option<String>,
    pub name: Option<Value>,
    pub reasoning_content: Option<Value>,
    pub thinking: Option<Value>,
    pub reasoning: Option<Value>,
    pub tool_calls: Option<Value>,
    pub function_call: Option<Value>,
    pub tool_call_id: Option<Value>,
}

/// The content of a message.
#[derive(Debug, Default)]
pub(super) enum Said {
    /// There is none.
    #[default]
    Nothing,
    /// A text.
    Text(String),
    /// Parts of several kinds.
    Parts(Vec<Value>),
}

impl Said {
    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Text(text) => text.len(),
            Self::Parts(parts) => parts.iter().filter_map(|part| part_text(part).ok()).map(str::len).sum(),
        }
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SaidVisitor;

        impl<'de> Visitor<'de> for SaidVisitor {
            type Value = Said;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a text, or a list of parts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Said, E> {
                Ok(Said::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Said, E> {
                Ok(Said::Text(text))
            }

            fn visit_unit<E>(self) -> Result<Said, E> {
                Ok(Said::Nothing)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Said, A::Error> {
                let mut parts = vec![];
                while let Some(part) = items.next_element()? {
                    parts.push(part);
                }
                Ok(Said::Parts(parts))
            }
        }

        deserializer.deserialize_any(SaidVisitor)
    }
}

impl RowMessage {
    /// The message, or what is wrong with it in words.
    fn message(self, report: &mut ReadReport) -> Result<Message, (Reason, String)> {
        let Some((name, role)) = self.role.as_deref().and_then(|name| Some((name, Role::parse(name)?))) else {
            let role = self.role.map_or("no role".into(), |role| format!("the role {role:?}"));
            return Err((Reason::UnknownRole, format!("has {role}")));
        };
        report.role(name, role);
        let content = match self.content {
            Said::Nothing => None,
            Said::Text(text) => Some(text),
            Said::Parts(parts) => {
                report.joined_contents += 1;
                let texts = parts.iter().map(part_text).collect::<Result<Vec<&str>, String>>();
                Some(texts.map_err(|what| (Reason::WrongType, format!("holds {what}, which is not text")))?.concat())
            }
        };
        let others = [
            ("name", self.name),
            ("reasoning_content", self.reasoning_content),
            ("thinking", self.thinking),
            ("reasoning", self.reasoning),
            ("tool_calls", self.tool_calls),
            ("function_call", self.function_call),
            ("tool_call_id", self.tool_call_id),
        ];
        let others: Vec<_> = others.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let has_content = content.is_some();
        let text = content.unwrap_or_default();
        if others.is_empty() {
            return Ok(calling(name, Message::new(role, text)));
        }
        let mut fields = Map::new();
        fields.insert("role".into(), role.as_str().into());
        // Only beside a call may the content be missing.
        let has_calls = others.iter().any(|(name, _)| ["tool_calls", "function_call"].contains(name));
        if has_content || !has_calls {
            fields.insert("content".into(), text.as_str().into());
        }
        fields.extend(others.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Ok(Message::with_fields(role, text, fields))
    }
}

/// A text, or the digits of a number as they stand; anything else counts as absent.
fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    match raw.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw.get()).map(Some).map_err(serde::de::Error::custom),
        Some(b'-' | b'0'..=b'9') => Ok(Some(raw.get().to_owned())),
        // One beyond 64 bits comes as what stands for it.
        Some(b'{') => {
            let long: Value = serde_json::from_str(raw.get()).map_err(serde::de::Error::custom)?;
            Ok(digits(&long).map(str::to_owned))
        }
        _ => Ok(None),
    }
}

/// Why a row is not a conversation.
pub(super) struct Fault {
    /// Its id, where it has one.
    pub id: Option<String>,
    /// The kind of fault.
    pub reason: Reason,
    /// What was found.
    pub problem: String,
}

impl Row {
    /// The conversation of this row, called `unnamed` where it has no id.
    ///
    /// # Errors
    /// The row holds no conversation that can be used; the fault says why.
    pub(super) fn conversation(
        self,
        unnamed: impl FnOnce() -> String,
        report: &mut ReadReport,
    ) -> Result<Conversation, Fault> {
        let id = self.conversation_hash.or(self.conversation_id).or(self.id).filter(|id| !id.is_empty());
        let raw = self.conversation.unwrap_or_default();
        let fault = |reason, problem: String| Err(Fault { id: id.clone(), reason, problem });
        if raw.is_empty() {
            return fault(Reason::NoMessages, "there are no messages".into());
        }
        let length: usize = raw.iter().map(|message| message.content.len()).sum();
        if length > LONGEST_TEXT {
            let problem = format!("{length} bytes of text, more than {} MiB", LONGEST_TEXT >> 20);
            return fault(Reason::TooLong, problem);
        }
        let language = self.language.or_else(|| most_frequent(&raw));
        let user = [self.hashed_ip, self.user, self.user_id].into_iter().flatten().next();
        let user = user.or_else(|| raw.iter().find_map(|message| message.hashed_ip.clone()));
        let mut messages = Vec::with_capacity(raw.len() + 1);
        messages.extend(self.system.filter(|text| !text.is_empty()).map(|text| Message::new(Role::System, text)));
        for (index, message) in raw.into_iter().enumerate() {
            match message.message(report) {
                Ok(message) => messages.push(message),
                Err((reason, problem)) => return fault(reason, format!("message {} {problem}", index + 1)),
            }
        }
        Ok(Conversation {
            id: id.unwrap_or_else(unnamed),
            user,
            model: self.model,
            language: language.or_else(|| detected(&messages)),
            timestamp: self.timestamp,
            messages,
        })
    }
}

/// The language most messages are logged with, the earlier one among equals.
fn most_frequent(messages: &[RowMessage]) -> Option<String> {
    let languages: Vec<&String> = messages.iter().filter_map(|message| message.language.as_ref()).collect();
    let count = |language: &String| languages.iter().filter(|other| **other == language).count();
    languages.iter().rev().max_by_key(|language| count(language)).map(|language| (*language).clone())
}

/// The language of what the user wrote, by its statistics.
fn detected(messages: &[Message]) -> Option<String> {
    let mut text = String::new();
    for message in messages.iter().filter(|message| message.role == Role::User) {
        if text.len() >= TELLING {
            break;
        }
        text.extend(message.content.chars().take(TELLING));
        text.push('\n');
    }
    Some(match whatlang::detect_lang(&text)? {
        whatlang::Lang::Cmn => "Chinese".into(),
        language => language.eng_name().to_owned(),
    })
}
