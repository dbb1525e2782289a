//! Typed access to the fields of a JSON object, with errors that name the field.

use std::path::Path;

use serde_json::{Map, Value};

use crate::files::{fs, not_fetched, read_if_there};
use crate::{Error, Result};

/// The largest width, vocabulary or head count a configuration may ask for; beyond it a file lies about itself, and
/// below it products of two sizes are far from overflowing.
const MAX_SIZE: u64 = 1 << 24;

/// One JSON object of a file. A field that is `null` counts as absent, as in the configurations of `transformers`.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    at: &'a str,
}

impl<'a> Fields<'a> {
    /// The fields of `value`, found at `at`.
    pub(super) fn new(value: &'a Value, at: &'a str) -> Result<Self> {
        match value.as_object() {
            Some(map) => Ok(Self { map, at }),
            None => Err(Error::input(at, "is not a JSON object", "")),
        }
    }

    /// An error about one field.
    pub(super) fn error(&self, name: &str, problem: impl Into<String>, hint: &str) -> Error {
        Error::input(format!("{}: {name}", self.at), problem, hint)
    }

    /// The value, unless it is absent or null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Whether the field is there and null.
    pub(super) fn is_null(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(Value::is_null)
    }

    fn typed<T>(&self, name: &str, expected: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(self.error(name, format!("{value} is not {expected}"), "")),
        }
    }

    /// A whole number of at least `least` and at most `most`; `8.0` counts as whole.
    pub(super) fn whole(&self, name: &str, least: u64, most: u64) -> Result<Option<usize>> {
        let expected = format!("a whole number from {least} to {most}");
        self.typed(name, &expected, |value| {
            let number = value.as_u64().or_else(|| value.as_f64().filter(|n| n.fract() == 0.0).map(|n| n as u64))?;
            (least..=most).contains(&number).then_some(number as usize)
        })
    }

    /// A positive size.
    pub(super) fn size(&self, name: &str) -> Result<Option<usize>> {
        self.whole(name, 1, MAX_SIZE)
    }

    /// A size no configuration can do without.
    pub(super) fn required_size(&self, name: &str) -> Result<usize> {
        self.size(name)?.ok_or_else(|| self.error(name, "is missing", "every config.json of this family has it"))
    }

    /// A token id.
    pub(super) fn token(&self, name: &str) -> Result<Option<u32>> {
        Ok(self.whole(name, 0, u64::from(u32::MAX))?.map(|id| id as u32))
    }

    /// A finite number.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>> {
        self.typed(name, "a finite number", |value| value.as_f64().filter(|n| n.is_finite()))
    }

    /// A finite number above zero.
    pub(super) fn positive(&self, name: &str) -> Result<Option<f64>> {
        self.typed(name, "a number above 0", |value| value.as_f64().filter(|n| n.is_finite() && *n > 0.0))
    }

    /// A boolean.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>> {
        self.typed(name, "true or false", Value::as_bool)
    }

    /// A string.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>> {
        self.typed(name, "a string", Value::as_str)
    }

    /// A list of strings.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&'a str>>> {
        self.typed(name, "a list of strings", |value| value.as_array()?.iter().map(Value::as_str).collect())
    }
}

/// The JSON in a file.
pub(super) fn read_json(path: &Path) -> Result<Value> {
    parse(&fs::read(path).map_err(|source| Error::io(path, source))?, path)
}

/// The JSON in a file, or nothing if there is no such file.
pub(super) fn read_json_if_there(path: &Path) -> Result<Option<Value>> {
    read_if_there(path)?.map(|bytes| parse(&bytes, path)).transpose()
}

fn parse(bytes: &[u8], path: &Path) -> Result<Value> {
    let at = path.display().to_string();
    if let Some(error) = not_fetched(&at, bytes) {
        return Err(error);
    }
    serde_json::from_slice(bytes).map_err(|error| Error::input(at, format!("is not valid JSON: {error}"), ""))
}
