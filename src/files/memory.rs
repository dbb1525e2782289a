//! Files in memory, for a page, which has no disk: those that were chosen in it, and those that the library writes.
//!
//! Every function does what that of [`disk`](super) or `std::fs` does that has its name. Paths are as on Unix, relative ones
//! begin at the root, and there are no links.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::ops::{Bound, Deref, Range};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// A file's bytes, or nothing for a directory.
type Node = Option<Arc<Vec<u8>>>;

/// Everything there is, by paths as [`plain`] makes them; the root is always there and is not listed.
static NODES: Mutex<BTreeMap<PathBuf, Node>> = Mutex::new(BTreeMap::new());

fn nodes() -> MutexGuard<'static, BTreeMap<PathBuf, Node>> {
    NODES.lock().expect("nothing panics under this lock")
}

/// A path from the root, without dots.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => drop(plain.pop()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    plain
}

fn node(path: &Path) -> Result<Node> {
    match plain(path) {
        root if root.as_os_str().is_empty() => Ok(None),
        path => nodes().get(&path).cloned().ok_or_else(|| ErrorKind::NotFound.into()),
    }
}

/// The bytes of a file, without a copy.
fn bytes(path: &Path) -> Result<Arc<Vec<u8>>> {
    node(path)?.ok_or_else(|| ErrorKind::IsADirectory.into())
}

/// Checks that a file or directory can be made at a path: there is a directory to hold it.
fn check_parent(path: &Path) -> Result<()> {
    match path.parent().map(node) {
        None => Err(ErrorKind::IsADirectory.into()),
        Some(Ok(None)) => Ok(()),
        Some(Ok(Some(_))) => Err(ErrorKind::NotADirectory.into()),
        Some(Err(error)) => Err(error),
    }
}

/// The paths of everything in a directory, at any depth.
fn within(nodes: &BTreeMap<PathBuf, Node>, directory: &Path) -> Vec<PathBuf> {
    let behind = nodes.range::<Path, _>((Bound::Excluded(directory), Bound::Unbounded));
    behind.map(|(path, _)| path).take_while(|path| path.starts_with(directory)).cloned().collect()
}

pub(crate) fn exists(path: impl AsRef<Path>) -> bool {
    node(path.as_ref()).is_ok()
}

pub(crate) fn is_file(path: impl AsRef<Path>) -> bool {
    matches!(node(path.as_ref()), Ok(Some(_)))
}

pub(crate) fn is_dir(path: impl AsRef<Path>) -> bool {
    matches!(node(path.as_ref()), Ok(None))
}

pub(crate) fn canonical(path: &Path) -> Result<PathBuf> {
    node(path).map(|_| Path::new("/").join(plain(path)))
}

pub(crate) fn read_link(_path: &Path) -> Result<PathBuf> {
    Err(ErrorKind::InvalidInput.into())
}

pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    if node(directory)?.is_some() {
        return Err(ErrorKind::NotADirectory.into());
    }
    let inner = plain(directory);
    let all = within(&nodes(), &inner);
    let direct =
        all.iter().filter_map(|path| path.strip_prefix(&inner).ok()).filter(|rest| rest.components().count() == 1);
    Ok(direct.map(|name| directory.join(name)).collect())
}

pub(crate) fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    bytes(path.as_ref()).map(|bytes| bytes.to_vec())
}

pub(crate) fn write(path: impl AsRef<Path>, content: impl Into<Vec<u8>>) -> Result<()> {
    let path = plain(path.as_ref());
    check_parent(&path)?;
    match nodes().entry(path).or_insert_with(|| Some(Arc::default())) {
        Some(bytes) => *bytes = Arc::new(content.into()),
        None => return Err(ErrorKind::IsADirectory.into()),
    }
    Ok(())
}

pub(crate) fn create_dir(path: &Path) -> Result<()> {
    if exists(path) {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let path = plain(path);
    check_parent(&path)?;
    nodes().insert(path, None);
    Ok(())
}

pub(crate) fn create_dir_all(path: &Path) -> Result<()> {
    if is_dir(path) {
        return Ok(());
    }
    let path = plain(path);
    path.parent().map_or(Ok(()), create_dir_all)?;
    create_dir(&path)
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    let (moved, to, from) = (node(from)?, plain(to), plain(from));
    check_parent(&to)?;
    let mut nodes = nodes();
    match (&moved, nodes.get(&to)) {
        (Some(_), Some(None)) => return Err(ErrorKind::IsADirectory.into()),
        (None, Some(_)) => return Err(ErrorKind::AlreadyExists.into()),
        _ => {}
    }
    for inner in within(&nodes, &from) {
        let node = nodes.remove(&inner).flatten();
        nodes.insert(to.join(inner.strip_prefix(&from).expect("it lies within")), node);
    }
    nodes.remove(&from);
    nodes.insert(to, moved);
    Ok(())
}

pub(crate) fn remove_file(path: &Path) -> Result<()> {
    bytes(path)?;
    nodes().remove(&plain(path));
    Ok(())
}

pub(crate) fn remove_dir_all(path: &Path) -> Result<()> {
    if node(path)?.is_some() {
        return Err(ErrorKind::NotADirectory.into());
    }
    let (mut nodes, path) = (nodes(), plain(path));
    for inner in within(&nodes, &path) {
        nodes.remove(&inner);
    }
    nodes.remove(&path);
    Ok(())
}

/// A name that nothing has yet.
fn temporary(parent: &Path) -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    parent.join(format!(".wgr-{}", NUMBER.fetch_add(1, Ordering::Relaxed)))
}

/// A directory that goes when it is dropped.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // Whoever has removed it before has done what this does.
        let _ = remove_dir_all(&self.0);
    }
}

pub(crate) fn temporary_directory(parent: &Path) -> Result<TempDir> {
    let path = temporary(parent);
    create_dir(&path)?;
    Ok(TempDir(path))
}

/// A file that is nowhere until it is moved into place.
#[derive(Debug, Default)]
pub(crate) struct Staged(Vec<u8>);

impl Staged {
    pub(super) fn beside(path: &Path) -> Result<Self> {
        check_parent(&plain(path)).map(|()| Self::default())
    }

    pub(crate) fn sync(&self) -> Result<()> {
        Ok(())
    }

    pub(crate) fn persist(self, path: &Path) -> Result<()> {
        write(path, self.0)
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A file that is read or written from a place in it on.
#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    place: usize,
}

impl File {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        bytes(path).map(|_| Self { path: plain(path), place: 0 })
    }

    pub(crate) fn create(path: impl AsRef<Path>) -> Result<Self> {
        write(&path, [])?;
        Self::open(path.as_ref())
    }

    pub(crate) fn create_new(path: &Path) -> Result<Self> {
        if exists(path) { Err(ErrorKind::AlreadyExists.into()) } else { Self::create(path) }
    }

    pub(crate) fn sync_all(&self) -> Result<()> {
        Ok(())
    }
}

pub(crate) fn append(path: &Path) -> Result<File> {
    bytes(path).map(|bytes| File { path: plain(path), place: bytes.len() })
}

impl Read for File {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        let bytes = bytes(&self.path)?;
        let count = bytes.get(self.place..).unwrap_or_default().read(out)?;
        self.place += count;
        Ok(count)
    }
}

impl Write for File {
    fn write(&mut self, new: &[u8]) -> Result<usize> {
        let mut nodes = nodes();
        let Some(Some(bytes)) = nodes.get_mut(&self.path) else { return Err(ErrorKind::NotFound.into()) };
        let bytes = Arc::make_mut(bytes);
        bytes.resize(bytes.len().max(self.place), 0);
        let replaced = new.len().min(bytes.len() - self.place);
        bytes[self.place..self.place + replaced].copy_from_slice(&new[..replaced]);
        bytes.extend_from_slice(&new[replaced..]);
        self.place += new.len();
        Ok(new.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => i128::from(place),
            SeekFrom::Current(by) => self.place as i128 + i128::from(by),
            SeekFrom::End(by) => bytes(&self.path)?.len() as i128 + i128::from(by),
        };
        self.place = usize::try_from(place).map_err(|_| Error::from(ErrorKind::InvalidInput))?;
        Ok(self.place as u64)
    }
}

/// The bytes of a file, which stay as they are now.
#[derive(Debug)]
pub(crate) struct Map(Arc<Vec<u8>>);

impl Map {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        bytes(path).map(Self)
    }

    pub(crate) fn release(&self, _bytes: Range<usize>) {}
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests;
