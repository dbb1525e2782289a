//! Vectors on disk, in an append-only file.
//!
//! After a line that names the format come records: a key (16 bytes), the number of values (4 bytes), the values as f32
//! and a checksum of all this (8 bytes), everything little-endian. If a process is killed while writing, its last
//! record is truncated; a record that does not match its checksum is dropped with everything after it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_64;

use crate::{Error, Result};

/// The first line of a cache.
const FORMAT: &[u8] = b"wgr embeddings 1\n";
/// Bytes of a record before its values.
const HEADER: usize = 20;
/// Bytes of a record after its values.
const CHECKSUM: usize = 8;
/// More values than any vector has; a number beyond it is damage.
const MOST_VALUES: usize = 1 << 20;

/// The place of a key's values.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    values: u32,
}

/// A file of vectors. Only the places of the vectors are in memory.
#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    file: File,
    places: HashMap<u128, Place>,
    /// The offset of the next record.
    end: u64,
}

impl Cache {
    /// Opens a cache, or makes an empty one. A damaged end is cut off.
    ///
    /// # Errors
    /// The file cannot be read or written, or is something else.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |e| Error::io(path, e);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let mut cache = Self { path: path.to_owned(), file, places: HashMap::new(), end: FORMAT.len() as u64 };
        let mut reader = BufReader::with_capacity(1 << 20, cache.file.try_clone().map_err(failed)?);
        let mut format = Vec::new();
        reader.by_ref().take(FORMAT.len() as u64).read_to_end(&mut format).map_err(failed)?;
        if !FORMAT.starts_with(&format) {
            let problem = "is not a cache of embeddings that this version reads";
            return Err(Error::input(path.display().to_string(), problem, "move it away"));
        }
        if format.len() == FORMAT.len() {
            while let Some((key, values)) = read_record(&mut reader).map_err(failed)? {
                let place = Place { offset: cache.end + HEADER as u64, values };
                cache.places.insert(key, place);
                cache.end = place.offset + 4 * u64::from(values) + CHECKSUM as u64;
            }
        } else {
            cache.write(0, FORMAT)?;
        }
        cache.file.set_len(cache.end).map_err(failed)?;
        Ok(cache)
    }

    /// The vector of a key.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn get(&mut self, key: u128) -> Result<Option<Vec<f32>>> {
        let Some(Place { offset, values }) = self.places.get(&key).copied() else { return Ok(None) };
        let mut vector = vec![0f32; values as usize];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut vector);
        let read = self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.read_exact(bytes));
        read.map_err(|e| Error::io(&self.path, e))?;
        vector.iter_mut().for_each(|value| *value = f32::from_bits(u32::from_le(value.to_bits())));
        Ok(Some(vector))
    }

    /// Appends vectors; they are with the operating system when this returns.
    ///
    /// # Errors
    /// The file cannot be written. The cache then continues without these vectors.
    pub fn append<'a>(&mut self, rows: impl Iterator<Item = (u128, &'a [f32])>) -> Result<()> {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for (key, vector) in rows {
            let start = bytes.len();
            let place = Place { offset: self.end + (start + HEADER) as u64, values: vector.len() as u32 };
            places.push((key, place));
            bytes.extend(key.to_le_bytes());
            bytes.extend(place.values.to_le_bytes());
            bytes.extend(vector.iter().flat_map(|value| value.to_le_bytes()));
            let checksum = XxHash3_64::oneshot(&bytes[start..]);
            bytes.extend(checksum.to_le_bytes());
        }
        self.write(self.end, &bytes)?;
        self.end += bytes.len() as u64;
        self.places.extend(places);
        Ok(())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        let written = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.write_all(bytes));
        written.map_err(|e| Error::io(&self.path, e))
    }
}

/// Key and number of values of the next record; nothing at the end, or where the record is damaged.
fn read_record(reader: &mut impl Read) -> io::Result<Option<(u128, u32)>> {
    let mut record = vec![0; HEADER];
    if !read_all(reader, &mut record)? {
        return Ok(None);
    }
    let key = u128::from_le_bytes(std::array::from_fn(|i| record[i]));
    let values = u32::from_le_bytes(std::array::from_fn(|i| record[16 + i]));
    if values as usize > MOST_VALUES {
        return Ok(None);
    }
    record.resize(HEADER + 4 * values as usize + CHECKSUM, 0);
    if !read_all(reader, &mut record[HEADER..])? {
        return Ok(None);
    }
    let (content, checksum) = record.split_at(record.len() - CHECKSUM);
    let sound = checksum == XxHash3_64::oneshot(content).to_le_bytes();
    Ok(sound.then_some((key, values)))
}

/// Fills `bytes`; `false` if the file ends before.
fn read_all(reader: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [(u128, [f32; 3]); 3] =
        [(7, [0.1, -2.5, 3e-9]), (u128::MAX, [1.0, 0.0, f32::MIN_POSITIVE]), (8, [4.0, 5.0, 6.0])];

    fn filled(path: &Path) {
        let mut cache = Cache::open(path).unwrap();
        cache.append(ROWS[..1].iter().map(|(key, vector)| (*key, &vector[..]))).unwrap();
        cache.append(ROWS[1..].iter().map(|(key, vector)| (*key, &vector[..]))).unwrap();
    }

    fn held(path: &Path) -> Vec<Option<Vec<f32>>> {
        let mut cache = Cache::open(path).unwrap();
        ROWS.iter().map(|(key, _)| cache.get(*key).unwrap()).collect()
    }

    fn expected(count: usize) -> Vec<Option<Vec<f32>>> {
        ROWS.iter().enumerate().map(|(i, (_, vector))| (i < count).then(|| vector.to_vec())).collect()
    }

    #[test]
    fn vectors_come_back_to_the_bit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c");
        filled(&path);
        assert_eq!(held(&path), expected(3));
        assert_eq!(Cache::open(&path).unwrap().get(9).unwrap(), None);
    }

    #[test]
    fn a_file_cut_anywhere_keeps_its_whole_records_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c");
        filled(&path);
        let whole = std::fs::read(&path).unwrap();
        let record = (whole.len() - FORMAT.len()) / ROWS.len();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let count = length.saturating_sub(FORMAT.len()) / record;
            assert_eq!(held(&path), expected(count), "{length} bytes");
            let mut cache = Cache::open(&path).unwrap();
            cache.append([(9, &[7.0f32][..])].into_iter()).unwrap();
            drop(cache);
            assert_eq!(Cache::open(&path).unwrap().get(9).unwrap(), Some(vec![7.0]), "{length} bytes");
            assert_eq!(held(&path), expected(count), "{length} bytes");
        }
    }

    #[test]
    fn damage_is_never_read_as_a_vector() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c");
        filled(&path);
        let whole = std::fs::read(&path).unwrap();
        let record = (whole.len() - FORMAT.len()) / ROWS.len();
        for place in FORMAT.len()..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x10;
            std::fs::write(&path, &damaged).unwrap();
            assert_eq!(held(&path), expected((place - FORMAT.len()) / record), "byte {place}");
        }
        std::fs::write(&path, "something else entirely").unwrap();
        assert!(Cache::open(&path).unwrap_err().to_string().contains("is not a cache"));
        assert_eq!(std::fs::read(&path).unwrap(), b"something else entirely");
    }
}
