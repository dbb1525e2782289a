//! Fits an exchange into a token limit without losing the response: whole history messages go first, the oldest
//! before the others, then the middle of the query, and only then the middle of the response.

use super::message::{Exchange, Message};
use crate::Result;

/// What stands where text was cut out.
const GAP: &str = " … ";

/// What had to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    pub history_messages: usize,
    pub query: bool,
    pub response: bool,
}

/// The tokens of the longest version of `exchange` of at most `limit` tokens, or `None` where not even the template
/// fits. `encode` renders and tokenizes; what it returned is what is used, so the limit holds exactly.
pub(super) fn fit_exchange(
    exchange: &Exchange,
    limit: usize,
    encode: impl Fn(&[Message], &str, &str) -> Result<Vec<u32>>,
) -> Result<Option<(Vec<u32>, Cut)>> {
    let Exchange { history, query, response } = exchange;
    let attempt = |history: &[Message], query: &str, response: &str| {
        encode(history, query, response).map(|tokens| (tokens.len() <= limit).then_some(tokens))
    };
    if let Some(tokens) = attempt(history, query, response)? {
        return Ok(Some((tokens, Cut::default())));
    }
    let kept = largest(history.len(), |kept| attempt(&history[history.len() - kept..], query, response))?;
    if let Some((kept, tokens)) = kept {
        return Ok(Some((tokens, Cut { history_messages: history.len() - kept, ..Cut::default() })));
    }
    let cut = Cut { history_messages: history.len(), query: true, response: false };
    let kept = largest(query.chars().count(), |kept| attempt(&[], &without_middle(query, kept), response))?;
    if let Some((_, tokens)) = kept {
        return Ok(Some((tokens, cut)));
    }
    let query = without_middle(query, 0);
    let kept = largest(response.chars().count(), |kept| attempt(&[], &query, &without_middle(response, kept)))?;
    Ok(kept.map(|(_, tokens)| (tokens, Cut { response: true, ..cut })))
}

/// Bisects for the largest `n < limit` for which `attempt` succeeds; `limit` itself is known to fail.
fn largest<T>(limit: usize, mut attempt: impl FnMut(usize) -> Result<Option<T>>) -> Result<Option<(usize, T)>> {
    let Some(mut best) = attempt(0)? else { return Ok(None) };
    let (mut fits, mut fails) = (0, limit);
    while fails > fits + 1 {
        let middle = fits + (fails - fits) / 2;
        match attempt(middle)? {
            Some(found) => (fits, best) = (middle, found),
            None => fails = middle,
        }
    }
    Ok(Some((fits, best)))
}

/// `kept` characters of a text, half from its start and half (the larger one) from its end, around a gap.
fn without_middle(text: &str, kept: usize) -> String {
    let count = text.chars().count();
    if kept >= count {
        return text.to_owned();
    }
    let byte = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(byte, _)| byte);
    let head = kept / 2;
    [&text[..byte(head)], GAP, &text[byte(count - (kept - head))..]].concat()
}

#[cfg(test)]
mod tests {
    use super::super::message::Role;
    use super::*;
    use proptest::prelude::*;

    /// One token a character, and a template that costs two.
    fn encode(history: &[Message], query: &str, response: &str) -> Result<Vec<u32>> {
        let history: String = history.iter().map(|message| message.content.as_str()).collect();
        Ok(format!("{history}<{query}{response}>").chars().map(u32::from).collect())
    }

    fn fit(history: &[&str], query: &str, response: &str, limit: usize) -> Option<(String, Cut)> {
        let history = history.iter().map(|content| Message::new(Role::User, *content)).collect();
        let exchange = Exchange { history, query: query.into(), response: response.into() };
        let (tokens, cut) = fit_exchange(&exchange, limit, encode).unwrap()?;
        Some((tokens.into_iter().filter_map(char::from_u32).collect(), cut))
    }

    #[test]
    fn what_goes_first() {
        let history = ["one", "two", "three"];
        let cut = |history_messages, query, response| Cut { history_messages, query, response };
        for (limit, text, expected) in [
            (30, "onetwothree<what is it?answer>", cut(0, false, false)),
            (29, "twothree<what is it?answer>", cut(1, false, false)),
            (26, "three<what is it?answer>", cut(2, false, false)),
            (19, "<what is it?answer>", cut(3, false, false)),
            (18, "<wha …  it?answer>", cut(3, true, false)),
            (12, "< … ?answer>", cut(3, true, false)),
            (11, "< … answer>", cut(3, true, false)),
            (10, "< … a … r>", cut(3, true, true)),
            (8, "< …  … >", cut(3, true, true)),
        ] {
            assert_eq!(fit(&history, "what is it?", "answer", limit), Some((text.into(), expected)), "limit {limit}");
        }
        assert_eq!(fit(&history, "what is it?", "answer", 7), None);
    }

    #[test]
    fn an_empty_query_gets_no_gap() {
        assert_eq!(fit(&[], "", "a long answer", 9).unwrap().0, "<a  … er>");
        assert_eq!(fit(&[], "", "", 1), None);
    }

    proptest! {
        #[test]
        fn the_limit_holds_and_the_end_of_the_response_stays(
            history in prop::collection::vec("[a-zé✓🙂]{0,12}", 0..5), query in "[a-zé✓🙂]{0,20}",
            response in "[a-zé✓🙂]{1,30}", limit in 0usize..80,
        ) {
            let history: Vec<&str> = history.iter().map(String::as_str).collect();
            if let Some((text, cut)) = fit(&history, &query, &response, limit) {
                let end = format!("{response}>");
                let whole = format!("{}<{query}{end}", history.concat());
                prop_assert!(text.chars().count() <= limit);
                prop_assert!(cut.response || text.ends_with(&end));
                prop_assert!(!cut.response || cut.history_messages == history.len());
                prop_assert_eq!(cut == Cut::default(), text == whole);
            } else {
                prop_assert!(limit < 2 + 2 * GAP.chars().count());
            }
        }
    }
}
