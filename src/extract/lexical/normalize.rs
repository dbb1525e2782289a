//! Normalization: one spelling for texts that read the same.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

/// The text in NFKC and lower case, with straight quotes and apostrophes, without invisible characters, each run of white
/// space one space, and none at the ends.
///
/// Time is linear in the text; ASCII, most of what people write in English, takes a path of its own, and text that is
/// normalised already is not copied.
pub(crate) fn normalized(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return match is_normal_ascii(text.as_bytes()) {
            true => Cow::Borrowed(text),
            false => Cow::Owned(collapsed(text.chars().map(|c| c.to_ascii_lowercase()), text.len())),
        };
    }
    // Most text is composed already, which is quickly seen, and composing is slow.
    let characters = || text.chars().filter(|&c| !is_invisible(c)).map(straight);
    Cow::Owned(match is_nfkc_quick(characters()) {
        IsNormalized::Yes => collapsed(characters().flat_map(char::to_lowercase), text.len()),
        _ => collapsed(folded(text), text.len()),
    })
}

/// The characters of the text in NFKC and lower case, with straight quotes and without invisible characters.
pub(crate) fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().filter(|&c| !is_invisible(c)).map(straight).nfkc().flat_map(char::to_lowercase)
}

fn is_normal_ascii(bytes: &[u8]) -> bool {
    let changes = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_control();
    let space = |byte: Option<&u8>| byte == Some(&b' ');
    !space(bytes.first())
        && !space(bytes.last())
        && !bytes.iter().any(|&byte| changes(byte))
        && !bytes.windows(2).any(|pair| pair == b"  ")
}

fn collapsed(characters: impl Iterator<Item = char>, capacity: usize) -> String {
    let mut text = String::with_capacity(capacity);
    let mut space = false;
    for c in characters {
        if c.is_whitespace() {
            space = !text.is_empty();
            continue;
        }
        if std::mem::take(&mut space) {
            text.push(' ');
        }
        text.push(c);
    }
    text
}

/// Characters that people and editors use instead of ASCII quotes.
fn straight(c: char) -> char {
    match c {
        '‘' | '’' | '‚' | '‛' | '′' | 'ʼ' | 'ʹ' | '＇' | '´' => '\'',
        '“' | '”' | '„' | '‟' | '″' | '«' | '»' | '「' | '」' | '『' | '』' | '＂' => '"',
        _ => c,
    }
}

/// Soft hyphens, zero-width spaces and joiners, byte order marks, variation selectors.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_the_same_text_agree() {
        for (text, expected) in [
            ("I CAN’T  do\n\tthat ", "i can't do that"),
            ("I can't do that", "i can't do that"),
            ("“Fine”, she said…", "\"fine\", she said..."),
            ("ＷＯＲＤ　１２３", "word 123"),
            ("谢谢，很好！", "谢谢,很好!"),
            ("zero\u{200b}width", "zerowidth"),
            ("ﬁne ÉTÉ STRASSE", "fine été strasse"),
            ("e\u{301}te\u{301}", "été"),
            ("it´s", "it's"),
            ("", ""),
            (" \n", ""),
        ] {
            assert_eq!(normalized(text), expected, "{text:?}");
        }
    }

    #[test]
    fn ascii_takes_the_same_way_and_normal_text_is_borrowed() {
        for text in ["A  b\tC", " x ", "it's \"Q\"\r\n", "plain text", "\u{1f}a\u{7f}"] {
            assert_eq!(normalized(text), collapsed(folded(text), 0), "{text:?}");
        }
        assert!(matches!(normalized("plain text, it's normal."), Cow::Borrowed(_)));
        assert!(matches!(normalized("trailing "), Cow::Owned(_)));
    }
}
