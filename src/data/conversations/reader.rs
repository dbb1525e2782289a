//! The stream of windows: threads read files ahead, the reader puts their conversations in order.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};

use twox_hash::XxHash3_64;

use super::batch::{Batch, Sink};
use super::conversation::Conversation;
use super::irregular::{Irregular, Reason};
use super::json::JsonFile;
use super::{files, json, parquet};
use crate::data::opened::{Opened, named_once, open};
use crate::data::read_report::ReadReport;
use crate::{Error, Result};

/// Batches that a thread is ahead of the reader.
const AHEAD: usize = 2;
/// A window is full at this many rows, or this much text.
const WINDOW_ROWS: usize = 4096;
const WINDOW_TEXT: usize = 32 << 20;
/// More threads than this read faster than any later stage.
const MOST_THREADS: usize = 4;

/// Consecutive conversations.
#[derive(Debug, Default)]
pub struct Window {
    /// Those that can be used.
    pub conversations: Vec<Arc<Conversation>>,
    /// Those that cannot.
    pub irregular: Vec<Irregular>,
    /// Bytes of input they take.
    pub bytes_read: u64,
}

/// The unit that a thread reads at a time: a row group, or a whole JSON file.
struct Part {
    path: PathBuf,
    row_group: Option<usize>,
    was_found: bool,
    sink: Sink,
}

/// Conversations of many files, window by window.
#[derive(Debug)]
pub struct Reader {
    files: Vec<PathBuf>,
    total_bytes: u64,
    /// The rest of each part, in order, with the position of its file.
    parts: std::vec::IntoIter<(usize, Receiver<Result<Batch>>)>,
    current: Option<(usize, Receiver<Result<Batch>>)>,
    /// Hashes of the ids of the file that is read now, and of those before.
    seen: HashSet<u64>,
    seen_before: HashSet<u64>,
    /// Counts of harmless irregularities so far.
    pub report: ReadReport,
}

impl Reader {
    /// Finds the files of `paths`, looks into each, and begins to read.
    ///
    /// # Errors
    /// A path without files of conversations; a file that is named twice, or cannot be opened; parquet that is damaged or has
    /// no column of conversations.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        let files = files::find(paths)?;
        named_once(&files)?;
        let (mut parts, mut receivers, mut total_bytes) = (vec![], vec![], 0);
        let mut report = ReadReport::default();
        for (place, path) in files.iter().enumerate() {
            total_bytes += std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
            let row_groups: Vec<Option<usize>> = match open(path)? {
                Opened::Parquet(file) => (0..parquet::row_groups(path, file, &mut report)?).map(Some).collect(),
                Opened::Json { .. } => vec![None],
            };
            for row_group in row_groups {
                let (sender, receiver) = sync_channel(AHEAD);
                let was_found = !paths.contains(path);
                parts.push(Part { path: path.clone(), row_group, was_found, sink: Sink(sender) });
                receivers.push((place, receiver));
            }
        }
        read_ahead(parts);
        Ok(Self {
            files,
            total_bytes,
            parts: receivers.into_iter(),
            current: None,
            seen: HashSet::new(),
            seen_before: HashSet::new(),
            report,
        })
    }

    /// The files, in the order they are read.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The size of all files.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    fn next_batch(&mut self) -> Option<Result<Batch>> {
        loop {
            if let Some(batch) = self.current.as_ref().and_then(|(_, part)| part.recv().ok()) {
                return Some(batch);
            }
            let (next, before) = (self.parts.next()?, self.current.as_ref().map(|(file, _)| *file));
            if before != Some(next.0) {
                self.seen_before.extend(self.seen.drain());
            }
            self.current = Some(next);
        }
    }

    /// An id that no other conversation has: the name of the file is put before one that an earlier file has, too. `None`
    /// where a conversation of the same file has it.
    fn unique(&mut self, id: String) -> Option<String> {
        let file = self.current.as_ref().map(|(file, _)| self.files[*file].clone()).unwrap_or_default();
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        for candidate in [id.clone(), format!("{stem}/{id}"), format!("{}/{id}", file.display())] {
            let hash = XxHash3_64::oneshot(candidate.as_bytes());
            if self.seen_before.contains(&hash) {
                continue;
            }
            if !self.seen.insert(hash) {
                return None;
            }
            if candidate != id {
                *self.report.shared_ids.entry(file.display().to_string()).or_default() += 1;
            }
            return Some(candidate);
        }
        None
    }

    fn add(&mut self, window: &mut Window, row: Result<Conversation, Irregular>) {
        let conversation = match row {
            Ok(conversation) => conversation,
            Err(irregular) => return window.irregular.push(irregular),
        };
        let id = conversation.id.clone();
        match self.unique(conversation.id) {
            Some(id) => window.conversations.push(Arc::new(Conversation { id, ..conversation })),
            None => window.irregular.push(Irregular {
                place: id.clone(),
                problem: format!("the id {id} was already used"),
                id: Some(id),
                reason: Reason::RepeatedConversation,
            }),
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Window>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut window = Window::default();
        let (mut rows, mut text) = (0, 0);
        while rows < WINDOW_ROWS && text < WINDOW_TEXT {
            let batch = match self.next_batch() {
                Some(Ok(batch)) => batch,
                Some(Err(error)) => {
                    // Nothing after a damaged part is read.
                    (self.parts, self.current) = (vec![].into_iter(), None);
                    return Some(Err(error));
                }
                None => break,
            };
            rows += batch.rows.len();
            text += batch.text;
            window.bytes_read += batch.bytes_read;
            self.report += batch.report;
            batch.rows.into_iter().for_each(|row| self.add(&mut window, row));
        }
        (rows > 0).then_some(Ok(window))
    }
}

/// Starts threads that read the parts in order, each as far ahead as its channel has room.
fn read_ahead(parts: Vec<Part>) {
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)).min(MOST_THREADS);
    let parts: Arc<Vec<Mutex<Option<Part>>>> = Arc::new(parts.into_iter().map(|part| Mutex::new(Some(part))).collect());
    let next = Arc::new(AtomicUsize::new(0));
    for _ in 0..threads {
        let (parts, next) = (parts.clone(), next.clone());
        std::thread::spawn(move || {
            while let Some(slot) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                // A thread takes each slot once; dropping the part closes its channel.
                let Some(part) = slot.lock().ok().and_then(|mut slot| slot.take()) else { continue };
                if let Err(error) = read_part(&part) {
                    // The reader may be gone, and then nobody needs the error.
                    let _ = part.sink.0.send(Err(error));
                }
            }
        });
    }
}

fn read_part(part: &Part) -> Result<()> {
    match (open(&part.path)?, part.row_group) {
        (Opened::Parquet(file), Some(row_group)) => parquet::read(&part.path, file, row_group, &part.sink),
        (Opened::Json { reader, is_list, is_packed }, None) => {
            let size = || std::fs::metadata(&part.path).map(|metadata| metadata.len()).unwrap_or_default();
            let packed = is_packed.then(size);
            let file = JsonFile { reader, is_list, packed, was_found: part.was_found };
            json::read(&part.path, file, &part.sink)
        }
        (Opened::Parquet(_), None) | (Opened::Json { .. }, Some(_)) => {
            Err(Error::input(part.path.display().to_string(), "was replaced while it was being read", "run again"))
        }
    }
}
