//! A logged conversation, as delivered by every reader.

use crate::data::Message;

/// A conversation with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Its hash or id, or `<file stem>:<row>` where it has none.
    pub id: String,
    /// The (hashed) user, where the log names one.
    pub user: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// The English name of its language, `English`, as logged or, where the log is silent, as detected.
    pub language: Option<String>,
    /// When it took place, ISO 8601.
    pub timestamp: Option<String>,
    /// The messages, oldest first; roles are checked, contents are verbatim.
    pub messages: Vec<Message>,
}
