//! Items: the rows of suites, whatever file they are from.
//!
//! [`files`] finds the files of a folder, [`fields`] reads the fields of rows, [`own`] the provenance of a user's own rows,
//! and [`transcript`] conversations written as one text.

pub(super) mod fields;
pub(super) mod files;
pub(super) mod own;
pub(super) mod transcript;

pub(super) use fields::Fields;

use crate::data::Content;

/// A row of a suite: responses to score, and what is known of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Unique in its suite.
    pub id: String,
    /// The id that its row has in its file; differs where such ids are unique within a part of the suite only.
    pub own_id: String,
    /// Its file and row, for errors.
    pub place: String,
    /// The responses to score, in the order of score files. Texts and chats, never pairs.
    pub responses: Vec<Content>,
    /// Which responses are right; empty where they are rated instead, and where people saw no difference.
    pub correct: Vec<bool>,
    /// The pairs to compare, as places of the better and the worse response.
    pub pairs: Vec<[usize; 2]>,
    /// The rating of the one response, from 1.
    pub label: Option<u32>,
    /// Items of the same unit (a prompt, a conversation, a user) are drawn together.
    pub unit: String,
    /// The subset, source or file it belongs to.
    pub source: String,
    /// The language, where the row names it.
    pub language: Option<String>,
    /// The user, where the row names one.
    pub user: Option<String>,
}

impl Item {
    /// An item whose responses all continue the same prompt.
    pub(super) fn of_prompt(id: String, fields: &Fields, prompt: &str, responses: Vec<String>, source: String) -> Self {
        Self {
            own_id: id.clone(),
            id,
            place: fields.place().to_owned(),
            unit: prompt.to_owned(),
            responses: responses.into_iter().map(|response| fields::chat(prompt, response)).collect(),
            correct: vec![],
            pairs: vec![],
            label: None,
            source,
            language: None,
            user: None,
        }
    }

    /// Says of two responses which one is better, 0 or 1.
    pub(super) fn decided_for(mut self, better: usize) -> Self {
        self.correct = vec![better == 0, better == 1];
        self.pairs = vec![[better, 1 - better]];
        self
    }
}

/// The response at the end of a content; for a plain text, all of it.
pub(super) fn response(content: &Content) -> &str {
    match content {
        Content::Chat(exchange) => &exchange.response.content,
        Content::Text(text) => text,
        // Items hold no pairs.
        Content::Pair(_) => "",
    }
}

/// The query that a content's response answers; nothing for a plain text.
pub(super) fn query(content: &Content) -> &str {
    match content {
        Content::Chat(exchange) => &exchange.query.content,
        Content::Text(_) | Content::Pair(_) => "",
    }
}

/// The reasons for which a suite leaves out rows, in the plural: the rows are or hold these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeftOut(pub &'static str);

/// The item of a row, or why there is none.
pub(super) type Row = std::result::Result<Item, LeftOut>;
