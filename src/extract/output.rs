//! The rows of a run: collected while it runs, split and moved into place at its end.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use arrow_json::ReaderBuilder;
use arrow_schema::{DataType, Field, Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use twox_hash::XxHash3_64;

use super::annotator::LABELS;
use super::config::{ExtractConfig, Format, TestSize};
use super::instance::{Instance, Judged};
use super::report::Split;
use super::split::{Grouping, held_out};
use super::stages::{FOLDER, Sheet, part};
use super::tally::UNKNOWN;
use crate::data::Template;
use crate::{Error, Result};

/// The file that only a finished run has.
pub(super) const REPORT: &str = "report.json";
/// Rows held out where the settings do not say.
const DEFAULT_TEST_ROWS: u64 = 5000;
/// Rows turned into parquet at a time.
const BATCH: usize = 1024;

/// Checks that the output may be written; changes nothing.
///
/// # Errors
/// It holds a run, and the settings say neither `resume` nor `force`; or it holds a file that is read.
pub(super) fn check(config: &ExtractConfig) -> Result<()> {
    let output = &config.output;
    let at = format!("`.output` {}", output.display());
    if output.exists() && !output.is_dir() {
        return Err(Error::input(at, "is a file", "give a directory"));
    }
    let occupied = output.join(REPORT).exists() || output.join(FOLDER).exists();
    if occupied && !config.resume && !config.force {
        return Err(Error::input(
            at,
            "already holds a run",
            "use `.resume` to continue or `.force` to replace it; both use the answers in it",
        ));
    }
    // A path that does not exist yet has no canonical form.
    let resolved =
        |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    let mut read = config.input.iter().chain(&config.annotator_file);
    if let Some(input) = read.find(|input| resolved(input).starts_with(resolved(output))) {
        let problem = format!("contains the input {}", input.display());
        return Err(Error::input(at, problem, "use another directory; a run must not read its own output"));
    }
    // A folder that is read would find the rows of this run among its files the next time.
    if let Some(input) = config.input.iter().find(|input| resolved(output).starts_with(resolved(input))) {
        return Err(Error::input(at, format!("is in the input {}", input.display()), "use another directory"));
    }
    Ok(())
}

/// Makes the directory and takes away what an earlier run finished: until this one is done, there are no rows.
///
/// # Errors
/// The directory cannot be made or written.
pub(super) fn open(config: &ExtractConfig) -> Result<()> {
    let output = &config.output;
    std::fs::create_dir_all(output).map_err(|e| Error::io(output, e))?;
    let rows = ["train", "test"].into_iter().flat_map(|name| ["jsonl", "parquet"].map(|end| format!("{name}.{end}")));
    // A run that begins again may begin with other labels.
    let labels = (!config.resume).then(|| LABELS.to_owned());
    for name in rows.chain([REPORT.into(), "report.html".into()]).chain(labels) {
        let path = output.join(name);
        if path.exists() {
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, e))?;
        }
    }
    Ok(())
}

/// The facts about a row that the split needs.
struct Entry {
    group: u64,
    conversation: u64,
    user: Option<u64>,
    /// Place among `Rows::languages`.
    language: u16,
    label: u32,
}

/// The rows so far, in a file that the split reads again.
pub(super) struct Rows {
    sheet: Sheet,
    grouping: Grouping,
    keep_neutral: bool,
    entries: Vec<Entry>,
    languages: Vec<String>,
}

impl Rows {
    /// No rows yet.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(super) fn create(config: &ExtractConfig) -> Result<Self> {
        Ok(Self {
            sheet: Sheet::create(&config.output.join(FOLDER).join("rows.jsonl"))?,
            grouping: Grouping { by: config.split_by, seed: config.seed },
            keep_neutral: config.keep_neutral,
            entries: vec![],
            languages: vec![],
        })
    }

    /// The number of rows.
    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Appends the rows of the turns that have a label.
    ///
    /// # Errors
    /// The disk is full, or the template fails.
    pub(super) fn extend(&mut self, turns: &[Judged], annotator: &str, template: &Template) -> Result<()> {
        let keep_neutral = self.keep_neutral;
        self.sheet.extend(turns, |judged| {
            judged.label(keep_neutral).map(|label| Instance::of(judged, label, annotator, template)).transpose()
        })?;
        for judged in turns {
            let Some(label) = judged.label(keep_neutral) else { continue };
            let conversation = &judged.turn.conversation;
            let hash = |text: &str| XxHash3_64::oneshot(text.as_bytes());
            let entry = Entry {
                group: self.grouping.of(&judged.turn),
                conversation: hash(&conversation.id),
                user: conversation.user.as_deref().map(hash),
                language: self.language(conversation.language.as_deref().unwrap_or(UNKNOWN)),
                label,
            };
            self.entries.push(entry);
        }
        Ok(())
    }

    fn language(&mut self, name: &str) -> u16 {
        let known = self.languages.iter().position(|language| language == name);
        known.unwrap_or_else(|| {
            self.languages.push(name.to_owned());
            self.languages.len() - 1
        }) as u16
    }

    /// Divides the rows into `train` and `test` and moves both into place.
    ///
    /// # Errors
    /// The disk is full, or the rows written cannot be read again.
    pub(super) fn split(self, config: &ExtractConfig) -> Result<(Split, Split)> {
        let rows = self.len();
        let size = match config.test_size {
            Some(size) => size.of(rows),
            None => TestSize::Rows(DEFAULT_TEST_ROWS).of(rows / 10),
        };
        let chosen = held_out(self.entries.iter().map(|entry| entry.group), size);
        let path = self.sheet.finish()?;
        let (mut train, mut test) = (Side::create(config, "train")?, Side::create(config, "test")?);
        let lines = BufReader::new(File::open(&path).map_err(|e| Error::io(&path, e))?).split(b'\n');
        for (entry, line) in self.entries.iter().zip(lines) {
            let line = line.map_err(|e| Error::io(&path, e))?;
            let side = if chosen.contains(&entry.group) { &mut test } else { &mut train };
            side.add(entry, &line, &self.languages)?;
        }
        std::fs::remove_file(&path).map_err(|e| Error::io(&path, e))?;
        Ok((train.finish(config.format)?, test.finish(config.format)?))
    }
}

/// One side of the split under way.
struct Side {
    sheet: Sheet,
    split: Split,
    conversations: HashSet<u64>,
    users: HashSet<u64>,
}

impl Side {
    fn create(config: &ExtractConfig, name: &str) -> Result<Self> {
        let labels = if config.keep_neutral { 5 } else { 4 };
        Ok(Self {
            sheet: Sheet::create(&config.output.join(format!("{name}.jsonl")))?,
            split: Split { labels: vec![0; labels], ..Split::default() },
            conversations: HashSet::new(),
            users: HashSet::new(),
        })
    }

    fn add(&mut self, entry: &Entry, line: &[u8], languages: &[String]) -> Result<()> {
        self.sheet.line(line)?;
        self.split.rows += 1;
        self.split.labels[entry.label as usize - 1] += 1;
        *self.split.languages.entry(languages[usize::from(entry.language)].clone()).or_default() += 1;
        self.conversations.insert(entry.conversation);
        self.users.extend(entry.user);
        Ok(())
    }

    fn finish(mut self, format: Format) -> Result<Split> {
        let path = self.sheet.finish()?;
        if format == Format::Parquet {
            to_parquet(&path)?;
        }
        self.split.conversations = self.conversations.len() as u64;
        self.split.users = self.users.len() as u64;
        Ok(self.split)
    }
}

/// Replaces a JSONL file of rows by a parquet file.
fn to_parquet(jsonl: &Path) -> Result<()> {
    let path = jsonl.with_extension(Format::Parquet.extension());
    let temporary = part(&path);
    let failed = |e: &dyn std::fmt::Display| Error::run(format!("{}: {e}", temporary.display()), "is the disk full?");
    let schema = Arc::new(schema());
    let lines = BufReader::new(File::open(jsonl).map_err(|e| Error::io(jsonl, e))?);
    let batches = ReaderBuilder::new(schema.clone()).with_batch_size(BATCH).build(lines).map_err(|e| failed(&e))?;
    let file = File::create(&temporary).map_err(|e| Error::io(&temporary, e))?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).map_err(|e| failed(&e))?;
    for batch in batches {
        writer.write(&batch.map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
    }
    writer.close().map_err(|e| failed(&e))?;
    std::fs::rename(&temporary, &path).map_err(|e| Error::io(&path, e))?;
    std::fs::remove_file(jsonl).map_err(|e| Error::io(jsonl, e))
}

/// The columns of [`Instance`].
fn schema() -> Schema {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let whole = |name: &str| Field::new(name, DataType::Int64, true);
    let real = |name: &str| Field::new(name, DataType::Float32, true);
    let message = DataType::Struct(Fields::from(vec![text("role"), text("content")]));
    let messages = |name: &str| Field::new_list(name, Field::new("element", message.clone(), true), true);
    let evidence = vec![
        text("annotator"),
        text("level"),
        text("reason"),
        real("confidence"),
        whole("mined_from"),
        real("cosine"),
        text("refusal"),
        text("refusal_verdict"),
        text("refusal_reason"),
    ];
    Schema::new(vec![
        text("id"),
        messages("history"),
        text("text"),
        messages("messages"),
        Field::new("user_feedback", message.clone(), true),
        whole("label"),
        text("user"),
        text("conversation"),
        whole("turn"),
        text("language"),
        text("model"),
        text("timestamp"),
        Field::new_struct("evidence", evidence, true),
    ])
}
