//! Values as printed by Python, for which chat templates were written: `json.dumps`, `str` and `repr`.

use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::value::{Object, ObjectRepr, Value, ValueKind};
use regex::Regex;

use super::json::{digits, not_number};
use super::template_error::{Result, fails};

/// A value that was read, as templates see it: numbers that are none are Python's floats, long ones keep their digits.
pub(super) fn value(read: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match read {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::from(whole),
            (None, Some(whole)) => Value::from(whole),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(value).collect::<Vec<_>>().into(),
        Json::Object(fields) => match (not_number(read), digits(read)) {
            (Some(number), _) => Value::from(number),
            (None, Some(digits)) => LongInteger::value(digits),
            (None, None) => object(fields),
        },
    }
}

/// The fields of an object as templates see them.
pub(super) fn object(fields: &serde_json::Map<String, serde_json::Value>) -> Value {
    Value::from_pairs(fields.iter().map(|(name, field)| (name.as_str(), value(field))))
}

/// A whole number beyond the engine's 128 bits, which templates can only print.
#[derive(Debug)]
pub(super) struct LongInteger(String);

impl LongInteger {
    fn value(digits: &str) -> Value {
        match (digits.parse::<i128>(), digits.parse::<u128>()) {
            (Ok(whole), _) => Value::from(whole),
            (_, Ok(whole)) => Value::from(whole),
            _ => Value::from_object(Self(digits.to_owned())),
        }
    }

    /// The number, if the value is such a one.
    pub(super) fn of(value: &Value) -> Option<&str> {
        value.downcast_object_ref::<Self>().map(|long| long.0.as_str())
    }
}

impl Object for LongInteger {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text marked as safe HTML; in Python `+` escapes the text added to it. The engine cannot do that: it refuses to add
/// to such a value, because a plain text would silently give a different result than Python.
#[derive(Debug)]
pub(super) struct Markup(String);

impl Markup {
    /// Marks a text.
    pub(super) fn value(text: String) -> Value {
        Value::from_object(Self(text))
    }

    /// The text, if the value is a marked one.
    pub(super) fn of(value: &Value) -> Option<&str> {
        value.downcast_object_ref::<Self>().map(|markup| markup.0.as_str())
    }
}

impl Object for Markup {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.0.is_empty()
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How `json.dumps` writes.
#[derive(Clone, Debug)]
pub(super) struct JsonStyle {
    /// Writes other characters than ASCII as escapes.
    pub ensure_ascii: bool,
    /// Spaces per level of indentation; everything is on one line if there is none.
    pub indent: Option<usize>,
    /// The separators between items, and between a key and its value; by default Python's.
    pub separators: Option<(String, String)>,
    /// Puts the keys of objects in order.
    pub sort_keys: bool,
}

/// The output of `json.dumps(value)`.
///
/// # Errors
/// The value has no JSON form.
pub(super) fn json(value: &Value, style: &JsonStyle) -> Result<String> {
    let between = if style.indent.is_some() { "," } else { ", " };
    let (item, key) = style.separators.clone().unwrap_or_else(|| (between.into(), ": ".into()));
    let mut out = String::new();
    Writer { style, item, key, out: &mut out }.value(value, 0)?;
    Ok(out)
}

struct Writer<'a> {
    style: &'a JsonStyle,
    item: String,
    key: String,
    out: &'a mut String,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<()> {
        match value.kind() {
            ValueKind::String => self.text(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = items(value)?;
                self.list(['[', ']'], items.len(), depth, |writer, index| writer.value(&items[index], depth + 1))?;
            }
            ValueKind::Map => {
                let mut fields = fields(value)?;
                if self.style.sort_keys {
                    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
                }
                self.list(['{', '}'], fields.len(), depth, |writer, index| {
                    let (name, field) = &fields[index];
                    match name.as_str() {
                        Some(name) => writer.text(name),
                        None => writer.text(&scalar(name)?),
                    }
                    let key = writer.key.clone();
                    writer.out.push_str(&key);
                    writer.value(field, depth + 1)
                })?;
            }
            _ => match Markup::of(value) {
                Some(text) => self.text(text),
                None => self.out.push_str(&scalar(value)?),
            },
        }
        Ok(())
    }

    fn list(
        &mut self,
        [open, close]: [char; 2],
        count: usize,
        depth: usize,
        item: impl Fn(&mut Self, usize) -> Result<()>,
    ) -> Result<()> {
        self.out.push(open);
        for index in 0..count {
            if index > 0 {
                let between = self.item.clone();
                self.out.push_str(&between);
            }
            self.new_line(depth + 1);
            item(self, index)?;
        }
        if count > 0 {
            self.new_line(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn new_line(&mut self, depth: usize) {
        if let Some(indent) = self.style.indent {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if u32::from(c) < 0x20 || self.style.ensure_ascii && !c.is_ascii() => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

/// JSON of a scalar value that is not a string.
fn scalar(value: &Value) -> Result<String> {
    match value.kind() {
        ValueKind::None => Ok("null".into()),
        ValueKind::Bool => Ok(if value.is_true() { "true" } else { "false" }.into()),
        ValueKind::Number => Ok(match f64::try_from(value.clone()) {
            Ok(number) if number.is_nan() => "NaN".into(),
            Ok(number) if number.is_infinite() => if number > 0.0 { "Infinity" } else { "-Infinity" }.into(),
            _ => self::number(value),
        }),
        _ if value.is_undefined() => Err(fails("tojson of an undefined value")),
        _ => LongInteger::of(value).map(str::to_owned).ok_or_else(|| fails(format!("tojson of a {}", value.kind()))),
    }
}

fn items(value: &Value) -> Result<Vec<Value>> {
    value.try_iter()?.checked().collect()
}

fn fields(value: &Value) -> Result<Vec<(Value, Value)>> {
    let field = |name: Value| value.get_item(&name).map(|field| (name, field));
    items(value)?.into_iter().map(field).collect()
}

/// A number as `repr` writes it: fractions by their shortest digits, with an exponent below 1e-4 and from 1e16.
fn number(value: &Value) -> String {
    let Some(fraction) = f64::try_from(value.clone()).ok().filter(|_| !value.is_integer()) else {
        return value.to_string();
    };
    if !fraction.is_finite() {
        return if fraction.is_nan() { "nan".into() } else { fraction.to_string() };
    }
    let scientific = format!("{fraction:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>().unwrap_or(0) {
        small @ ..-4 => format!("{digits}e-{:02}", -small),
        large @ 16.. => format!("{digits}e+{large:02}"),
        _ => format!("{fraction:?}"),
    }
}

/// The result of `str(value)`: a string as it is, nothing for an undefined value, anything else as its `repr`.
///
/// # Errors
/// The value cannot be read.
pub(super) fn str(value: &Value) -> Result<String> {
    match value.as_str().or_else(|| Markup::of(value)) {
        Some(text) => Ok(text.to_owned()),
        None if value.is_undefined() => Ok(String::new()),
        None => repr(value),
    }
}

fn repr(value: &Value) -> Result<String> {
    let all = |items: Vec<Value>| items.iter().map(repr).collect::<Result<Vec<String>>>();
    match value.kind() {
        ValueKind::Undefined => Ok("Undefined".into()),
        ValueKind::Number => Ok(self::number(value)),
        ValueKind::String => Ok(quoted(value.as_str().unwrap_or_default())),
        ValueKind::Seq if value.is_tuple() => {
            let items = all(items(value)?)?;
            let end = if items.len() == 1 { ",)" } else { ")" };
            Ok(format!("({}{end}", items.join(", ")))
        }
        ValueKind::Seq | ValueKind::Iterable => Ok(format!("[{}]", all(items(value)?)?.join(", "))),
        ValueKind::Map => {
            let field = |(name, field): &(Value, Value)| Ok(format!("{}: {}", repr(name)?, repr(field)?));
            let fields = fields(value)?.iter().map(field).collect::<Result<Vec<String>>>()?;
            Ok(format!("{{{}}}", fields.join(", ")))
        }
        _ => Ok(Markup::of(value).map_or_else(|| value.to_string(), |text| format!("Markup({})", quoted(text)))),
    }
}

/// Whether Python takes a character for white space.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Whether Python takes a character for a digit of a decimal number.
pub(super) fn is_decimal(c: char) -> bool {
    static DECIMAL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\p{Nd}").expect("a valid expression"));
    c.is_ascii_digit() || DECIMAL.is_match(c.encode_utf8(&mut [0; 4]))
}

/// Whether `repr` shows a character as it is.
pub(super) fn is_printable(c: char) -> bool {
    static HIDDEN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[\p{C}\p{Z}]").expect("a valid expression"));
    c == ' ' || c.is_ascii_graphic() || !HIDDEN.is_match(c.encode_utf8(&mut [0; 4]))
}

/// A text in quotes: single ones, unless only those would have to be escaped.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => out.push_str(&match u32::from(c) {
                code @ ..0x100 => format!("\\x{code:02x}"),
                code @ ..0x1_0000 => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dumped(read: serde_json::Value, style: &JsonStyle) -> String {
        super::json(&value(&read), style).unwrap()
    }

    fn printed(read: serde_json::Value) -> String {
        super::str(&value(&read)).unwrap()
    }

    const PLAIN: JsonStyle = JsonStyle { ensure_ascii: false, indent: None, separators: None, sort_keys: false };

    #[test]
    fn json_is_that_of_dumps() {
        let value = json!({"b": [1, 2.0, 1e16, 1e-5, 0.1, true, null], "a": "é\"\\\n\u{1}</b>😀", "e": [], "o": {}});
        assert_eq!(
            dumped(value, &PLAIN),
            r#"{"b": [1, 2.0, 1e+16, 1e-05, 0.1, true, null], "a": "é\"\\\n\u0001</b>😀", "e": [], "o": {}}"#
        );
        let style =
            JsonStyle { ensure_ascii: true, separators: Some((",".into(), ":".into())), sort_keys: true, ..PLAIN };
        assert_eq!(dumped(json!({"b": 1, "a": "é😀"}), &style), r#"{"a":"\u00e9\ud83d\ude00","b":1}"#);
        let indented = JsonStyle { indent: Some(2), ..PLAIN };
        assert_eq!(
            dumped(json!({"a": [1, {}], "b": []}), &indented),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}"
        );
    }

    #[test]
    fn other_values_print_as_their_repr() {
        let value = json!({"a": ["x", "it's", "\"'\n"], "b": {"t": true, "n": null, "f": 1.5}});
        assert_eq!(printed(value), r#"{'a': ['x', "it's", '"\'\n'], 'b': {'t': True, 'n': None, 'f': 1.5}}"#);
        assert_eq!((printed(json!("it's")), printed(json!(7))), ("it's".into(), "7".into()));
    }

    #[test]
    fn characters_that_do_not_print_are_escaped_in_a_repr() {
        // repr(['\u200b\xa0\xad\x7f\u2028\ue000\U000e0001é😀']) of Python.
        let odd = json!(["\u{200b}\u{a0}\u{ad}\u{7f}\u{2028}\u{e000}\u{e0001}é😀"]);
        assert_eq!(printed(odd), r"['\u200b\xa0\xad\x7f\u2028\ue000\U000e0001é😀']");
    }
}
