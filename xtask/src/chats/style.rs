//! Styles of the chats.

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// As in WildChat: long texts, and users of whom four in five say nothing of the response before.
    Long,
    /// One sentence a response, few different words, and users who say what they think: for a very small model.
    Brief,
}
