//! The files of a machine, by the names that [`memory`](super::memory) has for those of a page.

pub(crate) use std::fs::{
    File, create_dir, create_dir_all, read, read_link, remove_dir_all, remove_file, rename, write,
};
pub(crate) use tempfile::TempDir;

use std::fs::OpenOptions;
use std::io::{Result, Write};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
#[cfg(unix)]
use memmap2::UncheckedAdvice;
use tempfile::NamedTempFile;

/// Whether there is a file or directory.
pub(crate) fn exists(path: impl AsRef<Path>) -> bool {
    path.as_ref().exists()
}

/// Whether there is a file.
pub(crate) fn is_file(path: impl AsRef<Path>) -> bool {
    path.as_ref().is_file()
}

/// Whether there is a directory.
pub(crate) fn is_dir(path: impl AsRef<Path>) -> bool {
    path.as_ref().is_dir()
}

/// The paths of what a directory holds, in any order.
pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    directory.read_dir()?.map(|entry| entry.map(|entry| entry.path())).collect()
}

/// The one path of a file or directory to which links and dots may lead.
pub(crate) fn canonical(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
}

/// A file that exists, opened for writing at its end.
pub(crate) fn append(path: &Path) -> Result<File> {
    OpenOptions::new().append(true).open(path)
}

/// A new directory in `parent` that goes when it is dropped.
pub(crate) fn temporary_directory(parent: &Path) -> Result<TempDir> {
    tempfile::Builder::new().prefix(".wgr-").tempdir_in(parent)
}

/// A temporary file that goes unless it is moved into place.
pub(crate) struct Staged(NamedTempFile);

impl Staged {
    /// A temporary file in the directory of `path`.
    pub(super) fn beside(path: &Path) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        // Temporary files are their owner's alone; these files are for others too, as far as the umask allows.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        builder.prefix(".wgr-").tempfile_in(directory).map(Self)
    }

    /// Waits until what is written is on the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.0.as_file().sync_all()
    }

    /// Moves it to `path`, in the place of what is there.
    pub(crate) fn persist(self, path: &Path) -> Result<()> {
        self.0.persist(path).map(drop).map_err(|e| e.error)
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

/// The bytes of a file through a memory map, so that what is larger than memory can be read piece by piece.
#[derive(Debug)]
pub(crate) struct Map(Mmap);

impl Map {
    /// Maps a file read-only.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the bytes are only read, as plain integers and floats without invalid values. Another process that
        // shortens the file while it is mapped can still end this one; the format leaves no way around that short of
        // copying whole checkpoints.
        Ok(Self(unsafe { Mmap::map(&file) }?))
    }

    /// Lets the pages of some bytes leave this process, for which they count as resident memory once they were read; reading
    /// them again fetches them again.
    #[cfg(unix)]
    pub(crate) fn release(&self, bytes: Range<usize>) {
        // SAFETY: what is lost is private changes to pages, and a file that is mapped for reading has none.
        let released = unsafe { self.0.unchecked_advise_range(UncheckedAdvice::DontNeed, bytes.start, bytes.len()) };
        // Without it the pages stay until the system needs their room.
        drop(released);
    }

    /// Nothing, where the system has no such advice.
    #[cfg(not(unix))]
    pub(crate) fn release(&self, _bytes: Range<usize>) {}
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
