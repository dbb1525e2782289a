//! Rows of a JSON file: one object per line, or one list of objects.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

use serde::de::IgnoredAny;

use super::batch::{Batch, Sink};
use super::irregular::{Irregular, Reason};
use super::row::{COLUMNS, Fault, LONGEST_TEXT, MESSAGES, Row};
use crate::data::elements::{Element, Elements};
use crate::data::json::{self, Fault as JsonFault, Parsed};
use crate::data::opened::unreadable;
use crate::data::read_report::ReadReport;
use crate::{Error, Result};

/// Bytes of a row with everything that is not read of it.
const LONGEST_ROW: usize = 8 * LONGEST_TEXT;

/// A JSON file.
pub(super) struct JsonFile {
    /// Its bytes, unpacked.
    pub reader: Box<dyn BufRead + Send>,
    /// Whether it is one list; otherwise there is one object per line.
    pub is_list: bool,
    /// Bytes on disk, where they are not those of `reader`.
    pub packed: Option<u64>,
    /// Whether it was found in a folder, which may hold files of other kinds, too.
    pub was_found: bool,
}

/// Sends all rows of a file.
///
/// # Errors
/// The file cannot be read, or it was named and not one of its rows is a conversation.
pub(super) fn read(path: &Path, file: JsonFile, sink: &Sink) -> Result<()> {
    let JsonFile { reader, is_list, packed, was_found } = file;
    let mut elements = Elements::new(reader, is_list, LONGEST_ROW);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut batch = Batch::default();
    let (mut number, mut read, mut named) = (0_u64, 0, false);
    let mut doubt = Doubt { is_resolved: was_found, ..Doubt::default() };
    while let Some(element) = elements.next().map_err(|e| unreadable(path, e))? {
        number += 1;
        if packed.is_none() {
            batch.bytes_read += elements.consumed - read;
        }
        read = elements.consumed;
        let row = match element {
            Element::Text(text) if text.trim_ascii().is_empty() => continue,
            Element::Text(text) => {
                if !std::mem::replace(&mut named, true) {
                    batch.report.unused_columns(&path.display().to_string(), unread_names(&text));
                }
                let report = &mut batch.report;
                parse(&text, report).and_then(|row| row.conversation(|| format!("{stem}:{number}"), report))
            }
            Element::TooLong => Err(fault(Reason::TooLong, format!("longer than {} MiB", LONGEST_ROW >> 20))),
            Element::Unclosed => Err(fault(Reason::BrokenJson, "the list is not closed: is the file complete?".into())),
        };
        let place = || match is_list {
            true => format!("{}: row {number}", path.display()),
            false => format!("{}:{number}", path.display()),
        };
        let row = row.map_err(|Fault { id, reason, problem }| Irregular { place: place(), id, reason, problem });
        doubt.add(row.as_ref().err());
        batch.push(row);
        if batch.is_full() && !sink.send(std::mem::take(&mut batch)) {
            return Ok(());
        }
    }
    batch.bytes_read += packed.unwrap_or_default();
    sink.send(batch);
    doubt.resolve(path)
}

/// Whether a file holds conversations at all, or is something else.
#[derive(Default)]
struct Doubt {
    /// The first row that is not a conversation.
    first: Option<Irregular>,
    /// Whether there was a conversation, or need not be one.
    is_resolved: bool,
}

impl Doubt {
    /// Looks at one more row.
    fn add(&mut self, fault: Option<&Irregular>) {
        match fault {
            Some(fault) if fault.reason != Reason::TooLong => {
                if self.first.is_none() {
                    self.first = Some(fault.clone());
                }
            }
            _ => self.is_resolved = true,
        }
    }

    fn resolve(self, path: &Path) -> Result<()> {
        match self.first {
            Some(Irregular { place, problem, .. }) if !self.is_resolved => {
                let problem = format!("not one of its rows is a conversation; {place}: {problem}");
                let hint = "every row is a JSON object whose `messages` or `conversations` have role and content";
                Err(Error::input(path.display().to_string(), problem, hint))
            }
            _ => Ok(()),
        }
    }
}

fn fault(reason: Reason, problem: String) -> Fault {
    Fault { id: None, reason, problem }
}

fn parse(text: &[u8], report: &mut ReadReport) -> Result<Row, Fault> {
    match json::parse(text) {
        Ok(Parsed { value, mended }) => {
            report.lone_surrogates += usize::from(mended);
            Ok(value)
        }
        Err(JsonFault::Utf8(byte)) => Err(fault(Reason::InvalidUtf8, format!("invalid UTF-8 at byte {byte}"))),
        Err(JsonFault::Syntax(problem)) => Err(fault(Reason::BrokenJson, problem)),
        Err(JsonFault::Type(problem)) => Err(fault(Reason::WrongType, problem)),
    }
}

/// Names of the fields of a row that are not read. Rows of a file are alike, so the first one tells.
fn unread_names(text: &[u8]) -> Vec<String> {
    let fields = json::parse::<BTreeMap<String, IgnoredAny>>(text).map(|parsed| parsed.value).unwrap_or_default();
    let is_read = |name: &String| COLUMNS.iter().chain(&MESSAGES).any(|read| read == name);
    fields.into_keys().filter(|name| !is_read(name)).collect()
}
