//! Commands of wgr as a user would type them, and the files between them.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cargo::{cargo, root};

/// Prints and runs a command of wgr.
pub(super) fn wgr(command: &str, paths: &[(&str, &Path)], flags: &[&str]) -> Result<()> {
    let mut cargo = cargo(&["run", "--quiet", "--bin", "wgr", "--", command]);
    let mut shown = format!("\n$ wgr {command}");
    for (flag, path) in paths {
        cargo.arg(flag).arg(path);
        shown.push_str(&format!(" {flag} {}", path.strip_prefix(root()).unwrap_or(path).display()));
    }
    println!("{shown} {}", flags.join(" "));
    let status = cargo.args(flags).status().context("cargo could not be started")?;
    if !status.success() {
        bail!("wgr {command} ended with {status}");
    }
    Ok(())
}

/// Writes a text.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

/// Writes rows as JSONL.
pub(super) fn write_rows(path: &Path, rows: impl Iterator<Item = Value>) -> Result<()> {
    write(path, &rows.map(|row| format!("{row}\n")).collect::<String>())
}

/// Reads rows of JSONL.
pub(super) fn read_rows(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| path.display().to_string())).collect()
}
