//! Files read through memory maps, so that a checkpoint larger than memory can be read tensor by tensor.

use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

use crate::files::{fs, not_fetched};
use crate::{Error, Result};

/// A file's bytes.
#[derive(Debug)]
pub(super) struct Mapped {
    path: PathBuf,
    map: fs::Map,
}

impl Mapped {
    /// Maps a file read-only.
    ///
    /// # Errors
    /// The file cannot be opened or mapped.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let map = fs::Map::open(path).map_err(|source| Error::io(path, source))?;
        match not_fetched(&path.display().to_string(), &map) {
            Some(error) => Err(error),
            None => Ok(Self { path: path.to_owned(), map }),
        }
    }

    /// Lets the pages of some bytes leave this process, for which they count as resident memory once they were read; reading
    /// them again fetches them again.
    pub(super) fn release(&self, bytes: Range<usize>) {
        self.map.release(bytes);
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

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// KiB of a mapped file that count as resident.
    fn resident(path: &Path) -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let name = path.to_str().unwrap();
        let mut lines = maps.lines().skip_while(|line| !line.ends_with(name));
        let rss = lines.find_map(|line| line.strip_prefix("Rss:")).expect("the file is mapped");
        rss.split_whitespace().next().unwrap().parse().unwrap()
    }

    #[test]
    fn bytes_that_were_released_are_not_resident_and_can_be_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("weights");
        std::fs::write(&path, vec![7; 4 << 20]).unwrap();
        let mapped = Mapped::open(&path).unwrap();
        let sum = || mapped.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        assert_eq!(sum(), 7 << 22);
        assert!(resident(&path) >= 4 << 10);
        mapped.release(0..4 << 20);
        assert!(resident(&path) < 1 << 10, "{} KiB", resident(&path));
        assert_eq!(sum(), 7 << 22);
    }
}
