//! The text of a completion as it grows: whole characters only, cut where a stop string begins.

use tokenizers::Tokenizer;

use crate::{Error, Result};

/// Why a completion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The model ended it, or a stop string came.
    Stop,
    /// It has as many tokens as it may have.
    Length,
}

/// Tokens to text, one by one.
#[derive(Debug, Default)]
pub(super) struct Text {
    tokens: Vec<u32>,
    /// Tokens whose text is complete, and where those before them begin that decide how they are joined.
    complete: usize,
    context: usize,
    text: String,
    /// Bytes of the text that were handed out.
    shown: usize,
    stopped: bool,
}

impl Text {
    /// Adds a token; true if a stop string is complete, before which the text then ends.
    ///
    /// # Errors
    /// The tokenizer cannot decode the tokens.
    pub(super) fn push(&mut self, tokenizer: &Tokenizer, token: u32, stops: &[String]) -> Result<bool> {
        self.tokens.push(token);
        let before = decode(tokenizer, &self.tokens[self.context..self.complete])?;
        let after = decode(tokenizer, &self.tokens[self.context..])?;
        // Half a character shows as a replacement character until its other tokens come.
        if after.len() > before.len() && !after.ends_with('\u{fffd}') {
            self.add(&after[before.len()..], stops);
            (self.context, self.complete) = (self.complete, self.tokens.len());
        }
        Ok(self.stopped)
    }

    /// Adds what the last tokens left, whole or not.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn finish(&mut self, tokenizer: &Tokenizer, stops: &[String]) -> Result<()> {
        let before = decode(tokenizer, &self.tokens[self.context..self.complete])?;
        let after = decode(tokenizer, &self.tokens[self.context..])?;
        if !self.stopped && after.len() > before.len() {
            self.add(&after[before.len()..], stops);
        }
        Ok(())
    }

    fn add(&mut self, piece: &str, stops: &[String]) {
        let longest = stops.iter().map(String::len).max().unwrap_or(0);
        let from = floor_boundary(&self.text, self.text.len().saturating_sub(longest));
        self.text.push_str(piece);
        let found = stops.iter().filter_map(|stop| self.text[from..].find(stop.as_str())).min();
        if let Some(at) = found {
            self.text.truncate(from + at);
            self.stopped = true;
        }
    }

    /// The text so far.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The text that can be shown since the last call: nothing that may turn out to be the beginning of a stop string,
    /// unless the text has ended.
    pub(super) fn fresh(&mut self, stops: &[String], ended: bool) -> &str {
        let end = if ended { self.text.len() } else { self.text.len() - held(&self.text, stops) };
        let from = self.shown.min(end);
        self.shown = end.max(from);
        &self.text[from..end]
    }
}

/// Bytes at the end of a text that are the beginning of a stop string.
fn held(text: &str, stops: &[String]) -> usize {
    let begins = |stop: &String| {
        let lengths = (1..stop.len()).rev().filter(|length| stop.is_char_boundary(*length));
        lengths.into_iter().find(|length| text.ends_with(&stop[..*length])).unwrap_or(0)
    };
    stops.iter().map(begins).max().unwrap_or(0)
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn decode(tokenizer: &Tokenizer, tokens: &[u32]) -> Result<String> {
    tokenizer.decode(tokens, true).map_err(|e| Error::run(format!("the tokenizer cannot decode its tokens: {e}"), ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;
    use crate::model::tiny::Tiny;

    fn tokenizer() -> Tokenizer {
        let tiny = Tiny::new(Family::Llama, serde_json::json!({}), crate::model::Dtype::F32);
        tiny.open().tokenizer().unwrap()
    }

    fn written(text: &str, stops: &[&str]) -> (Vec<String>, String, bool) {
        let tokenizer = tokenizer();
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut growing = Text::default();
        let mut shown = vec![];
        let mut stopped = false;
        for token in tokenizer.encode(text, false).unwrap().get_ids() {
            stopped = growing.push(&tokenizer, *token, &stops).unwrap();
            shown.push(growing.fresh(&stops, stopped).to_owned());
            if stopped {
                break;
            }
        }
        growing.finish(&tokenizer, &stops).unwrap();
        shown.push(growing.fresh(&stops, true).to_owned());
        assert_eq!(shown.concat(), growing.text());
        (shown, growing.text().to_owned(), stopped)
    }

    #[test]
    fn characters_are_shown_whole() {
        let (shown, text, stopped) = written("a\u{e9}\u{6771}b", &[]);
        assert_eq!((text.as_str(), stopped), ("a\u{e9}\u{6771}b", false));
        assert!(shown.iter().all(|piece| !piece.contains('\u{fffd}')), "{shown:?}");
        // A byte that never becomes a character is there at the end.
        let tokenizer = tokenizer();
        let mut growing = Text::default();
        let first = tokenizer.encode("\u{6771}", false).unwrap().get_ids()[0];
        growing.push(&tokenizer, first, &[]).unwrap();
        assert_eq!(growing.text(), "");
        growing.finish(&tokenizer, &[]).unwrap();
        assert_eq!(growing.text(), "\u{fffd}");
    }

    #[test]
    fn a_stop_string_ends_the_text_before_it_wherever_tokens_are_cut() {
        assert_eq!(written("one two three", &["two"]).1, "one ");
        assert_eq!(written("hello hello", &["llo h"]).1, "he");
        assert_eq!(written("abcabd", &["abd", "zz"]).1, "abc");
    }

    #[test]
    fn nothing_of_a_stop_string_is_shown() {
        let (shown, text, stopped) = written("xy\nUser: z", &["\nUser:"]);
        assert_eq!((text.as_str(), stopped), ("xy", true));
        assert!(shown.concat() == "xy");
        // Text that only looked like one is shown after all.
        assert_eq!(written("xy\nUse it", &["\nUser:"]).0.concat(), "xy\nUse it");
    }
}
