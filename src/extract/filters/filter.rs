//! The reasons to drop a turn.

/// A reason to drop a turn, in the order they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Filter {
    /// In no language that was asked for.
    Language,
    /// After more turns than a model will be shown.
    LongHistory,
    /// The query has fewer than five words.
    ShortQuery,
    /// The response has fewer than ten words.
    ShortResponse,
    /// The next message is blank.
    EmptyFeedback,
    /// Needs a tool: to run something, to send something, to act.
    Tools,
    /// Needs a file that was attached or is to be made.
    Files,
    /// Needs to see or to make an image.
    Images,
    /// Needs the web, or what is true today.
    Search,
    /// Asks which model answers; it would be learned as the identity of another one.
    Identity,
    /// Holds an e-mail address.
    Email,
    /// Holds a phone number.
    Phone,
    /// Says what an earlier turn says.
    Duplicate,
}

impl Filter {
    /// All filters, in the order they run.
    pub(crate) const ALL: [Self; 13] = [
        Self::Language,
        Self::LongHistory,
        Self::ShortQuery,
        Self::ShortResponse,
        Self::EmptyFeedback,
        Self::Tools,
        Self::Files,
        Self::Images,
        Self::Search,
        Self::Identity,
        Self::Email,
        Self::Phone,
        Self::Duplicate,
    ];

    /// Its name in rows and reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Language => "language",
            Self::LongHistory => "long_history",
            Self::ShortQuery => "short_query",
            Self::ShortResponse => "short_response",
            Self::EmptyFeedback => "empty_feedback",
            Self::Tools => "tools",
            Self::Files => "files",
            Self::Images => "images",
            Self::Search => "search",
            Self::Identity => "identity",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Duplicate => "duplicate",
        }
    }
}
