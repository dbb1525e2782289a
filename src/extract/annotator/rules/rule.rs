//! A rule, and how it is applied.

use super::opening::{Opening, Sentence};
use crate::data::Feedback;
use crate::extract::lexical::Phrases;

/// A phrase that is strong evidence for a level, where it stands in the right place.
pub(crate) struct Rule {
    /// Its name in evidence and reports, `<level>/<what it says>`.
    pub name: &'static str,
    /// The level it is evidence for.
    pub level: Feedback,
    /// The position that the phrase must have.
    pub place: Place,
    /// The phrases, in the syntax of [`Phrases`].
    pub phrases: &'static [&'static str],
    /// Messages in which it is found.
    #[cfg_attr(not(test), expect(dead_code, reason = "an example that tests check"))]
    pub yes: &'static [&'static str],
    /// Messages in which it is not.
    #[cfg_attr(not(test), expect(dead_code, reason = "an example that tests check"))]
    pub no: &'static [&'static str],
}

/// The position that a phrase must have to be evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The message says nothing else.
    Message,
    /// At the beginning of a sentence of the opening.
    Start,
    /// At the beginning of the message, as a word by itself that something else follows.
    Interjection,
    /// At the beginning of a sentence of the opening, and the response did not ask anything at its end.
    Contradiction,
    /// Anywhere in a statement of the opening.
    Statement,
    /// Anywhere in the opening, and the response holds code.
    AfterCode,
}

/// A rule with its automaton.
pub(super) struct Compiled {
    pub rule: &'static Rule,
    phrases: Phrases,
}

impl Compiled {
    pub(super) fn new(rule: &'static Rule) -> Self {
        Self { rule, phrases: Phrases::new(rule.phrases.iter().copied()) }
    }

    /// Whether the message holds the rule's evidence.
    pub(super) fn finds(&self, opening: &Opening) -> bool {
        match self.rule.place {
            Place::Message => opening.is_made_of(&self.phrases),
            Place::Start => opening.sentences.iter().any(|sentence| self.starts(sentence)),
            Place::Interjection => opening.interjection(&self.phrases),
            Place::Contradiction => !opening.answers && opening.sentences.iter().any(|sentence| self.starts(sentence)),
            Place::Statement => opening.sentences.iter().any(|sentence| self.states(sentence)),
            Place::AfterCode => opening.after_code && opening.sentences.iter().any(|sentence| self.says(sentence)),
        }
    }

    fn starts(&self, sentence: &Sentence) -> bool {
        self.phrases.begins(&sentence.text).is_some_and(|end| self.is_meant(sentence, end))
    }

    fn states(&self, sentence: &Sentence) -> bool {
        sentence.is_statement && self.says(sentence)
    }

    fn says(&self, sentence: &Sentence) -> bool {
        let mut found = self.phrases.all(&sentence.text);
        found.any(|found| !sentence.is_conditional(found.start) && self.is_meant(sentence, found.end))
    }

    /// Whether what ends there is said and not asked: "this is good?", "这样不对吗".
    fn is_meant(&self, sentence: &Sentence, end: usize) -> bool {
        let rest = sentence.text[end..].trim_start();
        let asked = rest.starts_with(['吗', '么', '嘛']) || (self.rule.level.is_positive() && rest.starts_with('?'));
        !asked
    }
}
