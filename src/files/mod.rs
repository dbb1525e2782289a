//! Files that appear complete or not at all, and files that may not be there.
//!
//! [`fs`] is where the library reads and writes: [`disk`](self) on a machine and, in a page, which has none, files in
//! [`memory`].

#[cfg(not(target_family = "wasm"))]
pub(crate) mod disk;
#[cfg(any(test, target_family = "wasm"))]
pub(crate) mod memory;
#[cfg(target_family = "wasm")]
pub mod page;

#[cfg(not(target_family = "wasm"))]
pub(crate) use disk as fs;
#[cfg(target_family = "wasm")]
pub(crate) use memory as fs;

use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::{Error, Result};

/// A temporary file beside `path`, to be moved there with `persist` once it is complete.
pub(crate) fn staged(path: &Path) -> Result<fs::Staged> {
    fs::Staged::beside(path).map_err(|e| Error::io(path, e))
}

/// Writes a file under a temporary name in its directory and moves it into place, so that nobody ever reads half of it.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = staged(path)?;
    file.write_all(bytes).and_then(|()| file.persist(path)).map_err(|e| Error::io(path, e))
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
    match fs::read(path) {
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
