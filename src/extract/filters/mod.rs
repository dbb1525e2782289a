//! Filters for turns that cannot be trained on.
//!
//! A turn is counted under the first filter that drops it. The cheap filters come first: language, lengths, tasks that
//! a chat model alone cannot do, addresses and phone numbers; repetitions come last, so that a turn dropped for another
//! reason never counts as the original of a repetition.
//!
//! Requests are searched for at both ends of a query, where people put what they want, and not in the middle, which is
//! often pasted; a response is read at its beginning. Addresses and numbers are searched for in all text that would
//! become a row.

mod filter;
mod phone;
mod requests;

use std::sync::LazyLock;

use regex::Regex;

pub(super) use self::filter::Filter;
use self::requests::Requests;
use super::config::{ExtractConfig, Variant};
use super::lexical::{beginning, end, normalized};
use super::turn::Turn;
use crate::data::Role;
use crate::data::words::words_up_to;

/// Fewest words of a query.
const QUERY_WORDS: usize = 5;
/// Fewest words of a response.
const RESPONSE_WORDS: usize = 10;
/// Bytes read at each end of a query, and at the beginning of a response.
const READ: usize = 600;

/// The filters of a run.
pub(super) struct Filters {
    languages: Vec<String>,
    max_history: usize,
    /// Whether histories are counted in messages; in turns otherwise.
    in_messages: bool,
}

impl Filters {
    /// The filters that the settings ask for.
    pub(super) fn new(config: &ExtractConfig) -> Self {
        Self {
            languages: config.languages.clone(),
            max_history: config.max_history_turns,
            in_messages: config.variant == Variant::PublicCode,
        }
    }

    /// The first filter that drops the turn; all but [`Filter::Duplicate`], for which turns have to be seen in order.
    pub(super) fn dropped_by(&self, turn: &Turn) -> Option<Filter> {
        self.by_form(turn).or_else(|| by_request(turn)).or_else(|| by_personal_data(turn))
    }

    fn by_form(&self, turn: &Turn) -> Option<Filter> {
        let history = match self.in_messages {
            true => turn.history().len(),
            false => turn.history().iter().filter(|message| message.role == Role::User).count(),
        };
        let tests = [
            (Filter::Language, !self.speaks(turn.conversation.language.as_deref())),
            (Filter::LongHistory, history > self.max_history),
            (Filter::ShortQuery, words_up_to(turn.query(), QUERY_WORDS) < QUERY_WORDS),
            (Filter::ShortResponse, words_up_to(turn.response(), RESPONSE_WORDS) < RESPONSE_WORDS),
            (Filter::EmptyFeedback, turn.feedback().trim().is_empty()),
        ];
        tests.into_iter().find(|(_, drops)| *drops).map(|(filter, _)| filter)
    }

    /// Whether a language is asked for. Where the log names none, the reader has detected it; where even that failed there
    /// are hardly any words.
    fn speaks(&self, language: Option<&str>) -> bool {
        language.is_some_and(|language| self.languages.iter().any(|asked| asked.eq_ignore_ascii_case(language)))
    }
}

fn by_request(turn: &Turn) -> Option<Filter> {
    let (query, response) = (turn.query(), normalized(beginning(turn.response(), READ)));
    let query = match query.len() > 2 * READ {
        true => normalized(&format!("{}\n\n{}", beginning(query, READ), end(query, READ))).into_owned(),
        false => normalized(query).into_owned(),
    };
    Requests::all().iter().find(|requests| requests.are_in(&query, &response)).map(|requests| requests.filter)
}

fn by_personal_data(turn: &Turn) -> Option<Filter> {
    let texts = || {
        let history = turn.history().iter().map(|message| message.content.as_str());
        history.chain([turn.query(), turn.response(), turn.feedback()])
    };
    match () {
        () if texts().any(has_email) => Some(Filter::Email),
        () if texts().any(phone::is_in) => Some(Filter::Phone),
        () => None,
    }
}

/// Whether the text contains an e-mail address. Not counted are names reserved for examples (RFC 2606), the user of a
/// repository (`git@host`), and picture files such as `icon@2x.png`.
fn has_email(text: &str) -> bool {
    static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
        let address = r"(?i)([a-z0-9._%+-]+)\\?@((?:[a-z0-9-]+\.)+([a-z]{2,}))";
        Regex::new(address).expect("a constant pattern, which tests compile")
    });
    const RESERVED: [&str; 7] =
        ["example.com", "example.org", "example.net", ".example", ".test", ".invalid", ".localhost"];
    const PICTURES: [&str; 6] = ["png", "jpg", "jpeg", "gif", "svg", "webp"];
    text.contains('@')
        && ADDRESS.captures_iter(text).any(|found| {
            let (_, [user, host, top]) = found.extract();
            let host = host.to_ascii_lowercase();
            !RESERVED.iter().any(|reserved| host.ends_with(reserved))
                && !PICTURES.contains(&top.to_ascii_lowercase().as_str())
                && user != "git"
        })
}

#[cfg(test)]
mod tests;
