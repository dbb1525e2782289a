//! Fits an exchange into a token limit without losing the response: whole history messages go first, the oldest
//! before the others, then the middle of the query, and only then the middle of the response.

use super::message::Exchange;
use super::role::Role;
use crate::Result;

/// The placeholder for text that was cut.
const GAP: &str = " … ";

/// The parts that were cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    pub history_messages: usize,
    pub query: bool,
    pub response: bool,
}

/// The tokens of the longest version of `exchange` of at most `limit` tokens, or `None` where not even the template
/// fits. `encode` renders and tokenizes; what it returned is what is used, so the limit holds exactly. With `whole_turns`
/// what is left of the history begins as a conversation does, its system message first: chat templates insist on that.
pub(super) fn fit_exchange(
    exchange: &Exchange,
    limit: usize,
    whole_turns: bool,
    encode: impl Fn(&Exchange) -> Result<Vec<u32>>,
) -> Result<Option<(Vec<u32>, Cut)>> {
    let attempt = |exchange: &Exchange| encode(exchange).map(|tokens| (tokens.len() <= limit).then_some(tokens));
    if let Some(tokens) = attempt(exchange)? {
        return Ok(Some((tokens, Cut::default())));
    }
    let history = &exchange.history;
    // The possible cuts of the history, the shortest first; the whole of it is known to be too long.
    let system = usize::from(whole_turns && history.first().is_some_and(|first| first.role == Role::System));
    let may_begin = |place: &usize| !whole_turns || history.get(*place).unwrap_or(&exchange.query).role == Role::User;
    let starts: Vec<usize> = (system + 1..=history.len()).rev().filter(may_begin).collect();
    let shortened = |start: usize, query: Option<String>, response: Option<String>| Exchange {
        history: [&history[..system], &history[start..]].concat(),
        query: query.map_or_else(|| exchange.query.clone(), |text| exchange.query.saying(text)),
        response: response.map_or_else(|| exchange.response.clone(), |text| exchange.response.saying(text)),
        inputs: exchange.inputs.clone(),
    };
    let shortest = starts.first().copied().unwrap_or(system);
    let kept = largest(starts.len(), |index| attempt(&shortened(starts[index], None, None)))?;
    if let Some((index, tokens)) = kept {
        return Ok(Some((tokens, Cut { history_messages: starts[index] - system, ..Cut::default() })));
    }
    let cut = Cut { history_messages: shortest - system, query: true, response: false };
    let query = &exchange.query.content;
    let kept =
        largest(query.chars().count(), |kept| attempt(&shortened(shortest, Some(without_middle(query, kept)), None)))?;
    if let Some((_, tokens)) = kept {
        return Ok(Some((tokens, cut)));
    }
    let (query, response) = (without_middle(query, 0), &exchange.response.content);
    let kept = largest(response.chars().count(), |kept| {
        attempt(&shortened(shortest, Some(query.clone()), Some(without_middle(response, kept))))
    })?;
    Ok(kept.map(|(_, tokens)| (tokens, Cut { response: true, ..cut })))
}

/// Bisects for the largest `n < limit` for which `attempt` succeeds.
fn largest<T>(limit: usize, mut attempt: impl FnMut(usize) -> Result<Option<T>>) -> Result<Option<(usize, T)>> {
    if limit == 0 {
        return Ok(None);
    }
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
    use super::super::message::Message;
    use super::*;
    use proptest::prelude::*;

    /// One token a character, and a template that costs two.
    fn encode(exchange: &Exchange) -> Result<Vec<u32>> {
        let history: String = exchange.history.iter().map(|message| message.content.as_str()).collect();
        let (query, response) = (&exchange.query.content, &exchange.response.content);
        Ok(format!("{history}<{query}{response}>").chars().map(u32::from).collect())
    }

    fn fit(history: &[&str], query: &str, response: &str, limit: usize) -> Option<(String, Cut)> {
        let history = history.iter().map(|content| Message::new(Role::User, *content)).collect();
        let exchange = Exchange::new(history, query, response);
        let (tokens, cut) = fit_exchange(&exchange, limit, false, encode).unwrap()?;
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
    fn whole_turns_go_and_the_system_message_stays() {
        let said = [
            (Role::System, "s"),
            (Role::User, "one"),
            (Role::Assistant, "two"),
            (Role::User, "three"),
            (Role::Assistant, "four"),
        ];
        let history = said.map(|(role, content)| Message::new(role, content)).to_vec();
        let exchange = Exchange::new(history, "why?", "answer");
        let fit = |limit: usize| {
            let (tokens, cut) = fit_exchange(&exchange, limit, true, encode).unwrap().unwrap();
            (tokens.into_iter().filter_map(char::from_u32).collect::<String>(), cut.history_messages, cut.query)
        };
        assert_eq!(fit(28), ("sonetwothreefour<why?answer>".into(), 0, false));
        assert_eq!(fit(27), ("sthreefour<why?answer>".into(), 2, false));
        assert_eq!(fit(21), ("s<why?answer>".into(), 4, false));
        assert_eq!(fit(12), ("s< … answer>".into(), 4, true));
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
