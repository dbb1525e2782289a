//! The output of an evaluation: what may be replaced, and how a report is written.

use std::path::Path;

use super::config::EvalConfig;
use super::page::page;
use super::report::{Report, markdown};
use super::scores::FOLDER;
use crate::files::replace_file;
use crate::{Error, Result};

/// The files of a report.
const REPORTS: [&str; 3] = ["report.json", "report.md", "report.html"];

/// Checks that the output may be written; changes nothing.
///
/// # Errors
/// It holds a run, and the settings say neither `resume` nor `force`.
pub(super) fn check(config: &EvalConfig) -> Result<()> {
    let output = &config.output;
    let at = format!("`.output` {}", output.display());
    if output.exists() && !output.is_dir() {
        return Err(Error::input(at, "is a file", "give a directory"));
    }
    let occupied = output.join(REPORTS[0]).exists() || output.join(FOLDER).exists();
    if occupied && !config.resume && !config.force {
        return Err(Error::input(
            at,
            "already holds a run",
            "use `.resume` to continue or `.force` to replace it; both use the scores in it",
        ));
    }
    Ok(())
}

/// Makes the directory and takes away an earlier report.
///
/// # Errors
/// The directory cannot be made or written.
pub(super) fn open(output: &Path) -> Result<()> {
    std::fs::create_dir_all(output).map_err(|e| Error::io(output, e))?;
    for path in REPORTS.map(|name| output.join(name)) {
        if path.exists() {
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, e))?;
        }
    }
    Ok(())
}

/// Writes the report, complete or as far as it is.
///
/// # Errors
/// The disk is full.
pub(super) fn write(output: &Path, report: &Report) -> Result<()> {
    let json = serde_json::to_vec_pretty(report).map_err(|e| Error::run(format!("report.json: {e}"), ""))?;
    replace_file(&output.join("report.json"), &json)?;
    replace_file(&output.join("report.md"), markdown(report).as_bytes())?;
    page(report).write(&output.join("report.html"))
}
