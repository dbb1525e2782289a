//! The files of a page: those that were chosen in it, and those that the library makes. The library opens them by path, as
//! it would those of a disk.

use std::path::{Path, PathBuf};

use super::memory as fs;
use crate::{Error, Result};

/// Adds a file, in the place of one that is there, with the directories that hold it.
///
/// # Errors
/// There is a directory at this path, or a file at that of a directory.
pub fn add(path: &Path, bytes: Vec<u8>) -> Result<()> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, bytes)).map_err(|e| Error::io(path, e))
}

/// The content of a file.
///
/// # Errors
/// There is none.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Error::io(path, e))
}

/// The paths of all files in a directory, at any depth.
///
/// # Errors
/// There is none.
pub fn list(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![];
    for path in fs::entries(directory).map_err(|e| Error::io(directory, e))? {
        if fs::is_dir(&path) { files.extend(list(&path)?) } else { files.push(path) }
    }
    Ok(files)
}

/// Removes a directory and all that it holds, if it is there.
///
/// # Errors
/// It is a file.
pub fn remove(directory: &Path) -> Result<()> {
    match fs::exists(directory) {
        true => fs::remove_dir_all(directory).map_err(|e| Error::io(directory, e)),
        false => Ok(()),
    }
}
