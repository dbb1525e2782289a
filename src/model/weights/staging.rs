//! Files are written under a temporary name beside their destination and moved into place once complete.

use std::path::{Path, PathBuf};

use crate::files::fs;
use crate::{Error, Result};

/// A temporary directory on the file system of a destination; dropped without a move, it leaves nothing behind.
pub(super) struct Staging {
    directory: fs::TempDir,
}

impl Staging {
    /// A staging place beside `destination`, whose parent directories are made.
    ///
    /// # Errors
    /// The folder of the destination cannot be written to.
    pub(super) fn beside(destination: &Path) -> Result<Self> {
        let parent = match destination.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(|source| Error::io(parent, source))?;
        let directory = fs::temporary_directory(parent);
        Ok(Self { directory: directory.map_err(|source| Error::io(parent, source))? })
    }

    /// A path within the staging place.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Moves a staged file over `destination`.
    ///
    /// # Errors
    /// The file cannot be moved.
    pub(super) fn replace_file(&self, staged: &Path, destination: &Path) -> Result<()> {
        fs::rename(staged, destination).map_err(|source| Error::io(destination, source))
    }

    /// Moves a staged directory to `destination`. Where that exists, its files are replaced one by one,
    /// that called `last` last, and those that `stale` knows by name and are not replaced go.
    ///
    /// # Errors
    /// A file cannot be moved or removed.
    pub(super) fn replace_directory(
        &self,
        staged: &Path,
        destination: &Path,
        last: &str,
        stale: impl Fn(&str) -> bool,
    ) -> Result<()> {
        if !fs::exists(destination) {
            return fs::rename(staged, destination).map_err(|source| Error::io(destination, source));
        }
        let mut written = names(staged)?;
        written.sort_by_key(|name| name == last);
        for name in &written {
            let (from, to) = (staged.join(name), destination.join(name));
            // A folder does not replace another that holds files.
            if fs::is_dir(&from) && fs::is_dir(&to) {
                fs::remove_dir_all(&to).map_err(|source| Error::io(&to, source))?;
            }
            self.replace_file(&from, &to)?;
        }
        for name in names(destination)?.iter().filter(|name| stale(name) && !written.contains(name)) {
            let path = destination.join(name);
            fs::remove_file(&path).map_err(|source| Error::io(path, source))?;
        }
        Ok(())
    }
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = fs::entries(directory).map_err(|source| Error::io(directory, source))?;
    Ok(entries.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned()).collect())
}
