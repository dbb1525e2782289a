//! TensorBoard event files: scalar summaries, encoded by hand.
//!
//! A file is a sequence of TFRecords, each an `Event` protobuf message. Field numbers are those of
//! `tensorflow/core/util/event.proto` and `tensorflow/core/framework/summary.proto`; the framing is described in
//! TensorFlow's "TFRecord and tf.train.Example" guide.

use crate::files::fs;
use crate::{Error, Result};
use crc::{CRC_32_ISCSI, Crc};
use std::io::Write;
use std::path::{Path, PathBuf};
use web_time::{SystemTime, UNIX_EPOCH};

/// CRC-32C (Castagnoli), called ISCSI in the catalogue.
const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Appends scalar summaries to an event file of its own.
#[derive(Debug)]
pub(crate) struct TensorBoardWriter {
    path: PathBuf,
    file: fs::File,
}

impl TensorBoardWriter {
    /// Starts a new event file in `directory`, which is made if missing. A resumed run starts another one: TensorBoard
    /// reads all the files of a directory, in the order of their names, and lets later events win.
    ///
    /// # Errors
    /// The directory cannot be made or written to.
    pub(crate) fn create(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).map_err(|e| Error::io(directory, e))?;
        let now = wall_time();
        // Nanoseconds keep the name free when a run is resumed within the second.
        let name = format!("events.out.tfevents.{:010}.wgr.{:09}", now.trunc(), (now.fract() * 1e9) as u32);
        let path = directory.join(name);
        let file = fs::File::create_new(&path).map_err(|e| Error::io(&path, e))?;
        let mut writer = Self { path, file };
        writer.append(&header_event(now))?;
        Ok(writer)
    }

    /// Adds one value a tag at `step`, and flushes. Tags with a slash are grouped by TensorBoard: `train/loss`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn scalars<'a>(&mut self, step: u64, values: impl IntoIterator<Item = (&'a str, f64)>) -> Result<()> {
        self.append(&scalar_event(wall_time(), step, values))
    }

    /// The file being written.
    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn append(&mut self, event: &[u8]) -> Result<()> {
        self.file.write_all(&record(event)).and_then(|()| self.file.flush()).map_err(|e| Error::io(&self.path, e))
    }
}

/// Seconds since 1970; a clock set before that counts as 0.
fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

/// The checksum TFRecord stores: CRC-32C rotated right by 15 bits plus a constant, so that a record which itself holds
/// checksums does not look like its own.
fn masked_crc(bytes: &[u8]) -> u32 {
    CRC32C.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// length: u64, its checksum, the data, its checksum; all little-endian.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut out = Vec::with_capacity(data.len() + 16);
    out.extend(length);
    out.extend(masked_crc(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked_crc(data).to_le_bytes());
    out
}

/// `Event { wall_time = 1, file_version = 3 }`, which every file begins with.
fn header_event(wall_time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    field_fixed64(&mut event, 1, wall_time);
    field_bytes(&mut event, 3, b"brain.Event:2");
    event
}

/// `Event { wall_time = 1, step = 2, summary = 5 { value = 1 { tag = 1, simple_value = 2 }* } }`.
fn scalar_event<'a>(wall_time: f64, step: u64, values: impl IntoIterator<Item = (&'a str, f64)>) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in values {
        let mut entry = Vec::new();
        field_bytes(&mut entry, 1, tag.as_bytes());
        field_fixed32(&mut entry, 2, value as f32);
        field_bytes(&mut summary, 1, &entry);
    }
    let mut event = Vec::new();
    field_fixed64(&mut event, 1, wall_time);
    field_varint(&mut event, 2, step);
    field_bytes(&mut event, 5, &summary);
    event
}

/// A protobuf field key: the number and how the value is laid out (0 varint, 1 eight bytes, 2 counted, 5 four bytes).
fn key(out: &mut Vec<u8>, field: u64, wire_type: u64) {
    varint(out, field << 3 | wire_type);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn field_varint(out: &mut Vec<u8>, field: u64, value: u64) {
    key(out, field, 0);
    varint(out, value);
}

fn field_fixed64(out: &mut Vec<u8>, field: u64, value: f64) {
    key(out, field, 1);
    out.extend(value.to_le_bytes());
}

fn field_bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    key(out, field, 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

fn field_fixed32(out: &mut Vec<u8>, field: u64, value: f32) {
    key(out, field, 5);
    out.extend(value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
    #[test]
    fn crc32c_known_answers() {
        assert_eq!(CRC32C.checksum(b"123456789"), 0xe306_9283);
        assert_eq!(CRC32C.checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(CRC32C.checksum(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(masked_crc(b"123456789"), 0xe306_9283u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    #[test]
    fn varints_cross_the_byte_boundary() {
        for (value, expected) in [(0, &[0u8][..]), (127, &[127]), (128, &[0x80, 1]), (300, &[0xac, 2])] {
            let mut out = Vec::new();
            varint(&mut out, value);
            assert_eq!(out, expected);
        }
        let mut out = Vec::new();
        varint(&mut out, u64::MAX);
        assert_eq!(out.len(), 10);
    }

    /// The event message byte by byte, worked out from the field numbers.
    #[test]
    fn scalar_event_bytes() {
        let event = scalar_event(0.0, 300, [("a", 1.0)]);
        let expected = [
            &[0x09, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &[0x10, 0xac, 0x02],
            &[0x2a, 10, 0x0a, 8, 0x0a, 1, b'a', 0x15, 0, 0, 0x80, 0x3f],
        ]
        .concat();
        assert_eq!(event, expected);
    }

    /// Takes a file apart into the payloads of its records, checking both checksums.
    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_at(8);
            let (length_crc, rest) = rest.split_at(4);
            assert_eq!(length_crc, masked_crc(length).to_le_bytes());
            let (data, rest) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
            let (data_crc, rest) = rest.split_at(4);
            assert_eq!(data_crc, masked_crc(data).to_le_bytes());
            out.push(data.to_vec());
            bytes = rest;
        }
        out
    }

    #[test]
    fn a_file_holds_a_header_and_one_record_a_step() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = TensorBoardWriter::create(&directory.path().join("events")).unwrap();
        writer.scalars(1, [("train/loss", 0.5), ("train/grad_norm", 2.0)]).unwrap();
        writer.scalars(2, [("train/loss", 0.25)]).unwrap();
        let events = records(&std::fs::read(writer.path()).unwrap());
        assert_eq!(events.len(), 3);
        assert_eq!(events[0][9..], header_event(0.0)[9..]);
        for (event, expected) in events[1..].iter().zip([
            scalar_event(0.0, 1, [("train/loss", 0.5), ("train/grad_norm", 2.0)]),
            scalar_event(0.0, 2, [("train/loss", 0.25)]),
        ]) {
            // All but the wall time, which takes the nine bytes in front.
            assert_eq!(event[9..], expected[9..]);
        }
    }

    #[test]
    fn a_second_writer_does_not_touch_the_first_file() {
        let directory = tempfile::tempdir().unwrap();
        let first = TensorBoardWriter::create(directory.path()).unwrap();
        let second = TensorBoardWriter::create(directory.path()).unwrap();
        assert_ne!(first.path(), second.path());
    }
}
