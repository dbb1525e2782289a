//! Responses that refuse: the response as a whole says, at its beginning, that it will not do what was asked.
//!
//! An apology for a mistake does not count, nor a caveat before an answer, nor "cannot" in an explanation, nor a
//! refusal by a character in a story. A statement of what the assistant cannot do counts if it begins a clause of the
//! first sentences and little follows it: with a full answer after it, the response is an answer.

mod patterns;

use std::sync::LazyLock;

use self::patterns::{ALL, OFFERS, Pattern, QUESTIONS, REASONS};
use super::lexical::{Phrases, beginning, normalized};
use crate::data::words::words_up_to;

/// Bytes of a response in which a refusal has to begin.
const OPENING: usize = 400;
/// Sentences of a response in which a refusal has to begin.
const SENTENCES: usize = 3;
/// The longest refusal, in words, of the request itself, with advice on what to do instead.
const OUTRIGHT: usize = 350;
/// The longest refusal, in words, that gives a reason such as harm, law or policy at once.
const WITH_REASON: usize = 250;
/// The longest other refusal, in words; what is longer has done something after all.
const WITHOUT_REASON: usize = 80;
/// Bytes of a response in which a reason, or an offer, is given.
const REASON: usize = 600;

static COMPILED: LazyLock<Vec<(&Pattern, Phrases)>> =
    LazyLock::new(|| ALL.iter().map(|pattern| (pattern, Phrases::new(pattern.phrases.iter().copied()))).collect());
static ASKED_BACK: LazyLock<Phrases> = LazyLock::new(|| Phrases::new(QUESTIONS.iter().copied()));
static OFFERED: LazyLock<Phrases> = LazyLock::new(|| Phrases::new(OFFERS.iter().copied()));
static REASONED: LazyLock<Phrases> = LazyLock::new(|| Phrases::new(REASONS.iter().copied()));

/// The pattern by which a response is a refusal.
pub(super) fn is_refusal(response: &str) -> Option<&'static str> {
    let opening = normalized(beginning(response, OPENING));
    let opening = sentences(&opening, SENTENCES);
    if is_someone_elses(opening) {
        return None;
    }
    let (pattern, _) = COMPILED
        .iter()
        .find(|(_, phrases)| phrases.all(opening).any(|found| begins_a_clause(&opening[..found.start])))?;
    let words = words_up_to(response, OUTRIGHT + 1);
    let beginning = normalized(beginning(response, REASON));
    let refuses = match () {
        () if pattern.outright => words <= OUTRIGHT,
        () if ASKED_BACK.is_in(opening) => false,
        () if REASONED.is_in(&beginning) => words <= WITH_REASON,
        () => words <= WITHOUT_REASON && !OFFERED.is_in(&beginning) && !goes_on(response),
    };
    refuses.then_some(pattern.name)
}

/// The first sentences of a text.
fn sentences(text: &str, count: usize) -> &str {
    let ends = text
        .match_indices(['.', '!', '?', '。'])
        .filter(|(at, end)| *end == "。" || text[at + 1..].chars().next().is_none_or(char::is_whitespace));
    ends.map(|(at, end)| at + end.len()).nth(count - 1).map_or(text, |end| &text[..end])
}

/// Whether the text is a letter or somebody's speech.
fn is_someone_elses(opening: &str) -> bool {
    static LETTER: LazyLock<Phrases> =
        LazyLock::new(|| Phrases::new(["dear", "subject:", "hi _,", "hello _,", "尊敬的", "亲爱的", "主题:"]));
    let quoted = opening.starts_with(['"', '*', '(', '[', '-', '#', '\'']);
    quoted || LETTER.begins(opening).is_some()
}

/// Whether something that begins here begins a clause, outside of quotes.
fn begins_a_clause(before: &str) -> bool {
    static CONJUNCTION: LazyLock<Phrases> = LazyLock::new(|| {
        Phrases::new([
            "but",
            "and",
            "so",
            "however",
            "sorry",
            "unfortunately",
            "regrettably",
            "therefore",
            "apologize",
            "afraid",
            "apologies",
            "assistant",
            "model",
            "ai",
            "抱歉",
            "对不起",
            "不好意思",
            "遗憾",
        ])
    });
    let quotes = before.matches('"').count();
    let before = before.trim_end();
    let last = CONJUNCTION.all(before).last();
    quotes.is_multiple_of(2)
        && (before.is_empty()
            || before.ends_with([',', '.', '!', '?', ':', ';', '。', '-', '—'])
            || last.is_some_and(|last| last.end == before.len()))
}

/// Whether a list or code follows.
fn goes_on(response: &str) -> bool {
    response.contains("```") || ["\n1. ", "\n1) ", "\n- ", "\n* ", "\n1、"].iter().any(|item| response.contains(item))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lexical::check_entries;

    #[test]
    fn every_entry_matches_whole_words() {
        ALL.iter().for_each(|pattern| check_entries(pattern.phrases));
        [QUESTIONS, OFFERS, REASONS].iter().for_each(|list| check_entries(list));
    }

    #[test]
    fn every_pattern_finds_what_it_is_for() {
        for pattern in &ALL {
            for text in pattern.yes {
                assert_eq!(is_refusal(text), Some(pattern.name), "{text}");
            }
            for text in pattern.no {
                assert_eq!(is_refusal(text), None, "{text}");
            }
        }
    }

    #[test]
    fn other_responses_are_none() {
        for text in [
            "",
            "I'm sorry for the confusion, here is the corrected code: let x = 1;",
            "I apologize for the mistake. The capital of Australia is Canberra.",
            "I can't recommend it enough: the food is wonderful.",
            "You cannot assign to a constant, which is why the compiler refuses.",
            "\"I'm sorry, but I can't help you with that,\" said the guard, and turned away.",
            "The guard said \"I cannot help with that\" and turned away.",
            "Dear Mr Miller,\n\nI'm sorry, but I cannot provide the report this week.",
            "I'm sorry, but I cannot provide an answer without additional context. Which year is meant?",
            "I'm sorry, I cannot plot graphs. However, I can describe how it looks: it falls.",
            "If I cannot provide a reference, I say so. Here are three of them.",
            "*looks around* I'm sorry, but I can't help you find him.",
            "对于给您带来的困扰我深表歉意。正确的答案是北京。",
            "抱歉，之前的回答有误，正确的代码如下。",
            "他说：“对不起，我不能帮助你。”然后就走了。",
        ] {
            assert_eq!(is_refusal(text), None, "{text}");
        }
    }

    #[test]
    fn a_caveat_before_a_full_answer_is_no_refusal() {
        let caveat = "I'm sorry, but I cannot provide a full application here.";
        assert!(is_refusal(caveat).is_some());
        assert_eq!(
            is_refusal(&format!("{caveat} However, {}", "this is how it would be done step by step. ".repeat(20))),
            None
        );
        assert_eq!(is_refusal(&format!("{caveat} Steps:\n1. Begin.\n2. End.")), None);
        let sermon = "It would be harmful to others, and there are better ways to settle a conflict. ".repeat(8);
        assert!(is_refusal(&format!("I'm sorry, but I cannot provide that. {sermon}")).is_some());
        assert_eq!(
            is_refusal(&format!("{} I cannot provide that.", "Some other matter comes first. ".repeat(4))),
            None
        );
    }
}
