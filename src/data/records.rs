//! Streams the objects of a file of rows.

use super::elements::{Element, Elements};
use super::json::{self, Fault};
use super::opened::{Opened, open, unreadable};
use super::parquet_rows;
use super::record::{Record, Records, row_place};
use crate::{Error, Result};
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// The longest row that is read: a file without line ends must not take all memory.
const MAX_ROW_BYTES: usize = 256 << 20;

/// Opens a file: parquet, gzip and JSON lists are told by their first bytes, anything else is one object per line.
///
/// `columns` names what to decode of a parquet file (those of them that it has); empty is all.
///
/// # Errors
/// The file is missing, a directory, or not readable parquet or JSON; the iterator reports broken rows.
pub(crate) fn records(path: &Path, columns: &[&str]) -> Result<Records> {
    match open(path)? {
        Opened::Parquet(file) => parquet_rows::records(path, file, columns),
        Opened::Json { reader, is_list, .. } => {
            let elements = Elements::new(reader, is_list, MAX_ROW_BYTES);
            let rows = JsonRows { path: path.to_owned(), elements, is_list, number: 0 };
            Ok(Records { rows: Box::new(rows), undecoded: vec![] })
        }
    }
}

/// JSONL, of which blank lines are skipped, or a JSON list.
struct JsonRows {
    path: PathBuf,
    elements: Elements<Box<dyn BufRead + Send>>,
    is_list: bool,
    number: usize,
}

impl Iterator for JsonRows {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().transpose()
    }
}

impl JsonRows {
    fn next_record(&mut self) -> Result<Option<Record>> {
        const HINT: &str = "every row is a JSON object";
        loop {
            let Some(element) = self.elements.next().map_err(|e| unreadable(&self.path, e))? else { return Ok(None) };
            self.number += 1;
            let line = || format!("{}:{}", self.path.display(), self.elements.line);
            let text = match element {
                Element::Text(text) if text.trim_ascii().is_empty() && !self.is_list => continue,
                Element::Text(text) => text,
                Element::TooLong => {
                    let problem = format!("the row is longer than {} MiB", MAX_ROW_BYTES >> 20);
                    return Err(Error::input(line(), problem, "JSONL has one object per line"));
                }
                Element::Unclosed => {
                    let problem = "broken JSON: the list is not closed";
                    return Err(Error::input(line(), problem, "the file was not downloaded completely"));
                }
            };
            let parsed = json::parse_object(&text).map_err(|fault| match fault {
                Fault::Utf8(byte) => {
                    let problem = format!("invalid UTF-8 at byte {byte}");
                    Error::input(line(), problem, "re-encode the file as UTF-8")
                }
                Fault::Syntax(problem) | Fault::Type(problem) => {
                    Error::input(line(), format!("broken JSON: {problem}"), HINT)
                }
            })?;
            let place = match self.is_list {
                true => row_place(&self.path.display().to_string(), self.number),
                false => line(),
            };
            let (fields, mended) = (parsed.value, parsed.mended);
            return Ok(Some(Record { place, number: self.number, fields, mended }));
        }
    }
}
