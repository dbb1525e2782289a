//! The files of a suite.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Endings of files that are read out of a folder; a file that is named is read whatever its ending.
const ENDINGS: [&str; 5] = [".json", ".jsonl", ".parquet", ".json.gz", ".jsonl.gz"];

/// A file, or the files of a folder and the folders in it, by name.
///
/// # Errors
/// Nothing is there, or a folder without a file that could be read.
pub(crate) fn find(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        path.metadata().map_err(|e| Error::io(path, e))?;
        return Ok(vec![path.to_owned()]);
    }
    let mut files = vec![];
    gather(path, &mut files)?;
    if files.is_empty() {
        let problem = format!("holds no file that ends with {}", ENDINGS.join(", "));
        return Err(Error::input(path.display().to_string(), problem, "give a file"));
    }
    Ok(files)
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut paths: Vec<PathBuf> =
        entries.map_err(|e| Error::io(folder, e))?.iter().map(std::fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            gather(&path, files)?;
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            files.push(path);
        }
    }
    Ok(())
}

/// The name of a file without its endings.
pub(crate) fn stem(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let ending = ENDINGS.iter().filter(|ending| name.ends_with(**ending)).map(|ending| ending.len()).max();
    name[..name.len() - ending.unwrap_or(0)].to_owned()
}
