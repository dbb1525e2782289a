//! Rows of a JSON file: one object a line, or one list of objects.

use std::borrow::Cow;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::elements::{Element, Elements};
use super::irregular::{Irregular, Reason};
use super::reader::{Batch, Sink};
use super::row::{Fault, LONGEST_TEXT, Row};
use crate::{Error, Result};

/// Bytes of a row with everything that is not read of it.
const LONGEST_ROW: usize = 8 * LONGEST_TEXT;

/// Sends all rows of a file.
pub fn read(path: &Path, file: File, is_list: bool, sink: &Sink) -> Result<()> {
    let mut elements = Elements::new(BufReader::with_capacity(1 << 20, file), is_list, LONGEST_ROW);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut batch = Batch::default();
    let (mut number, mut read) = (0_u64, 0);
    while let Some(element) = elements.next().map_err(|e| Error::io(path, e))? {
        number += 1;
        batch.bytes_read += elements.consumed - read;
        read = elements.consumed;
        let row = match element {
            Element::Text(text) if text.trim_ascii().is_empty() => continue,
            Element::Text(text) => parse(&text).and_then(|row| row.conversation(|| format!("{stem}:{number}"))),
            Element::TooLong => Err(fault(Reason::TooLong, format!("longer than {} MiB", LONGEST_ROW >> 20))),
            Element::Unclosed => Err(fault(Reason::BrokenJson, "the list is not closed: is the file whole?".into())),
        };
        let place = || match is_list {
            true => format!("{}: row {number}", path.display()),
            false => format!("{}:{number}", path.display()),
        };
        batch.push(row.map_err(|Fault { id, reason, problem }| Irregular { place: place(), id, reason, problem }));
        if batch.is_full() && !sink.send(std::mem::take(&mut batch)) {
            return Ok(());
        }
    }
    sink.send(batch);
    Ok(())
}

fn fault(reason: Reason, problem: String) -> Fault {
    Fault { id: None, reason, problem }
}

fn parse(text: &[u8]) -> Result<Row, Fault> {
    let text = std::str::from_utf8(text)
        .map_err(|e| fault(Reason::InvalidUtf8, format!("invalid UTF-8 at byte {}", e.valid_up_to() + 1)))?;
    let text = text.trim_start_matches('\u{feff}');
    let broken = |e: &serde_json::Error| match e.classify() {
        serde_json::error::Category::Data => fault(Reason::WrongType, e.to_string()),
        _ => fault(Reason::BrokenJson, e.to_string()),
    };
    serde_json::from_str(text).or_else(|error| match with_paired_surrogates(text) {
        // Half a character, which a tool cut in two, is not worth a conversation.
        Cow::Owned(repaired) => serde_json::from_str(&repaired).map_err(|e| broken(&e)),
        Cow::Borrowed(_) => Err(broken(&error)),
    })
}

/// Puts U+FFFD where an escape `\uD800`..`\uDFFF` has no partner, as such halves are not Unicode text.
pub(crate) fn with_paired_surrogates(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let unit = |at: usize| match bytes.get(at..at + 6) {
        Some([b'\\', b'u', digits @ ..]) => {
            std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok())
        }
        _ => None,
    };
    let mut repaired = String::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == b'\\') {
        at += found;
        match unit(at) {
            Some(0xD800..=0xDBFF) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0xD800..=0xDFFF) => {
                repaired.push_str(&text[kept..at]);
                repaired.push_str("\\ufffd");
                at += 6;
                kept = at;
            }
            // Another escape: its second byte may be a backslash, too.
            _ => at = (at + 2).min(bytes.len()),
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    repaired.push_str(&text[kept..]);
    Cow::Owned(repaired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lone_surrogates_are_replaced() {
        for (text, expected) in [
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""a\ud83d b""#, r#""a\ufffd b""#),
            (r#""\ude00\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\u00e9\"#, r#""\u00e9\"#),
            ("é\\ud83dé", "é\\ufffdé"),
        ] {
            assert_eq!(with_paired_surrogates(text), expected);
        }
    }
}
