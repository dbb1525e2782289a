//! The fields of a conversation that a template does not show.
//!
//! Reading the template does not tell: it may name a field of another object, copy one that it then ignores, or print
//! whole messages. So it is tried out: a field that does not change the text is not shown.

use serde_json::Value;

use super::message::Message;
use crate::Result;

/// The fields of messages without which `render` gives the same text; each once, sorted.
pub(super) fn unseen_fields<'a>(
    messages: &[&'a Message],
    render: impl Fn(&[Message]) -> Result<String>,
) -> Vec<&'a str> {
    let given =
        sorted(messages.iter().flat_map(|message| message.extras()).filter(says_something).map(|(name, _)| name));
    if given.is_empty() {
        return given;
    }
    let all: Vec<Message> = messages.iter().map(|message| (*message).clone()).collect();
    // Whoever needs the text finds out why there is none.
    let Ok(shown) = render(&all) else { return vec![] };
    let is_unseen = |name: &&str| {
        let rest: Vec<Message> = all.iter().map(|message| message.without(name)).collect();
        render(&rest).is_ok_and(|text| text == shown)
    };
    given.into_iter().filter(is_unseen).collect()
}

fn says_something((_, value): &(&str, &Value)) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Names in order, each once.
pub(super) fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}
