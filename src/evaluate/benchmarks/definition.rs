//! What a suite is to the evaluation: names, format, rule and published numbers.

use std::path::{Path, PathBuf};

use super::part::Part;
use super::published::Table;
use crate::Result;
use crate::data::{ReadReport, Record};
use crate::evaluate::items::{Item, Row};
use crate::statistics::Bootstrap;

/// A suite, as its file in this folder defines it.
pub(in crate::evaluate) struct Definition {
    /// The name on the command line and in reports.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// Which of the files that were found belong to it.
    pub files: fn(Vec<PathBuf>) -> Vec<PathBuf>,
    /// The columns to read of a parquet file; all of them where none is named.
    pub columns: &'static [&'static str],
    /// The item of a row of a file.
    pub item: ReadItem,
    /// The benchmark's own results, given a list of scores for each item; `None` for one's own data.
    pub measure: Option<Measure>,
    /// What others published for it.
    pub published: Table,
}

/// Measures the scores of a suite's items as the benchmark does.
pub(super) type Measure = fn(&[Item], &[Vec<f64>], &Bootstrap) -> Part;

/// Makes the item of a row of a file.
pub(super) type ReadItem = fn(&Path, Record, &mut ReadReport) -> Result<Row>;

impl Definition {
    /// A suite of one's own data: any files, and no results but those that every suite has.
    pub(super) const fn new(name: &'static str, title: &'static str, item: ReadItem) -> Self {
        Self { name, title, files: |found| found, columns: &[], item, measure: None, published: Table::NONE }
    }
}
