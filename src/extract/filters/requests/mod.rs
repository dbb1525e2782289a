//! Tasks that a chat model alone cannot do, by the words of the query and of the response.

mod files;
mod identity;
mod images;
mod list;
mod search;
mod tools;

use std::sync::LazyLock;

use self::list::List;
use super::filter::Filter;
use crate::data::words::words_up_to;
use crate::extract::lexical::Phrases;

const LISTS: [&List; 5] = [&tools::LIST, &files::LIST, &images::LIST, &search::LIST, &identity::LIST];

/// A list, compiled.
pub(super) struct Requests {
    pub filter: Filter,
    query: Phrases,
    except: Option<Phrases>,
    response: Phrases,
    longest_query: Option<usize>,
}

impl Requests {
    /// All of them, in the order of [`Filter::ALL`].
    pub(super) fn all() -> &'static [Self] {
        static ALL: LazyLock<Vec<Requests>> = LazyLock::new(|| LISTS.map(Requests::new).into());
        &ALL
    }

    fn new(list: &List) -> Self {
        let phrases = |entries: &[&'static str]| Phrases::new(entries.iter().copied());
        Self {
            filter: list.filter,
            query: phrases(list.query),
            except: (!list.except.is_empty()).then(|| phrases(list.except)),
            response: phrases(list.response),
            longest_query: list.longest_query,
        }
    }

    /// Whether a turn of this (normalised) query and response is one of them.
    pub(super) fn are_in(&self, query: &str, response: &str) -> bool {
        let asks = || {
            self.query.is_in(query)
                && !self.except.as_ref().is_some_and(|except| except.is_in(query))
                && self.longest_query.is_none_or(|longest| words_up_to(query, longest + 1) <= longest)
        };
        asks() || self.response.is_in(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lexical::check_entries;

    #[test]
    fn every_entry_of_every_list_matches_whole_words() {
        for list in LISTS {
            for entries in [list.query, list.except, list.response] {
                check_entries(entries);
            }
        }
    }
}
