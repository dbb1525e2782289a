//! Logs as files; memory does not grow with their length.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_json::ReaderBuilder;
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use rayon::prelude::*;
use serde_json::Value;

use super::{Damage, Logged, Logs};

/// Conversations made at a time.
const BATCH: u64 = 1024;
/// Conversations in a row group.
const ROW_GROUP: usize = 4096;

/// Writes a part of a log, one JSON object a line.
pub(crate) fn write_jsonl(path: &Path, logs: &Logs, part: Range<u64>) -> Result<()> {
    let failed = || format!("{} cannot be written", path.display());
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).with_context(failed)?);
    for batch in batches(part) {
        let lines: Vec<String> = batch.into_par_iter().map(|index| line(&logs.conversation(index))).collect();
        lines.iter().try_for_each(|line| writeln!(out, "{line}")).with_context(failed)?;
    }
    out.flush().with_context(failed)
}

/// Writes a part of a log as parquet with zstd, as WildChat comes; what only a line of text can suffer does not happen.
pub(crate) fn write_parquet(path: &Path, logs: &Logs, part: Range<u64>) -> Result<()> {
    let failed = || format!("{} cannot be written", path.display());
    let schema = Arc::new(schema());
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .build();
    let file = File::create(path).with_context(failed)?;
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties)).with_context(failed)?;
    let mut decoder =
        ReaderBuilder::new(schema).with_batch_size(BATCH as usize).build_decoder().with_context(failed)?;
    for batch in batches(part) {
        let rows: Vec<Logged> = batch.into_par_iter().map(|index| logs.conversation(index)).collect();
        decoder.serialize(&rows).with_context(failed)?;
        if let Some(batch) = decoder.flush().with_context(failed)? {
            writer.write(&batch).with_context(failed)?;
        }
    }
    writer.close().map(drop).with_context(failed)
}

fn batches(part: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    part.clone().step_by(BATCH as usize).map(move |start| start..part.end.min(start + BATCH))
}

fn line(row: &Logged) -> String {
    let mut value = serde_json::json!(row);
    if row.damage == Some(Damage::Text) {
        value["conversation"] = Value::from(value["conversation"].to_string());
    }
    let mut line = value.to_string();
    if row.damage == Some(Damage::Cut) {
        let half = (0..=line.len() / 2).rev().find(|&at| line.is_char_boundary(at));
        line.truncate(half.unwrap_or_default());
    }
    line
}

/// The columns of [`Logged`], in the types of WildChat.
fn schema() -> Schema {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let flag = |name: &str| Field::new(name, DataType::Boolean, true);
    let whole = |name: &str| Field::new(name, DataType::Int64, true);
    let instant =
        |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), true);
    let message = Fields::from(vec![
        text("role"),
        text("content"),
        text("language"),
        text("hashed_ip"),
        instant("timestamp"),
        flag("toxic"),
        flag("redacted"),
        whole("turn_identifier"),
    ]);
    Schema::new(vec![
        text("conversation_hash"),
        text("model"),
        instant("timestamp"),
        Field::new_list("conversation", Field::new("element", DataType::Struct(message), true), true),
        whole("turn"),
        text("language"),
        flag("toxic"),
        flag("redacted"),
        text("state"),
        text("country"),
        text("hashed_ip"),
    ])
}
