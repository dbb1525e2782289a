//! Counts words, in the same way everywhere.

use unicode_normalization::char::is_combining_mark;

/// Words of a text. A character of a script written without spaces counts as one; elsewhere a word is a run of letters and
/// digits, with the apostrophes within it.
pub(crate) fn words(text: &str) -> usize {
    words_up_to(text, usize::MAX)
}

/// As [`words`], but no further than `limit`: enough to tell a short text from a long one.
pub(crate) fn words_up_to(text: &str, limit: usize) -> usize {
    let mut count = 0;
    // Whether the previous character belongs to a word, and the one before an apostrophe did.
    let (mut within, mut joined) = (false, false);
    for c in text.chars() {
        if count >= limit {
            break;
        }
        if is_unspaced(c) {
            count += 1;
            (within, joined) = (false, false);
        } else if c.is_alphanumeric() || (within && is_combining_mark(c)) {
            count += usize::from(!within && !joined);
            (within, joined) = (true, false);
        } else {
            joined = within && matches!(c, '\'' | '’');
            within = false;
        }
    }
    count
}

/// Whether the character belongs to a script whose words are not separated by spaces: Han, Hiragana, Katakana.
pub(crate) fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_as_readers_do() {
        for (text, expected) in [
            ("", 0),
            ("…  — !", 0),
            ("one", 1),
            ("I can't, and you can’t either.", 6),
            ("'quoted' words'", 2),
            ("snake_case and half-baked", 5),
            ("你好，世界！", 4),
            ("用 Rust 写一个程序", 7),
            ("これはペン", 5),
            ("हिन्दी में लिखो", 3),
            ("안녕하세요 여러분", 2),
        ] {
            assert_eq!(words(text), expected, "{text:?}");
        }
    }

    #[test]
    fn counting_stops_at_the_limit() {
        assert_eq!((words_up_to("a b c d", 2), words_up_to("a b", 5), words_up_to("你好吗", 2)), (2, 2, 2));
        assert_eq!(words_up_to("a b", 0), 0);
    }
}
