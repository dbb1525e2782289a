//! Finds the files of an input.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Endings of the files that are taken from a folder; a file that is named itself may have any.
const ENDINGS: [&str; 5] = [".parquet", ".jsonl", ".json", ".jsonl.gz", ".json.gz"];

/// All files of `paths`, in the order given; those of a folder, however deep, by name.
///
/// # Errors
/// A path does not exist or cannot be read, or a folder has no file of conversations.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = vec![];
    for path in paths {
        let before = files.len();
        if path.is_dir() {
            search(path, &mut files)?;
        } else {
            files.push(path.clone());
        }
        if files.len() == before {
            let hint = "conversations are .parquet, .jsonl or .json files, the last two optionally gzipped";
            return Err(Error::input(path.display().to_string(), "has no files of conversations", hint));
        }
    }
    Ok(files)
}

fn search(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |e| Error::io(folder, e);
    let entries: Result<Vec<PathBuf>, std::io::Error> =
        std::fs::read_dir(folder).map_err(failed)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut entries = entries.map_err(failed)?;
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let taken = ENDINGS.iter().any(|ending| name.ends_with(ending));
        match path.is_dir() {
            _ if name.starts_with('.') => {}
            true => search(&path, files)?,
            false if taken => files.push(path),
            false => {}
        }
    }
    Ok(())
}
