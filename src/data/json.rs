//! JSON as other tools write it, beyond what the standard (RFC 8259) allows.
//!
//! Python's `json` writes `NaN` and `Infinity`, and half of a surrogate pair where a text was cut within an emoji. Both
//! are read: halves become U+FFFD, and a number that is not one becomes a value that [`kind`] names, so that it is an
//! error only where a number is needed. So does a whole number beyond 64 bits, which keeps its digits; as an id it
//! becomes a text.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::{Map, Value};

/// The only key of an object that stands for a value without a JSON form.
const UNREADABLE: &str = "\u{0}unreadable";

/// Python's spelling of numbers that JSON lacks.
const NOT_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// What was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Parsed<T> {
    /// The value.
    pub value: T,
    /// Whether half a surrogate pair was read as U+FFFD.
    pub mended: bool,
}

/// Why a text cannot be read.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is not UTF-8 from this byte on, counted from 1.
    Utf8(usize),
    /// It is not JSON; in words.
    Syntax(String),
    /// It is JSON of another type than expected; in words.
    Type(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Utf8(byte) => write!(f, "invalid UTF-8 at byte {byte}"),
            Self::Syntax(problem) | Self::Type(problem) => f.write_str(problem),
        }
    }
}

/// Reads one value.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<Parsed<T>, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|e| Fault::Utf8(e.valid_up_to() + 1))?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if !may_have_long_numbers(text)
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(Parsed { value, mended: false });
    }
    let (text, mended) = mended(text);
    let value = serde_json::from_str(&text).map_err(|e| fault(&e))?;
    Ok(Parsed { value, mended })
}

/// Reads one object, whose ids beyond 64 bits are texts of their digits.
pub(crate) fn parse_object(bytes: &[u8]) -> Result<Parsed<Map<String, Value>>, Fault> {
    let mut parsed: Parsed<Map<String, Value>> = parse(bytes)?;
    let is_id = |name: &str| ["id", "hash"].iter().any(|end| name == *end || name.ends_with(&format!("_{end}")));
    for (name, value) in &mut parsed.value {
        if let Some(digits) = digits(value).filter(|_| is_id(name)) {
            *value = digits.into();
        }
    }
    Ok(parsed)
}

/// serde's error message, with the column but without its own line number, which counts inside the row.
fn fault(error: &serde_json::Error) -> Fault {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let message = message.strip_suffix(&position).unwrap_or(&message);
    let message = format!("{message} (column {})", error.column());
    match error.classify() {
        Category::Data => Fault::Type(message),
        _ => Fault::Syntax(message),
    }
}

/// Whether as many digits follow each other as only numbers beyond 64 bits have, be it in a text.
fn may_have_long_numbers(text: &str) -> bool {
    text.as_bytes().split(|byte| !byte.is_ascii_digit()).any(|digits| digits.len() >= 19)
}

/// The placeholder for a number that standard readers round or refuse: a whole one beyond 64 bits, an infinite one.
fn unreadable_number(number: &str) -> Option<Value> {
    let digits = number.trim_start_matches('-');
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let is_long = !digits.starts_with('0') && number.parse::<i64>().is_err() && number.parse::<u64>().is_err();
        return (!digits.is_empty() && is_long).then(|| unreadable(number));
    }
    let infinite = number.parse::<f64>().ok().filter(|value| value.is_infinite())?;
    Some(unreadable(if infinite > 0.0 { "Infinity" } else { "-Infinity" }))
}

/// A value that has no JSON form, called `name` in errors.
pub(crate) fn unreadable(name: &str) -> Value {
    let mut object = Map::new();
    object.insert(UNREADABLE.into(), name.into());
    object.into()
}

/// The name of a value that has no JSON form.
fn unreadable_name(value: &Value) -> Option<&str> {
    value.as_object().filter(|object| object.len() == 1)?.get(UNREADABLE)?.as_str()
}

/// The digits of a whole number beyond 64 bits.
pub(crate) fn digits(value: &Value) -> Option<&str> {
    unreadable_name(value).filter(|name| name.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit()))
}

/// A number, rounded where it is beyond 64 bits.
pub(crate) fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| digits(value)?.parse().ok())
}

/// The number that is none (`NaN`, `Infinity`), if the value is such a one.
pub(crate) fn not_number(value: &Value) -> Option<f64> {
    unreadable_name(value).filter(|name| NOT_NUMBERS.contains(name))?.parse().ok()
}

/// Whether a value has a JSON form.
pub(crate) fn is_readable(value: &Value) -> bool {
    unreadable_name(value).is_none() || digits(value).is_some()
}

/// A value as JSON, for error sentences.
pub(crate) fn shown(value: &Value) -> String {
    with_numbers(value.to_string())
}

/// A row as JSON, with the numbers that the standard does not have as they were read: as Python's `json` writes them.
pub(crate) fn written(row: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(row).map(with_numbers)
}

/// Numbers in place of the values that stand for them.
fn with_numbers(json: String) -> String {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"\{"\\u0000unreadable":"(NaN|-?Infinity|-?\d+)"\}"#).expect("a valid expression")
    });
    match NUMBER.replace_all(&json, "$1") {
        Cow::Borrowed(_) => json,
        Cow::Owned(replaced) => replaced,
    }
}

/// The kind of a JSON value, for error messages.
pub(crate) fn kind(value: &Value) -> &str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) if digits(value).is_some() => "a number beyond 64 bits",
        Value::Object(_) => unreadable_name(value).unwrap_or("an object"),
    }
}

/// Puts U+FFFD where an escape `\uD800`..`\uDFFF` has no partner, as such halves are not Unicode text, and
/// [`unreadable`] values in place of `NaN` and the like or numbers that are too long; returns whether there were such
/// halves.
fn mended(text: &str) -> (Cow<'_, str>, bool) {
    let bytes = text.as_bytes();
    let unit = |at: usize| match bytes.get(at..at + 6) {
        Some([b'\\', b'u', digits @ ..]) => {
            std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok())
        }
        _ => None,
    };
    let mut repaired = String::new();
    let (mut kept, mut at) = (0, 0);
    let (mut in_string, mut halves) = (false, false);
    let mut replace = |from: usize, length: usize, by: &str| {
        repaired.push_str(&text[kept..from]);
        repaired.push_str(by);
        kept = from + length;
        kept
    };
    while at < bytes.len() {
        at = match bytes[at] {
            b'"' => {
                in_string = !in_string;
                at + 1
            }
            b'\\' if in_string => match unit(at) {
                Some(0xD800..=0xDBFF) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => at + 12,
                Some(0xD800..=0xDFFF) => {
                    halves = true;
                    replace(at, 6, "\\ufffd")
                }
                // Another escape: its second byte may be a backslash, too.
                _ => at + 2,
            },
            b'N' | b'I' | b'-' | b'0'..=b'9' if !in_string => {
                let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let length = bytes[at..].iter().take_while(|byte| is_part(byte)).count();
                let name = NOT_NUMBERS.iter().find(|name| bytes[at..].starts_with(name.as_bytes()));
                match (name, unreadable_number(&text[at..at + length])) {
                    (Some(name), _) => replace(at, name.len(), &unreadable(name).to_string()),
                    (None, Some(value)) => replace(at, length, &value.to_string()),
                    (None, None) => at + length.max(1),
                }
            }
            _ => at + 1,
        };
    }
    if kept == 0 {
        return (Cow::Borrowed(text), false);
    }
    repaired.push_str(&text[kept..]);
    (Cow::Owned(repaired), halves)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(text: &str) -> Parsed<Map<String, Value>> {
        parse_object(text.as_bytes()).unwrap()
    }

    #[test]
    fn only_lone_surrogates_are_replaced() {
        for (text, expected) in [
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""a\ud83d b""#, r#""a\ufffd b""#),
            (r#""\ude00\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\u00e9\"#, r#""\u00e9\"#),
            ("\"é\\ud83dé\"", "\"é\\ufffdé\""),
        ] {
            assert_eq!(mended(text).0, expected);
        }
        let halves = object(r#"{"a": "x\ud83d", "b": "\ud83d\ude00"}"#);
        assert_eq!(
            (halves.value, halves.mended),
            (json!({"a": "x\u{fffd}", "b": "😀"}).as_object().unwrap().clone(), true)
        );
    }

    #[test]
    fn numbers_that_are_none_are_named_where_they_are_needed() {
        let row = object(r#"{"a": NaN, "b": [-Infinity, 1], "c": "NaN, \" Infinity", "d": Infinity}"#);
        assert_eq!(kind(&row.value["a"]), "NaN");
        assert_eq!(kind(&row.value["b"][0]), "-Infinity");
        assert_eq!(
            (&row.value["b"][1], &row.value["c"], kind(&row.value["d"])),
            (&json!(1), &json!("NaN, \" Infinity"), "Infinity")
        );
        assert_eq!(
            shown(&Value::from(row.value.clone())),
            r#"{"a":NaN,"b":[-Infinity,1],"c":"NaN, \" Infinity","d":Infinity}"#
        );
        assert!(!row.mended && !is_readable(&row.value["a"]) && is_readable(&row.value["b"]));
        for broken in [r#"{"a": nan}"#, r#"{"a": Nan}"#, r#"{"a": -Inf}"#, r#"{"a": NaNa}"#] {
            assert!(matches!(parse_object(broken.as_bytes()), Err(Fault::Syntax(_))), "{broken}");
        }
    }

    #[test]
    fn ids_keep_their_digits() {
        let long = "123456789012345678901234567890";
        for rating in ["4.0", "NaN"] {
            let row = object(&format!(r#"{{"id": {long}, "a_hash": 7.0, "user_id": 7, "rating": {rating}}}"#)).value;
            assert_eq!((&row["id"], &row["a_hash"], &row["user_id"]), (&json!(long), &json!(7.0), &json!(7)));
        }
    }

    #[test]
    fn numbers_beyond_64_bits_keep_their_digits() {
        let text = format!(
            r#"{{"a": [12345678901234567890123, -9223372036854775809], "b": 1{}, "c": 1e999, "d": -1e999,
                "e": 18446744073709551615, "f": -9223372036854775808, "g": "12345678901234567890123", "h": 0.1234567890123456789}}"#,
            "0".repeat(400)
        );
        let row = object(&text).value;
        assert_eq!(
            (digits(&row["a"][0]), digits(&row["a"][1])),
            (Some("12345678901234567890123"), Some("-9223372036854775809"))
        );
        assert_eq!((digits(&row["b"]).map(str::len), kind(&row["b"])), (Some(401), "a number beyond 64 bits"));
        assert_eq!((not_number(&row["c"]), not_number(&row["d"])), (Some(f64::INFINITY), Some(f64::NEG_INFINITY)));
        assert_eq!((&row["e"], &row["f"]), (&json!(u64::MAX), &json!(i64::MIN)));
        assert_eq!((&row["g"], &row["h"]), (&json!("12345678901234567890123"), &json!(0.123_456_789_012_345_68)));
        assert_eq!(shown(&row["a"]), "[12345678901234567890123,-9223372036854775809]");
        assert_eq!(object(&written(&row).unwrap()).value, row);
        assert!(written(&row).unwrap().contains(r#""c":Infinity,"d":-Infinity"#));
        assert_eq!(
            ["a", "e", "c"].map(|name| number(row[name].get(0).unwrap_or(&row[name]))),
            [Some(12345678901234567890123.0), Some(18446744073709551615.0), None]
        );
        assert!(is_readable(&row["a"][0]) && !is_readable(&row["c"]));
        assert!(parse_object(br#"{"a": 01234567890123456789012}"#).is_err());
    }

    #[test]
    fn faults_are_told_apart() {
        assert!(matches!(parse_object(b"{\"a\": \"\xff\"}"), Err(Fault::Utf8(8))));
        assert!(matches!(parse_object(b"3"), Err(Fault::Type(_))));
        assert!(matches!(parse_object(b"{\"a\": "), Err(Fault::Syntax(_))));
        assert!(object("\u{feff} {} ").value.is_empty());
    }
}
