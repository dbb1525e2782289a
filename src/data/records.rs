//! Streams the objects of a file of rows.

use super::columns;
use super::elements::{Element, Elements};
use super::json::{self, Fault};
use super::opened::{Opened, open, unreadable};
use crate::{Error, Result};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// The longest row that is read: a file without line ends must not take all memory.
const MAX_ROW_BYTES: usize = 256 << 20;
/// Parquet rows decoded at a time.
const PARQUET_BATCH: usize = 256;

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
    rows: Box<dyn Iterator<Item = Result<Record>>>,
    /// Columns of a parquet file that are not decoded, as they were not asked for.
    pub undecoded: Vec<String>,
}

impl Iterator for Records {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.next()
    }
}

/// Opens a file: parquet, gzip and JSON lists are told by their first bytes, anything else is one object per line.
///
/// `columns` names what to decode of a parquet file (those of them that it has); empty is all.
///
/// # Errors
/// The file is missing, a directory, or not readable parquet or JSON; the iterator reports broken rows.
pub(crate) fn records(path: &Path, columns: &[&str]) -> Result<Records> {
    match open(path)? {
        Opened::Parquet(file) => parquet_records(path, file, columns),
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

fn row_place(file: &str, number: usize) -> String {
    format!("{file}: row {number}")
}

fn parquet_records(path: &Path, file: File, columns: &[&str]) -> Result<Records> {
    let place = path.display().to_string();
    let broken = |place: &str, e: &dyn std::fmt::Display| Error::input(place, format!("unreadable parquet: {e}"), "");
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| broken(&place, &e))?;
    let mut undecoded = vec![];
    if !columns.is_empty() {
        let roots = builder.parquet_schema().root_schema().get_fields();
        let (wanted, others): (Vec<usize>, Vec<usize>) =
            (0..roots.len()).partition(|&i| columns.contains(&roots[i].name()));
        undecoded = others.into_iter().map(|i| roots[i].name().to_owned()).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
        builder = builder.with_projection(mask);
    }
    let batches = builder.with_batch_size(PARQUET_BATCH).build().map_err(|e| broken(&place, &e))?;
    let mut number = 0;
    let rows = batches.flat_map(move |batch| -> Vec<Result<Record>> {
        let rows = batch.map_err(|e| broken(&place, &e)).and_then(|batch| {
            columns::objects(&batch)
                .map_err(|problem| Error::input(&place, problem, "use text, numbers, lists and structs"))
        });
        match rows {
            Ok(rows) => rows
                .into_iter()
                .map(|fields| {
                    number += 1;
                    Ok(Record { place: row_place(&place, number), number, fields, mended: false })
                })
                .collect(),
            Err(error) => vec![Err(error)],
        }
    });
    Ok(Records { rows: Box::new(rows), undecoded })
}
