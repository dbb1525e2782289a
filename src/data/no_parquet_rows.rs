//! Rows of parquet files, where nothing reads them: the reader is larger than everything else of a page.

use std::path::Path;

use super::record::Records;
use crate::files::fs::File;
use crate::{Error, Result};

/// No rows.
///
/// # Errors
/// Always.
pub(super) fn records(path: &Path, _file: File, _columns: &[&str]) -> Result<Records> {
    let hint = "save the rows as JSONL";
    Err(Error::input(path.display().to_string(), "is parquet, which is not read in a page", hint))
}
