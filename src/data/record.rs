//! The objects of a file of rows, whatever its format.

use serde_json::{Map, Value};

use crate::Result;

/// One object of a file.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its location, for error messages: `data.jsonl:12` or `data.parquet: row 12`.
    pub place: String,
    /// Its line (JSONL) or position (JSON lists, parquet), from 1.
    pub number: usize,
    /// Its fields; parquet columns become JSON values, timestamps ISO 8601 strings in UTC.
    pub fields: Map<String, Value>,
    /// Whether half a surrogate pair in it was read as U+FFFD.
    pub mended: bool,
}

/// The objects of a file in file order; one batch of them is in memory at a time.
pub struct Records {
    pub(super) rows: Box<dyn Iterator<Item = Result<Record>>>,
    /// Columns of a parquet file that are not decoded, as they were not asked for.
    pub undecoded: Vec<String>,
}

impl Iterator for Records {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.next()
    }
}

/// The location of a row that has no line.
pub(super) fn row_place(file: &str, number: usize) -> String {
    format!("{file}: row {number}")
}
