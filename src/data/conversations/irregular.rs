//! Conversations that cannot be used: they are counted, and do not end a run.

use serde::Serialize;

/// A conversation that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Irregular {
    /// Its location: `data.jsonl:12` or `data.parquet: row 12`.
    pub place: String,
    /// Its id, where it could be read.
    pub id: Option<String>,
    /// Why it cannot be used.
    pub reason: Reason,
    /// The same in words, with what was found.
    pub problem: String,
}

/// Why a conversation cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A line or list element that is not JSON.
    BrokenJson,
    /// A line that is not UTF-8.
    InvalidUtf8,
    /// A field of another type than expected, such as a text for the list of messages.
    WrongType,
    /// A row without messages.
    NoMessages,
    /// A message without a role, or with one that is none of system, user, assistant and tool.
    UnknownRole,
    /// More text than one conversation can reasonably hold.
    TooLong,
    /// A conversation with the id of an earlier one.
    RepeatedConversation,
}

impl Reason {
    /// Its name in rows and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::BrokenJson => "broken_json",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::WrongType => "wrong_type",
            Self::NoMessages => "no_messages",
            Self::UnknownRole => "unknown_role",
            Self::TooLong => "too_long",
            Self::RepeatedConversation => "repeated_conversation",
        }
    }
}
