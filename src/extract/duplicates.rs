//! Exchanges that repeat another one.
//!
//! Two exchanges are the same if query and response have the same letters and digits, regardless of case, punctuation
//! and spacing. That is a decision for exact comparison and against fuzzy fingerprints such as MinHash: repetitions in
//! logged chats are prompts sent again, which differ in punctuation at most; only eight bytes per turn are kept; the
//! first exchange stays however the input is divided into windows; and no two exchanges that a reader would tell apart
//! are merged because they share many words, as exercises and templates do.

use std::collections::HashSet;

use twox_hash::XxHash3_64;

use super::lexical::folded;
use super::turn::Turn;

/// The exchanges seen so far.
#[derive(Default)]
pub(super) struct Duplicates {
    seen: HashSet<u64>,
}

impl Duplicates {
    /// Whether the turn is the first of its kind.
    pub(super) fn first(&mut self, turn: &Turn) -> bool {
        self.seen.insert(fingerprint(&[turn.query(), turn.response()]))
    }
}

/// A hash of the letters and digits of some texts, and of where one ends and the next begins.
///
/// With a hundred million exchanges the chance that any two different ones share it is about one in four thousand.
pub(super) fn fingerprint(texts: &[&str]) -> u64 {
    let mut blocks = Blocks::default();
    for text in texts {
        if text.is_ascii() {
            let letters = text.bytes().filter(u8::is_ascii_alphanumeric);
            letters.for_each(|byte| blocks.push(&[byte.to_ascii_lowercase()]));
        } else {
            let letters = folded(text).filter(|c| c.is_alphanumeric());
            letters.for_each(|c| blocks.push(c.encode_utf8(&mut [0; 4]).as_bytes()));
        }
        // No byte of UTF-8.
        blocks.push(&[0xff]);
    }
    blocks.finish()
}

/// Hashes bytes block by block, each block seeded by the hash of those before it.
struct Blocks {
    hash: u64,
    block: [u8; 1024],
    filled: usize,
}

impl Default for Blocks {
    fn default() -> Self {
        Self { hash: 0, block: [0; 1024], filled: 0 }
    }
}

impl Blocks {
    fn push(&mut self, bytes: &[u8]) {
        if self.filled + bytes.len() > self.block.len() {
            self.hash = self.finish();
            self.filled = 0;
        }
        self.block[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    fn finish(&self) -> u64 {
        XxHash3_64::oneshot_with_seed(self.hash, &self.block[..self.filled])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::extract::turn::tests::conversation;

    fn turn(query: &str, response: &str) -> Turn {
        let mut conversation = conversation(&["user", "assistant", "user"]);
        conversation.messages[0].content = query.into();
        conversation.messages[1].content = response.into();
        Turn::of(&Arc::new(conversation)).remove(0)
    }

    #[test]
    fn the_first_of_several_alike_stays() {
        let mut seen = Duplicates::default();
        assert!(seen.first(&turn("What is Rust?", "A language.")));
        assert!(!seen.first(&turn("what is rust", "A  LANGUAGE!!")));
        assert!(seen.first(&turn("What is Rust 2?", "A language.")));
        assert!(seen.first(&turn("What is Rust?", "An oxide.")));
        assert!(seen.first(&turn("什么是Rust？", "一种语言。")));
        assert!(!seen.first(&turn("什么是rust", "一种语言")));
        assert!(!seen.first(&turn("What is ＲＵＳＴ?", "“A language”")));
    }

    #[test]
    fn query_and_response_are_told_apart() {
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
        assert_ne!(fingerprint(&["abc"]), fingerprint(&["abc", ""]));
    }

    #[test]
    fn every_letter_of_a_long_text_counts() {
        let long = "0123456789".repeat(500);
        let changed = |at: usize| format!("{}x{}", &long[..at], &long[at + 1..]);
        for at in [0, 1022, 1023, 1024, 4999] {
            assert_ne!(fingerprint(&[&long]), fingerprint(&[&changed(at)]), "{at}");
        }
        assert_eq!(fingerprint(&[&long]), fingerprint(&[&format!("“{long}”")]), "ASCII and the general path agree");
    }
}
