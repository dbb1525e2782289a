//! Typed rows of one or many files: read, checked against the needs of the run, and named in errors.

use super::json::{is_readable, kind, number, shown};
use super::message::{Exchange, TemplateInputs, parse_history, parse_messages, take, take_conversation, with_system};
use super::opened::named_once;
use super::preference::Preference;
use super::ratings::{self, RatingScale};
use super::read_report::ReadReport;
use super::record::{Record, Records};
use super::records::records;
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

/// The purpose of a row, which decides which rows are accepted and what their label must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Texts and chats to score; labels are not looked at.
    Score,
    /// Texts and chats with whole labels `1..=levels`, and pairs of rated responses.
    Levels(u32),
    /// Texts and chats with any finite label, and pairs of rated responses.
    Regression,
    /// Preference pairs.
    Preference,
}

/// One checked row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its own id, or `<file stem>:<line>`; unique over everything read together.
    pub id: String,
    /// The content that is judged.
    pub content: Content,
    /// The label, always present for [`Purpose::Levels`] and [`Purpose::Regression`], never otherwise.
    pub label: Option<f64>,
}

/// The content of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A text to tokenize as it is; never empty.
    Text(String),
    /// A conversation to render through the template.
    Chat(Exchange),
    /// Two responses of which one was preferred.
    Pair(Preference),
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Exchange> for Content {
    fn from(exchange: Exchange) -> Self {
        Self::Chat(exchange)
    }
}

impl From<Preference> for Content {
    fn from(pair: Preference) -> Self {
        Self::Pair(pair)
    }
}

impl Row {
    /// A row without a label; errors call it by its id.
    pub fn new(id: impl Into<String>, content: impl Into<Content>) -> Self {
        Self { id: id.into(), content: content.into(), label: None }
    }

    /// The row with a label.
    pub fn labelled(self, label: f64) -> Self {
        Self { label: Some(label), ..self }
    }

    /// Refuses a row made in memory that could not have been read from a file for this purpose.
    ///
    /// # Errors
    /// The content is empty or of the wrong kind; the label is missing or out of range.
    pub(crate) fn check(&self, purpose: Purpose) -> Result<()> {
        let at = format!("row {:?}", self.id);
        if matches!(&self.content, Content::Text(text) if text.is_empty()) {
            return Err(Error::input(at, "the text is empty", ""));
        }
        let label = || self.label.ok_or_else(|| Error::input(&at, "the label is missing", LABEL_HINT));
        match (&self.content, purpose) {
            (Content::Pair(_), Purpose::Preference) | (Content::Text(_) | Content::Chat(_), Purpose::Score) => Ok(()),
            (Content::Pair(_), _) => Err(refused_pair(&at, "make a row of each response")),
            (_, Purpose::Preference) => Err(no_pair(&at)),
            (_, Purpose::Levels(levels)) => check_level(&at, label()?, levels),
            (_, Purpose::Regression) => match label()? as f32 {
                label if label.is_finite() => Ok(()),
                _ => Err(Error::input(&at, format!("the label {} is out of range", label()?), "")),
            },
        }
    }
}

/// The columns rows are made of, beside those of ratings.
const COLUMNS: [&str; 14] = [
    "id",
    "text",
    "label",
    "history",
    "messages",
    "conversations",
    "conversation",
    "prompt",
    "chosen",
    "rejected",
    "system",
    "tools",
    "documents",
    "chat_template_kwargs",
];

/// Streams rows out of files; ends at the first error.
pub struct RowReader {
    purpose: Purpose,
    scale: RatingScale,
    waiting: VecDeque<PathBuf>,
    open: Option<OpenFile>,
    /// Rows of a record that made several.
    ready: VecDeque<Row>,
    ids: Ids,
    /// Counts of irregularities so far.
    pub report: ReadReport,
}

struct OpenFile {
    path: PathBuf,
    records: Records,
    is_empty: bool,
}

/// The ids of everything that is read together, so that each stands for one row.
#[derive(Default)]
pub(crate) struct Ids {
    /// The file and the place in it of each id.
    places: HashMap<String, (PathBuf, String)>,
}

impl Ids {
    /// The id of a row at `place` in `file`, with the name of the file before it where another file has it, too.
    ///
    /// # Errors
    /// The same file has it, too.
    pub(crate) fn unique(&mut self, file: &Path, place: &str, id: String, report: &mut ReadReport) -> Result<String> {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        // The second of two files of one name has its whole path before its ids.
        for candidate in [id.clone(), format!("{stem}/{id}"), format!("{}/{id}", file.display())] {
            match self.places.entry(candidate) {
                Entry::Vacant(free) => {
                    if *free.key() != id {
                        *report.shared_ids.entry(file.display().to_string()).or_default() += 1;
                    }
                    let unique = free.key().clone();
                    free.insert((file.to_owned(), place.to_owned()));
                    return Ok(unique);
                }
                Entry::Occupied(taken) if taken.get().0 == file => {
                    let problem = format!("the id {id:?} was already used at {}", taken.get().1);
                    return Err(Error::input(place, problem, "ids must be unique within a file"));
                }
                Entry::Occupied(_) => {}
            }
        }
        Err(Error::input(place, format!("the id {id:?} was already used"), "the same file is given twice"))
    }
}

impl RowReader {
    /// A reader over `paths` in that order.
    ///
    /// # Errors
    /// No path is given, or two lead to the same file. Errors in a file or a row are reported by the iterator.
    pub fn new(paths: &[PathBuf], purpose: Purpose, scale: RatingScale) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::input("input", "no file is given", "give at least one JSONL or parquet file"));
        }
        named_once(paths)?;
        Ok(Self {
            purpose,
            scale,
            waiting: paths.to_vec().into(),
            open: None,
            ready: VecDeque::new(),
            ids: Ids::default(),
            report: ReadReport::default(),
        })
    }

    fn next_row(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Ok(Some(row));
            }
            let Some(file) = &mut self.open else {
                let Some(path) = self.waiting.pop_front() else { return Ok(None) };
                let columns: Vec<&str> = COLUMNS.into_iter().chain(ratings::COLUMNS.into_iter().flatten()).collect();
                let records = records(&path, &columns)?;
                self.report.unused_columns(&path.display().to_string(), records.undecoded.iter().cloned());
                self.open = Some(OpenFile { path, records, is_empty: true });
                continue;
            };
            let Some(mut record) = file.records.next().transpose()? else {
                if file.is_empty {
                    return Err(Error::input(file.path.display().to_string(), "holds no rows", ""));
                }
                self.open = None;
                continue;
            };
            file.is_empty = false;
            let stem = file.path.file_stem().unwrap_or_default().to_string_lossy();
            let unnamed = format!("{stem}:{}", record.number);
            let rows = parse_rows(&mut record, unnamed, self.purpose, self.scale, &mut self.report)?;
            self.report.unused(&file.path.display().to_string(), &record.fields);
            for row in rows {
                let id = self.ids.unique(&file.path, &record.place, row.id, &mut self.report)?;
                self.ready.push_back(Row { id, ..row });
            }
        }
    }
}

impl Iterator for RowReader {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.next_row().transpose();
        if let Some(Err(_)) = row {
            (self.open, self.waiting) = (None, VecDeque::new());
        }
        row
    }
}

/// All rows of `paths`, in order, and what became of their irregularities. Ratings run from 1 to 5.
///
/// # Errors
/// A file is missing, empty or broken, a row is malformed or of the wrong kind for `purpose`, a label is missing or
/// out of range, or an id is used twice in a file; each names the file and line.
pub fn read_rows(paths: &[PathBuf], purpose: Purpose) -> Result<(Vec<Row>, ReadReport)> {
    read_rated_rows(paths, purpose, RatingScale::default())
}

/// As [`read_rows`], with ratings of another scale.
///
/// # Errors
/// As [`read_rows`].
pub fn read_rated_rows(paths: &[PathBuf], purpose: Purpose, scale: RatingScale) -> Result<(Vec<Row>, ReadReport)> {
    let mut reader = RowReader::new(paths, purpose, scale)?;
    let rows = reader.by_ref().collect::<Result<_>>()?;
    Ok((rows, reader.report))
}

/// Reads and checks one record, and leaves in it the fields that nothing reads; `unnamed` is its id where it has none of
/// its own.
///
/// # Errors
/// As [`read_rows`], for this row alone; a record of two rated responses.
pub fn parse_row(record: &mut Record, unnamed: String, purpose: Purpose, report: &mut ReadReport) -> Result<Row> {
    let place = record.place.clone();
    let mut rows = parse_rows(record, unnamed, purpose, RatingScale::default(), report)?;
    match (rows.pop(), rows.is_empty()) {
        (Some(row), true) => Ok(row),
        _ => Err(Error::input(place, "the row holds two responses, but one is needed", "")),
    }
}

fn parse_rows(
    record: &mut Record,
    unnamed: String,
    purpose: Purpose,
    scale: RatingScale,
    report: &mut ReadReport,
) -> Result<Vec<Row>> {
    report.lone_surrogates += usize::from(record.mended);
    let Record { place, fields, .. } = record;
    let (id, at) = match take(fields, "id") {
        None => (unnamed, place.clone()),
        Some(Value::String(id)) => {
            let at = format!("{place}: row {id:?}");
            (id, at)
        }
        Some(Value::Number(id)) => (id.to_string(), format!("{place}: row \"{id}\"")),
        Some(other) => {
            let problem = format!("`id` is {}, not a string or a number", kind(&other));
            return Err(Error::input(place.as_str(), problem, ""));
        }
    };
    let content = parse_content(&at, fields, report)?;
    let label = match (&content, purpose) {
        (Content::Pair(_), Purpose::Preference) | (Content::Text(_) | Content::Chat(_), Purpose::Score) => None,
        (Content::Pair(pair), Purpose::Levels(_) | Purpose::Regression) => {
            if let Some(ratings) = scale.take(&at, fields)? {
                report.rated_pairs += 1;
                return rated(&at, &id, pair, ratings, purpose, scale);
            }
            return Err(refused_pair(&at, "or rate the responses in `score_chosen` and `score_rejected`"));
        }
        (Content::Pair(_), Purpose::Score) => return Err(refused_pair(&at, "score each response in a row of its own")),
        (_, Purpose::Preference) => return Err(no_pair(&at)),
        (_, Purpose::Levels(levels)) => {
            let label = parse_number(&at, take(fields, "label"))?;
            check_level(&at, label, levels)?;
            Some(label)
        }
        (_, Purpose::Regression) => Some(parse_number(&at, take(fields, "label"))?),
    };
    Ok(vec![Row { id, content, label }])
}

fn refused_pair(at: &str, hint: &str) -> Error {
    let problem = "the row is a preference pair, but this run needs texts or messages";
    Error::input(at, problem, format!("preference pairs train with `.objective` pairwise; {hint}"))
}

fn no_pair(at: &str) -> Error {
    Error::input(at, "the row has no `chosen` and `rejected`", "this run needs preference pairs")
}

/// The two rows of a rated pair.
fn rated(
    at: &str,
    id: &str,
    pair: &Preference,
    ratings: [f64; 2],
    purpose: Purpose,
    scale: RatingScale,
) -> Result<Vec<Row>> {
    let contents = match pair {
        Preference::Text { prompt: None, chosen, rejected } => {
            [chosen, rejected].map(|text| Content::Text(text.clone()))
        }
        pair => pair.exchanges(at)?.map(Content::Chat),
    };
    let row = |((content, rating), side)| {
        let label = match purpose {
            Purpose::Levels(levels) => scale.level(rating, levels),
            _ => rating,
        };
        Row { id: format!("{id}/{side}"), content, label: Some(label) }
    };
    Ok(contents.into_iter().zip(ratings).zip(ratings::SIDES).map(row).collect())
}

/// Messages win over `text`: rows that carry both hold the conversation and a rendering of it.
fn parse_content(at: &str, fields: &mut Map<String, Value>, report: &mut ReadReport) -> Result<Content> {
    let is_given = |name: &&str| fields.get(*name).is_some_and(|value| !value.is_null());
    if ["chosen", "rejected"].iter().any(is_given) {
        return Ok(Content::Pair(Preference::parse(at, fields, report)?));
    }
    if let Some((name, messages)) = take_conversation(fields) {
        let mut conversation = parse_history(at, take(fields, "history"), report)?;
        conversation.extend(parse_messages(at, name, messages, report)?);
        let conversation = with_system(at, fields, conversation)?;
        return Ok(Content::Chat(Exchange::from_messages(at, conversation, TemplateInputs::take(at, fields)?)?));
    }
    match take(fields, "text") {
        Some(Value::String(text)) if text.is_empty() => Err(Error::input(at, "`text` is empty", "")),
        Some(Value::String(text)) => Ok(Content::Text(text)),
        Some(other) => Err(Error::input(at, format!("`text` is {}, not a string", kind(&other)), "")),
        None => Err(Error::input(
            at,
            "the row has none of `text`, `messages`, or `chosen` and `rejected`",
            r#"write {"id", "text", "label"} or {"id", "history", "messages", "label"}"#,
        )),
    }
}

const LABEL_HINT: &str = "`label` must be a number";

fn parse_number(at: &str, label: Option<Value>) -> Result<f64> {
    match label {
        None => Err(Error::input(at, "the label is missing", LABEL_HINT)),
        Some(given) => match number(&given) {
            // Labels reach the device as f32.
            Some(label) if (label as f32).is_finite() => Ok(label),
            Some(_) => Err(Error::input(at, format!("the label {} is out of range", shown(&given)), "")),
            None => {
                let value = if is_readable(&given) { format!(": {given}") } else { String::new() };
                Err(Error::input(at, format!("the label is {}{value}", kind(&given)), LABEL_HINT))
            }
        },
    }
}

fn check_level(at: &str, label: f64, levels: u32) -> Result<()> {
    if label.fract() != 0.0 {
        return Err(Error::input(
            at,
            format!("the label {label} is not a whole number"),
            "or use `.objective` regression",
        ));
    }
    if !(1.0..=f64::from(levels)).contains(&label) {
        return Err(Error::input(
            at,
            format!("the label {label} is outside 1..{levels}"),
            "`.levels` sets the maximum",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
