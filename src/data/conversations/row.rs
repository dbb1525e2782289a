//! A row as logs hold it, whatever the format, and the conversation it becomes.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::conversation::Conversation;
use super::irregular::Reason;
use crate::data::{Message, Role};

/// Bytes of text in a conversation; what is longer is no chat, and would have to be held in memory whole.
pub const LONGEST_TEXT: usize = 8 << 20;
/// Bytes of what a user wrote that are enough to tell its language.
const TELLING: usize = 2000;

/// The fields of a row that are read; what else there is, is passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Row {
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
    #[serde(alias = "conversations", alias = "messages")]
    pub conversation: Option<Vec<RowMessage>>,
}

/// The fields of a message that are read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RowMessage {
    #[serde(alias = "from")]
    pub role: Option<String>,
    /// Absent where a provider withheld it; that is a message that says nothing.
    #[serde(alias = "value")]
    pub content: Option<String>,
    pub language: Option<String>,
    pub hashed_ip: Option<String>,
}

/// A text or a number; anything else counts as absent.
fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scalar {
        Text(String),
        Whole(i64),
        Real(f64),
        Other(IgnoredAny),
    }
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Text(text) => Some(text),
        Scalar::Whole(number) => Some(number.to_string()),
        Scalar::Real(number) => Some(number.to_string()),
        Scalar::Other(_) => None,
    })
}

/// Why a row is no conversation.
pub struct Fault {
    /// Its id, where it has one.
    pub id: Option<String>,
    /// The kind of fault.
    pub reason: Reason,
    /// What was found.
    pub problem: String,
}

impl Row {
    /// The conversation of this row, called `unnamed` where it has no id.
    pub fn conversation(self, unnamed: impl FnOnce() -> String) -> Result<Conversation, Fault> {
        let id = self.conversation_hash.or(self.conversation_id).or(self.id).filter(|id| !id.is_empty());
        let raw = self.conversation.unwrap_or_default();
        let fault = |reason, problem: String| Err(Fault { id: id.clone(), reason, problem });
        if raw.is_empty() {
            return fault(Reason::NoMessages, "there are no messages".into());
        }
        let length: usize = raw.iter().filter_map(|message| message.content.as_ref()).map(String::len).sum();
        if length > LONGEST_TEXT {
            let problem = format!("{length} bytes of text, more than {} MiB", LONGEST_TEXT >> 20);
            return fault(Reason::TooLong, problem);
        }
        let language = self.language.or_else(|| most_frequent(&raw));
        let user = [self.hashed_ip, self.user, self.user_id].into_iter().flatten().next();
        let user = user.or_else(|| raw.iter().find_map(|message| message.hashed_ip.clone()));
        let mut messages = Vec::with_capacity(raw.len());
        for (index, message) in raw.into_iter().enumerate() {
            let Some(role) = message.role.as_deref().and_then(Role::parse) else {
                let role = message.role.map_or("no role".into(), |role| format!("the role {role:?}"));
                return fault(Reason::UnknownRole, format!("message {} has {role}", index + 1));
            };
            messages.push(Message { role, content: message.content.unwrap_or_default() });
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
