//! The fields of rows; errors name the file and row.

use serde_json::{Map, Value};

use crate::data::json;
use crate::data::message::parse_messages;
use crate::data::{Content, Exchange, Message, ReadReport, Record, TemplateInputs};
use crate::{Error, Result};

/// The fields of a row.
pub(crate) struct Fields {
    place: String,
    map: Map<String, Value>,
}

impl Fields {
    pub(crate) fn new(record: Record) -> Self {
        Self { place: record.place, map: record.fields }
    }

    /// File and row.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// An error at this row.
    pub(crate) fn wrong(&self, problem: impl Into<String>, hint: &str) -> Error {
        Error::input(&self.place, problem, hint)
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// Whether the row has a field, if only with null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// Any value but null.
    pub(crate) fn value(&mut self, name: &str) -> Result<Value> {
        self.take(name).ok_or_else(|| self.wrong(format!("the row has no `{name}`"), "is this a file of the suite?"))
    }

    /// A field that goes by several names: the first of them that the row has, and its value.
    pub(crate) fn any<'a>(&mut self, names: &[&'a str]) -> Result<(&'a str, Value)> {
        let found = names.iter().find_map(|name| Some((*name, self.take(name)?)));
        found.ok_or_else(|| {
            self.wrong(format!("the row has no `{}`", names.join("` or `")), "is this a file of the suite?")
        })
    }

    /// An error at this row: a field is not what it should be.
    pub(crate) fn not(&self, name: &str, value: &Value, expected: &str) -> Error {
        let whole = json::shown(value);
        let mut shown: String = whole.chars().take(40).collect();
        if shown.len() < whole.len() {
            shown.push('…');
        }
        self.wrong(format!("`{name}` is {shown}, not {expected}"), "")
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str) -> Result<String> {
        match self.value(name)? {
            Value::String(text) => Ok(text),
            other => Err(self.not(name, &other, "a text")),
        }
    }

    /// A text or number, as text; `None` when the row has none.
    pub(crate) fn optional(&mut self, name: &str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(other) => Err(self.not(name, &other, "a text")),
        }
    }

    /// An id, a text or a number.
    pub(crate) fn id(&mut self, name: &str) -> Result<String> {
        let id = self.optional(name)?;
        id.ok_or_else(|| self.wrong(format!("the row has no `{name}`"), "is this a file of the suite?"))
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>> {
        let value = self.value(name)?;
        let texts = value
            .as_array()
            .and_then(|list| list.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>());
        texts.ok_or_else(|| self.not(name, &value, "a list of texts"))
    }

    /// A boolean, which may be written as 0 or 1.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<bool> {
        let value = self.value(name)?;
        boolean(&value).ok_or_else(|| self.not(name, &value, "a boolean"))
    }

    /// A list of booleans, which may be written as 0 and 1.
    pub(crate) fn booleans(&mut self, name: &str) -> Result<Vec<bool>> {
        let value = self.value(name)?;
        let booleans = value.as_array().and_then(|list| list.iter().map(boolean).collect::<Option<Vec<bool>>>());
        booleans.ok_or_else(|| self.not(name, &value, "a list of booleans"))
    }

    /// A list of numbers; `None` when the row has none.
    pub(crate) fn numbers(&mut self, name: &str) -> Result<Option<Vec<f64>>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let finite = |value: &Value| json::number(value).filter(|number| number.is_finite());
        let numbers = value.as_array().and_then(|list| list.iter().map(finite).collect::<Option<Vec<f64>>>());
        numbers.map(Some).ok_or_else(|| self.not(name, &value, "a list of finite numbers"))
    }

    /// A number; `None` when the row has none.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = json::number(&value).filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| self.not(name, &value, "a finite number"))
    }

    /// The messages of a field that was taken out of the row.
    pub(crate) fn messages(&self, name: &str, value: Value, report: &mut ReadReport) -> Result<Vec<Message>> {
        parse_messages(&self.place, name, value, report)
    }

    /// A list of pairs of places.
    pub(crate) fn places(&mut self, name: &str) -> Result<Vec<[usize; 2]>> {
        let value = self.value(name)?;
        serde_json::from_value(value.clone()).map_err(|_| self.not(name, &value, "a list of pairs of positions"))
    }
}

fn boolean(value: &Value) -> Option<bool> {
    match value.as_f64() {
        Some(0.0) => Some(false),
        Some(1.0) => Some(true),
        Some(_) => None,
        None => value.as_bool(),
    }
}

/// The end of a list of messages: a response to judge, after the query that it answers.
pub(crate) fn conversation(place: &str, messages: Vec<Message>) -> Result<Content> {
    Exchange::from_messages(place, messages, TemplateInputs::default()).map(Content::Chat)
}

/// A response to a prompt without history.
pub(crate) fn chat(prompt: &str, response: String) -> Content {
    Content::Chat(Exchange::new(vec![], prompt, response))
}
