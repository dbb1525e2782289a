//! Text as seen by lexical rules: one normalization ([`normalized`]), one way to find phrases ([`Phrases`]), and beside
//! them [one way to count words](crate::data::words). Filters, the refusal detector and the lexical annotator share
//! them, so that they all find the same phrases.

mod normalize;
mod phrases;

pub(super) use normalize::{folded, normalized};
pub(super) use phrases::Phrases;

#[cfg(test)]
pub(crate) use phrases::tests::check_entries;

/// The beginning of a text, at most N bytes, never cut within a character.
pub(super) fn beginning(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}

/// The end of a text, at most N bytes, never cut within a character.
pub(super) fn end(text: &str, bytes: usize) -> &str {
    let start = (text.len().saturating_sub(bytes)..text.len()).find(|&at| text.is_char_boundary(at));
    &text[start.unwrap_or(text.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_cut_between_characters() {
        assert_eq!((beginning("ab画c", 4), beginning("ab画c", 5), beginning("ab", 9)), ("ab", "ab画", "ab"));
        assert_eq!((end("a画bc", 4), end("a画bc", 5), end("bc", 9)), ("bc", "画bc", "bc"));
    }
}
