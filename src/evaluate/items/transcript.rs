//! Conversations written as one text, as in Anthropic's HH-RLHF: `\n\nHuman: …\n\nAssistant: …`.

use crate::data::{Exchange, Message, Role, TemplateInputs};

const TURNS: [(&str, Role); 2] = [("\n\nHuman:", Role::User), ("\n\nAssistant:", Role::Assistant)];

/// The conversation of a transcript that ends with a query and its response; `None` for any other text.
pub(crate) fn exchange(text: &str) -> Option<Exchange> {
    let mut rest = text;
    let mut messages = vec![];
    while !rest.is_empty() {
        let (mark, role) = TURNS.into_iter().find(|(mark, _)| rest.starts_with(mark))?;
        let said = &rest[mark.len()..];
        let end = TURNS.iter().filter_map(|(mark, _)| said.find(mark)).min().unwrap_or(said.len());
        messages.push(Message::new(role, said[..end].trim()));
        rest = &said[end..];
    }
    Exchange::from_messages("", messages, TemplateInputs::default()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_become_messages() {
        let found =
            exchange("\n\nHuman: Hi\n\nAssistant: Hello.\n\nHow are you?\n\nHuman: Fine\n\nAssistant: Good").unwrap();
        assert_eq!((found.query.content.as_str(), found.response.content.as_str()), ("Fine", "Good"));
        let history = [Message::new(Role::User, "Hi"), Message::new(Role::Assistant, "Hello.\n\nHow are you?")];
        assert_eq!(found.history, history);
        assert_eq!(exchange("\n\nHuman: Hi\n\nAssistant:").unwrap().response.content, "");
    }

    #[test]
    fn other_texts_are_left_alone() {
        for text in ["", "Hello", "Human: Hi\n\nAssistant: Hello", "\n\nHuman: Hi", "\n\nAssistant: Hello"] {
            assert_eq!(exchange(text), None, "{text:?}");
        }
    }
}
