//! The provenance of a user's own rows.

use std::path::Path;

use serde_json::Value;
use twox_hash::XxHash3_128;

use super::{Item, files};
use crate::data::{Content, Record};
use crate::{Error, Result};

/// Optional columns of a row.
pub(crate) struct Origin {
    place: String,
    source: String,
    language: Option<String>,
    user: Option<String>,
    conversation: Option<String>,
}

impl Origin {
    pub(crate) fn of(file: &Path, record: &Record) -> Self {
        let text = |name: &str| record.fields.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            place: record.place.clone(),
            source: text("source").or_else(|| text("subset")).unwrap_or_else(|| files::stem(file)),
            language: text("language"),
            user: text("user"),
            conversation: text("conversation"),
        }
    }

    /// File and row.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// An error at the row.
    pub(crate) fn wrong<T>(&self, problem: String, hint: &str) -> Result<T> {
        Err(Error::input(&self.place, problem, hint))
    }

    /// The item of the row. Rows of one conversation are one unit; where no conversation is named, rows of one user, or
    /// with `by_prompt` of one prompt.
    pub(crate) fn item(self, id: String, responses: Vec<Content>, by_prompt: bool) -> Item {
        let owner = if by_prompt { responses.first().and_then(prompt) } else { self.user.clone() };
        Item {
            unit: self.conversation.or(owner).unwrap_or_else(|| id.clone()),
            own_id: id.clone(),
            id,
            place: self.place,
            responses,
            correct: vec![],
            pairs: vec![],
            label: None,
            source: self.source,
            language: self.language,
            user: self.user,
        }
    }
}

/// The id that a row without one gets.
pub(crate) fn unnamed(file: &Path, record: &Record) -> String {
    format!("{}:{}", files::stem(file), record.number)
}

/// A name for what a response answers.
fn prompt(content: &Content) -> Option<String> {
    let Content::Chat(exchange) = content else { return None };
    let said = exchange.history.iter().map(|message| message.content.as_str()).chain([exchange.query.content.as_str()]);
    let text = said.collect::<Vec<_>>().join("\0");
    (!text.is_empty()).then(|| format!("{:032x}", XxHash3_128::oneshot(text.as_bytes())))
}
