//! Files that do not hold rows, recognized by their first bytes, so that an error can say what they are and what to do.

use crate::Error;
use crate::files::not_fetched;

/// Bytes at the beginning of a file that tell what it is.
pub(super) const HEAD: u64 = 512;

/// Formats by their first bytes, with what to do about them.
const FORMATS: [(&[u8], &str, &str); 6] = [
    (b"\x28\xB5\x2F\xFD", "is zstd-compressed", "decompress it: `zstd -d FILE`"),
    (b"PK\x03\x04", "is a zip archive", "unpack it: `unzip FILE`"),
    (b"BZh", "is bzip2-compressed", "decompress it: `bunzip2 FILE`"),
    (b"\xFD7zXZ\x00", "is xz-compressed", "decompress it: `unxz FILE`"),
    (b"7z\xBC\xAF\x27\x1C", "is a 7z archive", "unpack it: `7z x FILE`"),
    (b"\x04\x22\x4D\x18", "is lz4-compressed", "decompress it: `lz4 -d FILE`"),
];
/// How a text in UTF-16 begins, of either byte order.
const UTF16: [&[u8]; 2] = [b"\xFF\xFE", b"\xFE\xFF"];
/// The offset of a tar archive's magic number.
const TAR: (usize, &[u8]) = (257, b"ustar");

/// The error of a file, found at `at`, that is not text, or not the file it stands for.
pub(super) fn binary(at: &str, head: &[u8]) -> Option<Error> {
    let error = |problem: &str, hint: &str| Some(Error::input(at, problem, hint));
    if let Some((_, problem, hint)) = FORMATS.iter().find(|(magic, ..)| head.starts_with(magic)) {
        return error(problem, hint);
    }
    if head.get(TAR.0..).is_some_and(|rest| rest.starts_with(TAR.1)) {
        return error("is a tar archive", "unpack it: `tar -xf FILE`");
    }
    if UTF16.iter().any(|mark| head.starts_with(mark)) || is_unmarked_utf16(head) {
        return error("is UTF-16 text", "re-encode the file as UTF-8");
    }
    not_fetched(at, head)
}

/// Latin text in UTF-16 has a NUL in every other place.
fn is_unmarked_utf16(head: &[u8]) -> bool {
    let nul = |first: usize| head.iter().skip(first).step_by(2).all(|byte| *byte == 0);
    let text = |first: usize| head.iter().skip(first).step_by(2).all(|byte| *byte != 0);
    head.len() >= 8 && (nul(1) && text(0) || nul(0) && text(1))
}

/// The error of a text, found at `at`, that is not one object per line; `head` may end anywhere.
pub(super) fn text(at: &str, head: &[u8]) -> Option<Error> {
    let error = |problem: &str, hint: &str| Some(Error::input(at, problem, hint));
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let (first, second) = (lines.next()?, lines.next().unwrap_or_default());
    if first == b"{" && (second.starts_with(b"\"") || second.starts_with(b"}")) {
        return error("holds JSON objects that span several lines", "write one object per line: `jq -c . FILE`");
    }
    if !head.contains(&b'\n') && first.windows(3).any(|end| end == b"}\r{") {
        return error("ends its lines with carriage returns only", "convert them to line feeds: `tr '\\r' '\\n'`");
    }
    let has_object = head.split(|byte| *byte == b'\n').any(|line| line.trim_ascii_start().starts_with(b"{"));
    for (separator, name) in [(b',', "CSV"), (b'\t', "TSV")] {
        if first.contains(&separator) && !has_object {
            return error(&format!("looks like {name}"), "rows are parquet, JSONL, or one JSON list of objects");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_files_are_named_with_what_to_do() {
        let tar = [&[b'x'; 257][..], b"ustar"].concat();
        let utf16: Vec<u8> = "{\"id\": 1}".bytes().flat_map(|byte| [byte, 0]).collect();
        let reversed: Vec<u8> = utf16.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
        for (head, expected) in [
            (&b"\x28\xB5\x2F\xFD\x04"[..], "f: is zstd-compressed (decompress it: `zstd -d FILE`)"),
            (b"PK\x03\x04", "f: is a zip archive"),
            (b"BZh9", "f: is bzip2-compressed"),
            (b"\xFD7zXZ\x00", "f: is xz-compressed"),
            (b"7z\xBC\xAF\x27\x1C", "f: is a 7z archive"),
            (&tar, "f: is a tar archive"),
            (&utf16, "f: is UTF-16 text"),
            (&reversed, "f: is UTF-16 text"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "f: is a Git LFS pointer"),
        ] {
            let error = binary("f", head).map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with(expected), "{expected}: {error}");
        }
        for (head, expected) in [
            (&b"id,text,label\n1,hello,3\n"[..], "f: looks like CSV"),
            (b"id\ttext\n", "f: looks like TSV"),
            (b"{\n  \"text\": \"t\"\n}\n", "f: holds JSON objects that span several lines"),
            (b"{\"text\": \"t\"}\r{\"text\": \"t\"}\r", "f: ends its lines with carriage returns only"),
        ] {
            let error = text("f", head).map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn rows_are_not_foreign() {
        for head in [
            &b""[..],
            b"{}",
            b"{\"a\": 1,\t\"b\": 2}\r\n{}",
            b"{\nbroken",
            b"broken, but\n{\"a\": 1}\n",
            b"\0\0\0\0\0\0\0\0",
        ] {
            assert!(binary("f", head).is_none() && text("f", head).is_none(), "{head:?}");
        }
    }
}
