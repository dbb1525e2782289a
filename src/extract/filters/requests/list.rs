//! Phrases of one kind of request.

use crate::extract::filters::Filter;

/// Phrases by which a turn needs something. Entries are written as [`Phrases`](crate::extract::lexical::Phrases) reads them.
pub(super) struct List {
    /// What it is dropped for.
    pub filter: Filter,
    /// In a query: the user asks for it.
    pub query: &'static [&'static str],
    /// In a query: it is meant otherwise after all.
    pub except: &'static [&'static str],
    /// At the beginning of a response: the model says that it cannot.
    pub response: &'static [&'static str],
    /// Longer queries, in words, set a scene or a task, in which the phrase is not the request.
    pub longest_query: Option<usize>,
}
