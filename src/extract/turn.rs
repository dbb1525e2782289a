//! A turn: a response with the query before it and the user message after it.

use std::sync::Arc;

use crate::data::Conversation;
use crate::data::{Message, Role};

/// One response of a conversation, with the user message before and after it.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The conversation it belongs to.
    pub conversation: Arc<Conversation>,
    /// Its number among the responses of the conversation, from 1; real positions, whatever is filtered later.
    pub number: usize,
    /// The index of the query among the messages; the response follows it, and then the user's next message.
    query: usize,
}

impl Turn {
    /// The turns of a conversation that have a next user message, in order.
    ///
    /// A conversation that begins with system messages or with a greeting of the assistant keeps them as history; an
    /// unanswered last message is feedback and nothing else.
    pub fn of(conversation: &Arc<Conversation>) -> Vec<Self> {
        let roles: Vec<Role> = conversation.messages.iter().map(|message| message.role).collect();
        let answered = roles.windows(2).enumerate().filter(|(_, pair)| *pair == [Role::User, Role::Assistant]);
        answered
            .zip(1..)
            .filter(|((query, _), _)| roles.get(query + 2) == Some(&Role::User))
            .map(|((query, _), number)| Self { conversation: conversation.clone(), number, query })
            .collect()
    }

    /// `<conversation>:<number>`, unique in a data set.
    pub fn id(&self) -> String {
        format!("{}:{}", self.conversation.id, self.number)
    }

    /// Everything said before the query, oldest first.
    pub fn history(&self) -> &[Message] {
        &self.conversation.messages[..self.query]
    }

    /// Query, response, and what the user said next.
    pub fn messages(&self) -> [&Message; 3] {
        [0, 1, 2].map(|place| &self.conversation.messages[self.query + place])
    }

    /// The query.
    pub fn query(&self) -> &str {
        &self.conversation.messages[self.query].content
    }

    /// The response.
    pub fn response(&self) -> &str {
        &self.conversation.messages[self.query + 1].content
    }

    /// The user's next message.
    pub fn feedback(&self) -> &str {
        &self.conversation.messages[self.query + 2].content
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A conversation of these roles whose contents are the positions of the messages.
    pub(crate) fn conversation(roles: &[&str]) -> Conversation {
        let messages = roles.iter().enumerate().map(|(i, role)| {
            Message::new(Role::parse(role).expect("tests name roles correctly"), format!("message {i}"))
        });
        Conversation {
            id: "c".into(),
            user: None,
            model: None,
            language: None,
            timestamp: None,
            messages: messages.collect(),
        }
    }

    fn turns(roles: &[&str]) -> Vec<Turn> {
        Turn::of(&Arc::new(conversation(roles)))
    }

    #[test]
    fn a_turn_needs_a_next_user_message() {
        let turns = turns(&["user", "assistant", "user", "assistant", "user", "assistant"]);
        assert_eq!(turns.iter().map(Turn::id).collect::<Vec<_>>(), ["c:1", "c:2"]);
        let [query, response, feedback] = [Turn::query, Turn::response, Turn::feedback].map(|part| part(&turns[1]));
        assert_eq!((query, response, feedback), ("message 2", "message 3", "message 4"));
        assert_eq!(turns[1].history().len(), 2);
    }

    #[test]
    fn an_odd_last_user_message_is_feedback() {
        let turns = turns(&["user", "assistant", "user"]);
        assert_eq!(turns.iter().map(Turn::feedback).collect::<Vec<_>>(), ["message 2"]);
    }

    #[test]
    fn irregular_orders_keep_real_numbers() {
        // A system prompt and a greeting are history; the first response is followed by nothing of the user.
        let turns =
            turns(&["system", "assistant", "user", "assistant", "assistant", "user", "user", "assistant", "user"]);
        assert_eq!(turns.len(), 1);
        assert_eq!((turns[0].number, turns[0].query(), turns[0].history().len()), (2, "message 6", 6));
        assert!(self::turns(&[]).is_empty());
    }
}
