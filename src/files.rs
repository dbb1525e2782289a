//! Files that appear complete or not at all, and files that may not be there.

use std::io::{ErrorKind, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// A temporary file beside `path`, to be moved there with `persist` once it is complete.
pub(crate) fn staged(path: &Path) -> Result<NamedTempFile> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // Temporary files are their owner's alone; these files are for others too, as far as the umask allows.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.prefix(".wgr-").tempfile_in(directory).map_err(|e| Error::io(path, e))
}

/// Writes a file under a temporary name in its directory and moves it into place, so that nobody ever reads half of it.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = staged(path)?;
    file.write_all(bytes).map_err(|e| Error::io(path, e))?;
    file.persist(path).map_err(|e| Error::io(path, e.error))?;
    Ok(())
}

/// How the file begins that Git LFS leaves in the place of one that it has not fetched.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1";

/// The error of a file, found at `at`, of which there is only what Git LFS puts in its place.
pub(crate) fn not_fetched(at: &str, head: &[u8]) -> Option<Error> {
    let error = || Error::input(at, "is a Git LFS pointer, not the file itself", "fetch it: `git lfs pull`");
    head.starts_with(LFS_POINTER).then(error)
}

/// The content of a file, or nothing if there is no such file.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => match not_fetched(&path.display().to_string(), &bytes) {
            Some(error) => Err(error),
            None => Ok(Some(bytes)),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, error)),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_replaced_file_gets_the_permissions_of_an_ordinary_one() {
        let directory = tempfile::tempdir().unwrap();
        let mode = |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
        std::fs::write(directory.path().join("ordinary"), "x").unwrap();
        replace_file(&directory.path().join("replaced"), b"x").unwrap();
        assert_eq!(mode("replaced"), mode("ordinary"));
    }
}
