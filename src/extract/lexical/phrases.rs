//! Finds many phrases at once, at word boundaries.

use std::iter::Peekable;
use std::ops::Range;
use std::str::Chars;

use regex::Regex;

use crate::data::words::is_unspaced;

/// A list of phrases, compiled into one automaton that reads a text once.
///
/// An entry is a phrase in normal form ([`super::normalized`]) with three marks: `(a|b)` is one of several, `[a|b]` is the
/// same or nothing, `_` is any one word. Between words a comma may stand. An entry matches whole words only: `draw` is
/// neither in `drawback` nor in `draw's` — but Chinese and Japanese have no boundaries between words, so at such a
/// character an entry matches anywhere. Where several alternatives match at one place, the longest of a bracket wins, and
/// among entries the one that is longer as written.
#[derive(Debug)]
pub(crate) struct Phrases {
    regex: Regex,
    /// The same at the beginning of a text only.
    anchored: Regex,
}

impl Phrases {
    /// Compiles the entries.
    ///
    /// # Panics
    /// An entry has an unbalanced bracket. Lists are constants, and tests compile each of them.
    pub(crate) fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns: Vec<String> = entries.into_iter().map(pattern).collect();
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.len()));
        let patterns = patterns.join("|");
        let compiled = |pattern: &str| Regex::new(pattern).expect("lists of phrases are balanced, which tests check");
        Self { regex: compiled(&patterns), anchored: compiled(&format!(r"\A(?:{patterns})")) }
    }

    /// Whether a phrase is in the normalised text.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.find(text).is_some()
    }

    /// The range of the first phrase in the normalized text.
    pub(crate) fn find(&self, text: &str) -> Option<Range<usize>> {
        self.find_from(text, 0)
    }

    /// The ranges of the phrases in the normalized text, none overlapping another.
    pub(crate) fn all<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        let mut from = 0;
        std::iter::from_fn(move || {
            let found = self.find_from(text, from)?;
            from = found.end;
            Some(found)
        })
    }

    /// The end of a phrase at the start of the text.
    pub(crate) fn begins(&self, text: &str) -> Option<usize> {
        let found = self.anchored.find(text)?.range();
        (stands_alone(text, &found) && !found.is_empty()).then_some(found.end)
    }

    fn find_from(&self, text: &str, mut from: usize) -> Option<Range<usize>> {
        while let Some(found) = self.regex.find_at(text, from) {
            if stands_alone(text, &found.range()) && !found.is_empty() {
                return Some(found.range());
            }
            from = found.start() + text[found.start()..].chars().next()?.len_utf8();
        }
        None
    }
}

/// The regular expression of an entry. Its boundaries are those of ASCII, for which the automaton needs no Unicode tables;
/// what they let through, [`stands_alone`] checks again.
fn pattern(entry: &str) -> String {
    let is_word = |edge: Option<char>| edge.is_some_and(|c| c.is_ascii_alphanumeric());
    let mut letters = entry.chars().filter(|c| !"()[]".contains(*c));
    let start = if is_word(letters.next()) { r"(?-u:\b{start-half})" } else { "" };
    let end = if is_word(letters.next_back()) { r"(?-u:\b{end-half})" } else { "" };
    format!("{start}{}{end}", alternatives(&mut entry.chars().peekable()))
}

/// The regular expression of what stands between brackets, or of a whole entry: the longest alternative first.
fn alternatives(entry: &mut Peekable<Chars>) -> String {
    let mut done = vec![];
    let mut current = String::new();
    let mut last = ' ';
    // Around Chinese people put spaces or not.
    let gap = |last: char| if is_unspaced(last) { ",? ?" } else { ",? " };
    while let Some(c) = entry.next_if(|c| !")]".contains(*c)) {
        match c {
            '|' => done.push(std::mem::take(&mut current)),
            '(' | '[' => {
                let inner = alternatives(entry);
                last = inner.chars().rfind(|c| !"()?:".contains(*c)).unwrap_or(last);
                entry.next();
                // A space after what may be missing may be missing with it.
                let space = if c == '[' && entry.next_if_eq(&' ').is_some() { gap(last) } else { "" };
                current.push_str(&format!("(?:{inner}{space}){}", if c == '[' { "?" } else { "" }));
            }
            '_' => current.push_str(r"[^\s.,;:!?]+"),
            ' ' => current.push_str(gap(last)),
            _ => current.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
        if !"([".contains(c) {
            last = c;
        }
    }
    done.push(current);
    done.sort_by_key(|alternative| std::cmp::Reverse(alternative.len()));
    if done.len() == 1 { done.remove(0) } else { format!("(?:{})", done.join("|")) }
}

/// Whether the match is not part of a longer word.
fn stands_alone(text: &str, found: &Range<usize>) -> bool {
    let (before, after) = (&text[..found.start], &text[found.end..]);
    let matched = &text[found.clone()];
    let (first, last) = (matched.chars().next(), matched.chars().next_back());
    let unquoted = |c: &char| *c != '\'';
    let joined_before = is_of_word(first) && is_of_word(before.chars().rev().find(unquoted));
    let joined_after = is_of_word(last) && is_of_word(after.chars().find(unquoted));
    !joined_before && !joined_after
}

/// Whether the character can be part of a word that is set off by spaces.
fn is_of_word(c: Option<char>) -> bool {
    c.is_some_and(|c| (c.is_alphanumeric() || c == '_') && !is_unspaced(c))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::extract::lexical::normalized;

    /// The texts that an entry matches, with `thing` for any word: not every combination, but every alternative at
    /// least once.
    pub(crate) fn spelled_out(entry: &str) -> Vec<String> {
        fn sequence(rest: &mut Peekable<Chars>) -> Vec<String> {
            let mut done: Vec<String> = vec![];
            let mut current = vec![String::new()];
            while let Some(&c) = rest.peek() {
                if matches!(c, ')' | ']') {
                    break;
                }
                rest.next();
                let options: Vec<String> = match c {
                    '|' => {
                        done.append(&mut std::mem::replace(&mut current, vec![String::new()]));
                        continue;
                    }
                    '(' => {
                        let inner = sequence(rest);
                        rest.next();
                        inner
                    }
                    '[' => {
                        let inner = sequence(rest);
                        rest.next();
                        let space = if rest.next_if_eq(&' ').is_some() { " " } else { "" };
                        inner.iter().map(|option| format!("{option}{space}")).chain([String::new()]).collect()
                    }
                    '_' => vec!["thing".into()],
                    c => vec![c.into()],
                };
                let count = current.len().max(options.len());
                let left = current;
                current =
                    (0..count).map(|i| format!("{}{}", left[i % left.len()], options[i % options.len()])).collect();
            }
            done.append(&mut current);
            done
        }
        sequence(&mut entry.chars().peekable())
    }

    /// Goes over every entry of a list: all it stands for is found in a sentence, and never within a longer word.
    pub(crate) fn check_entries(list: &[&str]) {
        let phrases = Phrases::new(list.iter().copied());
        for entry in list {
            let alone = Phrases::new([*entry]);
            assert_eq!(normalized(entry), *entry, "not in normal form");
            assert!(!entry.ends_with(']'), "{entry:?} says nothing more at its end");
            for phrase in spelled_out(entry) {
                for sentence in [format!("well {phrase} indeed"), phrase.clone(), format!("x, {phrase}. y")] {
                    assert!(alone.is_in(&sentence) && phrases.is_in(&sentence), "{entry:?} misses {sentence:?}");
                }
                let typed = phrase.to_uppercase().replace('\'', "’");
                assert!(phrases.is_in(&normalized(&typed)), "{entry:?} misses {typed:?}");
                // Without its first or last word it may be a phrase of the same entry.
                let (tail, head) = (phrase.split_once(' '), phrase.rsplit_once(' '));
                let shorter = |rest: Option<&str>| rest.is_some_and(|rest| alone.is_in(rest));
                if is_of_word(phrase.chars().next()) && !shorter(tail.map(|(_, rest)| rest)) {
                    for longer in [format!("x{phrase}"), format!("é{phrase}")] {
                        assert!(!alone.is_in(&longer), "{entry:?} is found in {longer:?}");
                    }
                }
                if is_of_word(phrase.chars().next_back())
                    && !entry.ends_with('_')
                    && !shorter(head.map(|(rest, _)| rest))
                {
                    for longer in [format!("{phrase}x"), format!("{phrase}é")] {
                        assert!(!alone.is_in(&longer), "{entry:?} is found in {longer:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn phrases_match_whole_words() {
        let phrases = Phrases::new(["draw", "can't", "画图", "gpt"]);
        for (text, found) in [
            ("please draw it", true),
            ("a drawback", false),
            ("they overdraw", false),
            ("drawé", false),
            ("draw_image", false),
            ("the draw's winner", false),
            ("he said 'draw'", true),
            ("I can’t", true),
            ("I cant", false),
            ("请帮我画图吧", true),
            ("你是gpt吗", true),
            ("", false),
        ] {
            assert_eq!(phrases.is_in(&normalized(text)), found, "{text:?}");
        }
    }

    #[test]
    fn marks_stand_for_alternatives_gaps_and_any_word() {
        let phrases = Phrases::new([
            "(draw|paint) [me|us] (a|an) picture",
            "your _ is wrong",
            "生成[一张]图片",
            "谢谢 很好",
            "use (c|c#) here",
            "(no|no no) no",
        ]);
        for (text, found) in [
            ("draw a picture", true),
            ("paint me an picture", true),
            ("draw them a picture", false),
            ("your answer is wrong", true),
            ("your is wrong", false),
            ("well, your answer, is wrong", true),
            ("生成图片", true),
            ("生成一张图片", true),
            ("生成两张图片", false),
            ("谢谢,很好", true),
            ("谢谢很好", true),
            ("use c# here", true),
            ("no no no", true),
        ] {
            assert_eq!(phrases.is_in(&normalized(text)), found, "{text:?}");
        }
    }

    #[test]
    fn a_longer_phrase_wins_and_all_are_found_in_order() {
        let phrases = Phrases::new(["thank", "thank you", "no"]);
        let text = "no, thank you, and thank him";
        assert_eq!(phrases.all(text).map(|at| &text[at]).collect::<Vec<_>>(), ["no", "thank you", "thank"]);
    }

    #[test]
    fn a_match_within_a_word_does_not_hide_a_later_one() {
        let phrases = Phrases::new(["draw"]);
        assert_eq!(phrases.find("drawé then draw"), Some(12..16));
    }

    #[test]
    fn entries_are_spelled_out() {
        assert_eq!(spelled_out("(a|b|c) [d|e] f_"), ["a d fthing", "b e fthing", "c fthing"]);
    }
}
