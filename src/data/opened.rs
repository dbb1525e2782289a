//! Files of rows, told by their first bytes, whatever they are called: parquet, one JSON list, or one JSON object a line,
//! the last two also gzipped.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

/// How a gzip file begins (RFC 1952).
const GZIP: &[u8] = &[0x1f, 0x8b];
/// How a text in UTF-16 begins, of either byte order.
const UTF16: [&[u8]; 2] = [b"\xFF\xFE", b"\xFE\xFF"];
/// Bytes read at a time.
const BUFFER: usize = 1 << 20;

/// An opened file.
pub(super) enum Opened {
    /// Parquet.
    Parquet(File),
    /// JSON.
    Json {
        /// Its bytes, unpacked.
        reader: Box<dyn BufRead + Send>,
        /// Whether it is one list; else there is one object a line.
        is_list: bool,
        /// Whether the bytes on disk are others.
        is_packed: bool,
    },
}

/// Opens a file.
///
/// # Errors
/// It cannot be opened or read, is a directory, or is called `.parquet` and is not.
pub(super) fn open(path: &Path) -> Result<Opened> {
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    if file.metadata().map_err(|e| Error::io(path, e))?.is_dir() {
        return Err(Error::input(path.display().to_string(), "is a directory, not a file", "name the files in it"));
    }
    let mut head = Vec::new();
    file.by_ref().take(4).read_to_end(&mut head).map_err(|e| Error::io(path, e))?;
    file.rewind().map_err(|e| Error::io(path, e))?;
    if head.starts_with(b"PAR1") {
        return Ok(Opened::Parquet(file));
    }
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet")) {
        return Err(Error::input(path.display().to_string(), "is no parquet file", "fetch it again"));
    }
    if UTF16.iter().any(|mark| head.starts_with(mark)) {
        return Err(Error::input(path.display().to_string(), "is UTF-16 text", "re-encode the file as UTF-8"));
    }
    let is_packed = head.starts_with(GZIP);
    let mut reader: Box<dyn BufRead + Send> = match is_packed {
        true => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(BufReader::new(file)))),
        false => Box::new(BufReader::with_capacity(BUFFER, file)),
    };
    let head = reader.fill_buf().map_err(|e| unreadable(path, e))?;
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    let is_list = head.trim_ascii_start().starts_with(b"[");
    Ok(Opened::Json { reader, is_list, is_packed })
}

/// A file that cannot be read, or whose compressed bytes are damaged.
pub(super) fn unreadable(path: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
            Error::input(path.display().to_string(), format!("damaged gzip: {error}"), "fetch the file again")
        }
        _ => Error::io(path, error),
    }
}
