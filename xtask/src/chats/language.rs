//! The phrases of a language, and how their gaps are filled.
//!
//! In a phrase, `{a}`, `{b}` and `{c}` are three things of a topic, `{A}` is the first with a capital letter; `{v}` is
//! something to do with them and `{p}` a place or occasion; `{t}` is a time, `{e}` an effect, `{n}` a number of two
//! digits, `{i}` a name. Together they make enough different sentences that hardly any two exchanges are the same.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

/// The phrases of one language.
pub(super) struct Language {
    pub name: &'static str,
    /// The separator of sentences.
    pub space: &'static str,
    /// Countries, with a state where one is logged.
    pub places: &'static [(&'static str, Option<&'static str>)],
    pub topics: &'static [Topic],
    pub effects: &'static [&'static str],
    pub times: &'static [&'static str],
    pub requests: Requests,
    pub responses: Responses,
    /// What users say about a response, from rejection to satisfaction.
    pub reactions: [&'static [&'static str]; 4],
    /// What they say before their next request when it is not about the response; often nothing at all.
    pub transitions: &'static [&'static str],
}

/// Words of one topic; no two topics of a language share a thing.
pub(super) struct Topic {
    pub things: &'static [&'static str],
    pub actions: &'static [&'static str],
    pub places: &'static [&'static str],
}

/// What users ask.
pub(super) struct Requests {
    pub ordinary: &'static [&'static str],
    /// Too short to be trained on.
    pub short: &'static [&'static str],
    /// Requests that take more than a chat model: the web, pictures, files, or an identity.
    pub beyond: &'static [&'static str],
    /// Requests that should be refused.
    pub unsafe_: &'static [&'static str],
    /// Addresses and numbers that users add to a request.
    pub personal: &'static [&'static str],
}

/// What models answer.
pub(super) struct Responses {
    pub careless: &'static [&'static str],
    pub plain: &'static [&'static str],
    pub careful: &'static [&'static str],
    pub sentences: &'static [&'static str],
    /// How a complete answer ends.
    pub last: &'static [&'static str],
    /// Whole answers in one sentence.
    pub brief: &'static [&'static str],
    pub refusals: &'static [&'static str],
}

/// Names before the sign of an address.
const NAMES: [&str; 6] = ["ada", "lin", "noor", "otto", "pia", "wei"];

/// Topics, things and places that a small vocabulary knows.
const FEW: (usize, usize, usize) = (3, 5, 2);

/// A topic with the things that a request is about.
#[derive(Clone, Copy)]
pub(super) struct Subject {
    pub topic: usize,
    pub things: [&'static str; 3],
}

/// Someone who speaks a language, perhaps with few words.
pub(super) struct Speaker {
    pub rng: ChaCha8Rng,
    pub language: &'static Language,
    pub few_words: bool,
}

impl Speaker {
    /// A topic other than `but`, and things of it.
    pub(super) fn subject(&mut self, but: Option<usize>) -> Subject {
        let topics = if self.few_words { FEW.0 } else { self.language.topics.len() };
        let topic = match but {
            None => self.rng.random_range(0..topics),
            Some(other) => (other + self.rng.random_range(1..topics)) % topics,
        };
        self.things(topic)
    }

    /// Three things of a topic.
    pub(super) fn things(&mut self, topic: usize) -> Subject {
        let things = self.known(self.language.topics[topic].things, FEW.1);
        let things = things.sample_array(&mut self.rng).unwrap_or_default();
        Subject { topic, things }
    }

    pub(super) fn pick(&mut self, phrases: &[&'static str]) -> &'static str {
        phrases.choose(&mut self.rng).copied().unwrap_or_default()
    }

    /// One of the phrases with its gaps filled.
    pub(super) fn say(&mut self, phrases: &[&'static str], subject: &Subject) -> String {
        let topic = &self.language.topics[subject.topic];
        let mut rest = self.pick(phrases);
        let mut text = String::with_capacity(rest.len() * 2);
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let [a, b, c] = subject.things;
            match after.as_bytes()[0] {
                b'a' => text.push_str(a),
                b'A' => text.extend(a.chars().take(1).flat_map(char::to_uppercase).chain(a.chars().skip(1))),
                b'b' => text.push_str(b),
                b'c' => text.push_str(c),
                b'v' => text.push_str(self.pick(self.known(topic.actions, FEW.2))),
                b'p' => text.push_str(self.pick(self.known(topic.places, FEW.2))),
                b't' => text.push_str(self.pick(self.known(self.language.times, FEW.2))),
                b'e' => text.push_str(self.pick(self.language.effects)),
                b'i' => text.push_str(self.pick(&NAMES)),
                _ if self.few_words => text.push_str("20"),
                _ => text.push_str(&self.rng.random_range(10..100).to_string()),
            }
            rest = &after[2..];
        }
        text + rest
    }

    /// The first few of the words where only few are known.
    pub(super) fn known(&self, words: &'static [&'static str], few: usize) -> &'static [&'static str] {
        if self.few_words { &words[..few.min(words.len())] } else { words }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng;

    use super::super::{CHINESE, ENGLISH};
    use super::*;

    /// Every phrase of a language.
    fn phrases(language: &Language) -> Vec<&'static str> {
        let Language { requests, responses, reactions: [rejection, correction, engagement, satisfaction], .. } =
            language;
        [
            requests.ordinary,
            requests.short,
            requests.beyond,
            requests.unsafe_,
            requests.personal,
            responses.careless,
            responses.plain,
            responses.careful,
            responses.sentences,
            responses.last,
            responses.brief,
            responses.refusals,
            rejection,
            correction,
            language.transitions,
            engagement,
            satisfaction,
        ]
        .concat()
    }

    #[test]
    fn every_gap_has_a_filling() {
        for language in [&ENGLISH, &CHINESE] {
            for phrase in phrases(language) {
                for gap in phrase.split('{').skip(1) {
                    assert!("aAbcvpteni".contains(&gap[..1]) && gap[1..].starts_with('}'), "{phrase}");
                }
            }
            for few_words in [false, true] {
                let mut speaker = Speaker { rng: ChaCha8Rng::seed_from_u64(1), language, few_words };
                for phrase in phrases(language) {
                    let subject = speaker.subject(None);
                    let said = speaker.say(&[phrase], &subject);
                    assert!(!said.contains(['{', '}']) && (said.is_empty() == phrase.is_empty()), "{said}");
                }
            }
        }
    }

    #[test]
    fn topics_share_no_thing() {
        for language in [&ENGLISH, &CHINESE] {
            let things: Vec<_> = language.topics.iter().flat_map(|topic| topic.things).collect();
            assert_eq!(things.iter().collect::<HashSet<_>>().len(), things.len());
        }
    }

    #[test]
    fn another_topic_is_another() {
        let mut speaker = Speaker { rng: ChaCha8Rng::seed_from_u64(1), language: &ENGLISH, few_words: false };
        for _ in 0..200 {
            let subject = speaker.subject(Some(3));
            assert_ne!(subject.topic, 3);
            assert_eq!(subject.things.iter().collect::<HashSet<_>>().len(), 3);
        }
    }
}
