//! Files read through memory maps, so that a checkpoint larger than memory can be read tensor by tensor.

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::files::not_fetched;
use crate::{Error, Result};

/// A file's bytes.
#[derive(Debug)]
pub(super) struct Mapped {
    path: PathBuf,
    map: Mmap,
}

impl Mapped {
    /// Maps a file read-only.
    ///
    /// # Errors
    /// The file cannot be opened or mapped.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::io(path, source))?;
        // SAFETY: the bytes are only read, as plain integers and floats without invalid values. Another process that
        // shortens the file while it is mapped can still end this one; the format leaves no way around that short of
        // copying whole checkpoints.
        let map = unsafe { Mmap::map(&file) }.map_err(|source| Error::io(path, source))?;
        match not_fetched(&path.display().to_string(), &map) {
            Some(error) => Err(error),
            None => Ok(Self { path: path.to_owned(), map }),
        }
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}
