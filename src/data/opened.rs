//! Files of rows, recognized by their first bytes whatever their names: parquet, one JSON list, or one JSON object per
//! line, the last two optionally gzipped.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::foreign;
use crate::files::fs;
use crate::{Error, Result};

/// How a gzip file begins (RFC 1952).
const GZIP: &[u8] = &[0x1f, 0x8b];
/// Bytes read at a time.
const BUFFER: usize = 1 << 20;

/// An opened file.
pub(super) enum Opened {
    /// Parquet.
    Parquet(fs::File),
    /// JSON.
    Json {
        /// Its bytes, unpacked.
        reader: Box<dyn BufRead + Send>,
        /// Whether it is one list; otherwise there is one object per line.
        is_list: bool,
        /// Whether the bytes on disk are others.
        is_packed: bool,
    },
}

/// Opens a file.
///
/// # Errors
/// It cannot be opened or read, is a directory, is called `.parquet` and is not, or begins as files of other formats do.
pub(super) fn open(path: &Path) -> Result<Opened> {
    if fs::is_dir(path) {
        return Err(Error::input(path.display().to_string(), "is a directory, not a file", "give the files in it"));
    }
    let mut file = fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut head = Vec::new();
    file.by_ref().take(foreign::HEAD).read_to_end(&mut head).map_err(|e| Error::io(path, e))?;
    file.rewind().map_err(|e| Error::io(path, e))?;
    if head.starts_with(b"PAR1") {
        return Ok(Opened::Parquet(file));
    }
    let at = path.display().to_string();
    if let Some(error) = foreign::binary(&at, &head) {
        return Err(error);
    }
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet")) {
        return Err(Error::input(at, "is not a parquet file", "fetch it again"));
    }
    let is_packed = head.starts_with(GZIP);
    let mut reader: Box<dyn BufRead + Send> = match is_packed {
        true => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(BufReader::new(file)))),
        false => Box::new(BufReader::with_capacity(BUFFER, file)),
    };
    let head = reader.fill_buf().map_err(|e| unreadable(path, e))?;
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    let is_list = head.trim_ascii_start().starts_with(b"[");
    if let Some(error) = foreign::binary(&at, head).or_else(|| foreign::text(&at, head).filter(|_| !is_list)) {
        return Err(error);
    }
    Ok(Opened::Json { reader, is_list, is_packed })
}

/// Makes sure that each file is there once.
///
/// # Errors
/// Two paths lead to the same file.
pub(super) fn named_once(paths: &[PathBuf]) -> Result<()> {
    let mut seen: HashMap<PathBuf, &PathBuf> = HashMap::new();
    for path in paths {
        // A file that is not there is named when it is opened.
        let file = fs::canonical(path).unwrap_or_else(|_| path.clone());
        if let Some(earlier) = seen.insert(file, path) {
            let problem = match earlier == path {
                true => "is given twice".to_owned(),
                false => format!("is the same file as {}", earlier.display()),
            };
            return Err(Error::input(path.display().to_string(), problem, "give each file once"));
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_once_however_it_is_spelled() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a.jsonl", "b.jsonl"].map(|name| folder.path().join(name));
        for path in [&a, &b] {
            std::fs::write(path, "{}").unwrap();
        }
        assert!(named_once(&[a.clone(), b.clone(), folder.path().join("nowhere")]).is_ok());
        let dotted = folder.path().join("./.").join("..").join(folder.path().file_name().unwrap()).join("a.jsonl");
        let error = named_once(&[a.clone(), b, dotted]).unwrap_err();
        let expected = format!("is the same file as {} (give each file once)", a.display());
        assert!(error.to_string().ends_with(&expected) && error.exit_code() == 2, "{error}");
        let error = named_once(&[a.clone(), a]).unwrap_err().to_string();
        assert!(error.contains("is given twice"), "{error}");
    }
}
