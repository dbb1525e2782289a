//! Files as tests read them.

use std::io;
use std::path::Path;

/// As of `std::fs`.
pub(crate) fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    wgr::page::read(path.as_ref()).map_err(io::Error::other)
}

/// As of `std::fs`.
pub(crate) fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(io::Error::other)
}
