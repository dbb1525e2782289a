//! Values as Python prints them, which is what the authors of chat templates saw: `json.dumps`, `str` and `repr`.

use serde_json::Value;

/// How `json.dumps` writes.
#[derive(Clone, Debug)]
pub(super) struct JsonStyle {
    /// Writes other characters than ASCII as escapes.
    pub ensure_ascii: bool,
    /// Spaces of a level; everything stands on one line where there is none.
    pub indent: Option<usize>,
    /// What stands between items, and between a key and its value; Python's choice where there is none.
    pub separators: Option<(String, String)>,
    /// Puts the keys of objects in order.
    pub sort_keys: bool,
}

/// What `json.dumps(value)` writes.
pub(super) fn json(value: &Value, style: &JsonStyle) -> String {
    let between = if style.indent.is_some() { "," } else { ", " };
    let (item, key) = style.separators.clone().unwrap_or_else(|| (between.into(), ": ".into()));
    let mut out = String::new();
    Writer { style, item, key, out: &mut out }.value(value, 0);
    out
}

struct Writer<'a> {
    style: &'a JsonStyle,
    item: String,
    key: String,
    out: &'a mut String,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(flag) => self.out.push_str(if *flag { "true" } else { "false" }),
            Value::Number(number) => self.out.push_str(&self::number(number)),
            Value::String(text) => self.text(text),
            Value::Array(items) => self.list(['[', ']'], items.len(), depth, |writer, index| {
                writer.value(&items[index], depth + 1);
            }),
            Value::Object(fields) => {
                let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
                if self.style.sort_keys {
                    fields.sort_by_key(|(name, _)| *name);
                }
                self.list(['{', '}'], fields.len(), depth, |writer, index| {
                    writer.text(fields[index].0);
                    let key = writer.key.clone();
                    writer.out.push_str(&key);
                    writer.value(fields[index].1, depth + 1);
                });
            }
        }
    }

    fn list(&mut self, [open, close]: [char; 2], count: usize, depth: usize, item: impl Fn(&mut Self, usize)) {
        self.out.push(open);
        for index in 0..count {
            if index > 0 {
                let between = self.item.clone();
                self.out.push_str(&between);
            }
            self.new_line(depth + 1);
            item(self, index);
        }
        if count > 0 {
            self.new_line(depth);
        }
        self.out.push(close);
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

/// A number as `repr` writes it: fractions by their shortest digits, with an exponent below 1e-4 and from 1e16.
fn number(number: &serde_json::Number) -> String {
    let Some(value) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>().unwrap_or(0) {
        small @ ..-4 => format!("{digits}e-{:02}", -small),
        large @ 16.. => format!("{digits}e+{large:02}"),
        _ => format!("{value:?}"),
    }
}

/// What `str(value)` gives: a text as it is, anything else as its `repr`.
pub(super) fn str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

fn repr(value: &Value) -> String {
    let list = |open: &str, items: Vec<String>, close: &str| format!("{open}{}{close}", items.join(", "));
    match value {
        Value::Null => "None".into(),
        Value::Bool(flag) => if *flag { "True" } else { "False" }.into(),
        Value::Number(number) => self::number(number),
        Value::String(text) => quoted(text),
        Value::Array(items) => list("[", items.iter().map(repr).collect(), "]"),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{}: {}", quoted(name), repr(value));
            list("{", fields.iter().map(field).collect(), "}")
        }
    }
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
            c if u32::from(c) < 0x20 || u32::from(c) == 0x7f => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PLAIN: JsonStyle = JsonStyle { ensure_ascii: false, indent: None, separators: None, sort_keys: false };

    #[test]
    fn json_is_that_of_dumps() {
        let value = json!({"b": [1, 2.0, 1e16, 1e-5, 0.1, true, null], "a": "é\"\\\n\u{1}</b>😀", "e": [], "o": {}});
        assert_eq!(
            super::json(&value, &PLAIN),
            r#"{"b": [1, 2.0, 1e+16, 1e-05, 0.1, true, null], "a": "é\"\\\n\u0001</b>😀", "e": [], "o": {}}"#
        );
        let style =
            JsonStyle { ensure_ascii: true, separators: Some((",".into(), ":".into())), sort_keys: true, ..PLAIN };
        assert_eq!(super::json(&json!({"b": 1, "a": "é😀"}), &style), r#"{"a":"\u00e9\ud83d\ude00","b":1}"#);
        let indented = JsonStyle { indent: Some(2), ..PLAIN };
        assert_eq!(
            super::json(&json!({"a": [1, {}], "b": []}), &indented),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}"
        );
    }

    #[test]
    fn other_values_print_as_their_repr() {
        let value = json!({"a": ["x", "it's", "\"'\n"], "b": {"t": true, "n": null, "f": 1.5}});
        assert_eq!(super::str(&value), r#"{'a': ['x', "it's", '"\'\n'], 'b': {'t': True, 'n': None, 'f': 1.5}}"#);
        assert_eq!((super::str(&json!("it's")), super::str(&json!(7))), ("it's".into(), "7".into()));
    }
}
