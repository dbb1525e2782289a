//! Rows of a parquet file, one row group at a time, decoded directly, without going through JSON.

use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, StructArray};
use arrow_cast::{CastOptions, cast, cast_with_options};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::schema::types::SchemaDescriptor;
use serde_json::Value;

use super::batch::{Batch, Sink};
use super::irregular::Irregular;
use super::row::{COLUMNS, Fault, MESSAGES, Row, RowMessage, Said};
use crate::data::columns;
use crate::data::read_report::ReadReport;
use crate::{Error, Result};

/// Rows decoded at a time: a row may hold megabytes.
const ROWS: usize = 64;
/// Fields of a message that are texts.
const FIELDS: [&str; 6] = ["role", "from", "content", "value", "language", "hashed_ip"];
/// Fields of a message that hold more than a text, or may do so.
const NESTED: [&str; 9] = [
    "content",
    "value",
    "name",
    "reasoning_content",
    "thinking",
    "reasoning",
    "tool_calls",
    "function_call",
    "tool_call_id",
];

/// The number of row groups of a file that holds conversations.
///
/// # Errors
/// The file is damaged, or has no column of messages.
pub(super) fn row_groups(path: &Path, file: File, report: &mut ReadReport) -> Result<usize> {
    let builder = open(path, file)?;
    let roots = builder.parquet_schema().root_schema().get_fields();
    if !roots.iter().any(|root| MESSAGES.contains(&root.name())) {
        let names: Vec<&str> = roots.iter().map(|root| root.name()).collect();
        return Err(Error::input(
            path.display().to_string(),
            format!("has none of the columns `conversation`, `conversations` and `messages`, but {}", names.join(", ")),
            "conversations are lists of messages with role and content",
        ));
    }
    let messages = messages_column(|name| roots.iter().any(|root| root.name() == name));
    let others = roots.iter().map(|root| root.name()).filter(|name| Some(*name) != messages && !COLUMNS.contains(name));
    report.unused_columns(&path.display().to_string(), others.map(str::to_owned));
    Ok(builder.metadata().num_row_groups())
}

fn open(path: &Path, file: File) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| {
        Error::input(path.display().to_string(), format!("is a damaged parquet file: {e}"), "fetch the file again")
    })
}

/// Sends all rows of a row group.
///
/// # Errors
/// The row group is damaged, or its columns are of other types than those of conversations.
pub(super) fn read(path: &Path, file: File, row_group: usize, sink: &Sink) -> Result<()> {
    let builder = open(path, file)?;
    let groups = builder.metadata().row_groups();
    let first: i64 = groups[..row_group].iter().map(|group| group.num_rows()).sum();
    // The bytes of a file outside its row groups are shared among them.
    let size = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
    let (index, count) = (row_group as u64, groups.len() as u64);
    let mut bytes_read = size * (index + 1) / count - size * index / count;
    let mask = ProjectionMask::leaves(builder.parquet_schema(), wanted(builder.parquet_schema()));
    let failed = |problem: String| {
        let at = format!("{}: row group {}", path.display(), row_group + 1);
        Error::input(at, problem, "fetch the file again, or leave it out")
    };
    let builder = builder.with_projection(mask).with_row_groups(vec![row_group]).with_batch_size(ROWS);
    let batches = builder.build().map_err(|e| failed(format!("is a damaged parquet file: {e}")))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut number = first as u64;
    let mut batch = Batch::default();
    for decoded in batches {
        let decoded = decoded.map_err(|e| failed(format!("is a damaged parquet file: {e}")))?;
        for row in rows(&decoded).map_err(failed)? {
            number += 1;
            let place = || format!("{}: row {number}", path.display());
            let row = row.conversation(|| format!("{stem}:{number}"), &mut batch.report);
            batch.push(row.map_err(|Fault { id, reason, problem }| Irregular { place: place(), id, reason, problem }));
        }
        if batch.is_full() {
            batch.bytes_read = std::mem::take(&mut bytes_read);
            if !sink.send(std::mem::take(&mut batch)) {
                return Ok(());
            }
        }
    }
    batch.bytes_read = bytes_read;
    sink.send(batch);
    Ok(())
}

/// The leaves of the columns that are read.
fn wanted(schema: &SchemaDescriptor) -> Vec<usize> {
    let messages = messages_column(|name| schema.root_schema().get_fields().iter().any(|root| root.name() == name));
    let is_wanted = |index: &usize| {
        let column = schema.column(*index);
        let path = column.path().parts();
        let (root, leaf) = (&path[0], &path[path.len() - 1]);
        match messages == Some(root.as_str()) {
            // WildChat nests the headers of requests in messages; only their direct fields are read.
            true => {
                path.len() == 4 && FIELDS.contains(&leaf.as_str())
                    || path.get(3).is_some_and(|field| NESTED.contains(&field.as_str()))
            }
            false => path.len() == 1 && COLUMNS.contains(&root.as_str()),
        }
    };
    (0..schema.num_columns()).filter(is_wanted).collect()
}

fn messages_column(has: impl Fn(&str) -> bool) -> Option<&'static str> {
    MESSAGES.into_iter().find(|name| has(name))
}

/// The rows of a batch; the error is a sentence about a column.
fn rows(batch: &RecordBatch) -> Result<Vec<Row>, String> {
    let text = |name: &str| batch.column_by_name(name).map(|column| texts(name, column)).transpose();
    let [conversation_hash, conversation_id, id, model, timestamp, language, hashed_ip, user, user_id, system] =
        COLUMNS.map(text);
    let (conversation_hash, conversation_id, id) = (conversation_hash?, conversation_id?, id?);
    let (model, timestamp, system) = (model?, timestamp?, system?);
    let (language, hashed_ip, user, user_id) = (language?, hashed_ip?, user?, user_id?);
    let name = messages_column(|name| batch.column_by_name(name).is_some());
    let column = name.and_then(|name| batch.column_by_name(name));
    let (Some(name), Some(column)) = (name, column) else {
        return Err("has messages that are not structs with role and content".into());
    };
    let mut conversations = messages(name, column)?;
    let row = |index: usize| Row {
        conversation_hash: value(&conversation_hash, index),
        conversation_id: value(&conversation_id, index),
        id: value(&id, index),
        model: value(&model, index),
        timestamp: value(&timestamp, index),
        language: value(&language, index),
        hashed_ip: value(&hashed_ip, index),
        user: value(&user, index),
        user_id: value(&user_id, index),
        system: value(&system, index),
        conversation: conversations[index].take(),
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

fn value(column: &Option<StringArray>, index: usize) -> Option<String> {
    column.as_ref().filter(|column| column.is_valid(index)).map(|column| column.value(index).to_owned())
}

/// A column as text: numbers in digits, instants in ISO 8601.
fn texts(name: &str, column: &ArrayRef) -> Result<StringArray, String> {
    let column = match column.data_type() {
        // An instant prints in UTC without a time zone database once its zone, which is for display only, is gone.
        DataType::Timestamp(unit, Some(_)) => cast(column, &DataType::Timestamp(*unit, None)),
        // Text that is not marked as such, as in ClickHouse's files; bytes that are not text are an error, not an
        // absent text.
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            let options = CastOptions { safe: false, ..CastOptions::default() };
            cast(column, &DataType::LargeBinary)
                .and_then(|bytes| cast_with_options(&bytes, &DataType::LargeUtf8, &options))
        }
        _ => Ok(column.clone()),
    };
    let texts = column.and_then(|column| cast(&column, &DataType::Utf8));
    let texts = texts.map_err(|e| format!("column `{name}` is not text: {e}"))?;
    Ok(texts.as_string::<i32>().clone())
}

/// The messages of each row.
fn messages(name: &str, column: &ArrayRef) -> Result<Vec<Option<Vec<RowMessage>>>, String> {
    let wrong =
        || format!("column `{name}` is not a list of messages with role and content, but {}", column.data_type());
    let list = match column.data_type() {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::ListView(field)
        | DataType::LargeListView(field) => {
            cast(column, &DataType::LargeList(field.clone())).map_err(|e| format!("column `{name}`: {e}"))?
        }
        _ => return Err(wrong()),
    };
    let list = list.as_list::<i64>();
    let structs = list.values().as_struct_opt().ok_or_else(wrong)?;
    let field = |names: [&str; 2]| {
        let column = names.iter().find_map(|name| structs.column_by_name(name));
        column.map(|column| texts(&format!("{name}.{}", names[0]), column)).transpose()
    };
    let role = field(["role", "from"])?;
    let mut contents = contents(name, structs, ["content", "value"])?;
    let (language, hashed_ip) = (field(["language"; 2])?, field(["hashed_ip"; 2])?);
    if role.is_none() || contents.is_none() {
        return Err(wrong());
    }
    let nested = |field: &str| match structs.column_by_name(field) {
        None => Ok(vec![]),
        Some(column) => columns::values(column).map_err(|problem| format!("column `{name}.{field}` {problem}")),
    };
    let mut others = [
        nested("name")?,
        nested("reasoning_content")?,
        nested("thinking")?,
        nested("reasoning")?,
        nested("tool_calls")?,
        nested("function_call")?,
        nested("tool_call_id")?,
    ];
    let mut message = |index: usize| {
        // Messages of other shapes have no calls rather than none of them.
        let mut other = |which: usize| {
            let value: Option<&mut Value> = others[which].get_mut(index);
            value
                .map(Value::take)
                .filter(|value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()))
        };
        RowMessage {
            role: value(&role, index),
            content: contents.as_mut().map(|contents| std::mem::take(&mut contents[index])).unwrap_or_default(),
            language: value(&language, index),
            hashed_ip: value(&hashed_ip, index),
            name: other(0),
            reasoning_content: other(1),
            thinking: other(2),
            reasoning: other(3),
            tool_calls: other(4),
            function_call: other(5),
            tool_call_id: other(6),
        }
    };
    let offsets = list.value_offsets();
    let mut row = |index: usize| {
        list.is_valid(index).then(|| (offsets[index] as usize..offsets[index + 1] as usize).map(&mut message).collect())
    };
    Ok((0..list.len()).map(&mut row).collect())
}

/// The contents of messages: texts, or parts.
fn contents(name: &str, structs: &StructArray, names: [&str; 2]) -> Result<Option<Vec<Said>>, String> {
    let Some(column) = names.iter().find_map(|name| structs.column_by_name(name)) else { return Ok(None) };
    let at = format!("{name}.{}", names[0]);
    if !column.data_type().is_list() {
        let texts = texts(&at, column)?;
        return Ok(Some(
            texts.iter().map(|text| text.map_or(Said::Nothing, |text| Said::Text(text.to_owned()))).collect(),
        ));
    }
    let values = columns::values(column).map_err(|problem| format!("column `{at}` {problem}"))?;
    let said = |value: Value| match value {
        Value::Array(parts) => Said::Parts(parts),
        _ => Said::Nothing,
    };
    Ok(Some(values.into_iter().map(said).collect()))
}
