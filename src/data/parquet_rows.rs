//! Rows of parquet files.

use std::fs::File;
use std::path::Path;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::columns;
use super::record::{Record, Records, row_place};
use crate::{Error, Result};

/// Rows decoded at a time.
const BATCH: usize = 256;

/// The rows of a file that was opened at `path`, with those of `columns` that it has; empty is all.
///
/// # Errors
/// The file is damaged; the iterator reports columns that cannot be read.
pub(super) fn records(path: &Path, file: File, columns: &[&str]) -> Result<Records> {
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
    let batches = builder.with_batch_size(BATCH).build().map_err(|e| broken(&place, &e))?;
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
