//! Answers that cost money or time, kept in an append-only file: verdicts of annotators, scores of models.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The key of a question: a hash of everything that the answer depends on.
pub(crate) type Key = u128;

/// An answer as the file holds it.
#[derive(Debug, Serialize, Deserialize)]
struct Line<A> {
    /// The key in hexadecimal digits.
    key: String,
    /// The first use of the answer, for people who read the file.
    id: String,
    answer: A,
}

/// The answers of an output.
#[derive(Debug)]
pub(crate) struct Store<A> {
    path: PathBuf,
    file: File,
    end: u64,
    /// The end of the answers of earlier runs.
    earlier: u64,
    /// The offset of each answer's line, and its length.
    places: HashMap<Key, (u64, usize)>,
    answers: PhantomData<A>,
}

impl<A: Serialize + DeserializeOwned + Clone> Store<A> {
    /// Opens the file, or an empty one. A last line that a killed run left unfinished is removed; a line that is not an
    /// answer is skipped, so that it is asked for again.
    ///
    /// # Errors
    /// The file cannot be read or written, or another run writes to it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = |e| Error::io(path, e);
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(Error::input(
                path.display().to_string(),
                "is not a file",
                "answers are kept there: move it away",
            ));
        }
        // Two runs that write to one file would each lose track of where the other's lines begin. Where files cannot be
        // locked, that is left to the user.
        if matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)) {
            return Err(Error::input(
                path.display().to_string(),
                "is being written by another run",
                "wait until that run has ended",
            ));
        }
        let mut reader = BufReader::new(&file);
        let mut places = HashMap::new();
        let mut end = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line).map_err(failed)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            if let Ok(Line { key, .. }) = serde_json::from_slice::<Line<A>>(&line)
                && let Ok(key) = Key::from_str_radix(&key, 16)
            {
                places.insert(key, (end, length));
            }
            end += length as u64;
        }
        file.set_len(end).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, end, earlier: end, places, answers: PhantomData })
    }

    /// The number of answers.
    pub(crate) fn count(&self) -> usize {
        self.places.len()
    }

    /// Whether there is an answer.
    pub(crate) fn contains(&self, key: Key) -> bool {
        self.places.contains_key(&key)
    }

    /// Whether an earlier run asked this.
    pub(crate) fn is_earlier(&self, key: Key) -> bool {
        self.places.get(&key).is_some_and(|(start, _)| *start < self.earlier)
    }

    /// The answer, if there is one.
    ///
    /// # Errors
    /// The file cannot be read, or someone else changed it.
    pub(crate) fn get(&mut self, key: Key) -> Result<Option<A>> {
        let Some(&(start, length)) = self.places.get(&key) else { return Ok(None) };
        let mut line = vec![0; length];
        let read = self.file.seek(SeekFrom::Start(start)).and_then(|_| self.file.read_exact(&mut line));
        read.map_err(|e| Error::io(&self.path, e))?;
        let line: Line<A> = serde_json::from_slice(&line).map_err(|e| Error::io(&self.path, e.into()))?;
        // Someone else may have changed the file: an answer to another question is none.
        Ok(Some(line.answer).filter(|_| line.key == hexadecimal(key)))
    }

    /// Appends answers; once this returns they survive a loss of power. A later answer replaces an earlier one.
    ///
    /// # Errors
    /// The disk is full. Answers stored before are not touched.
    pub(crate) fn append(&mut self, answers: &[(Key, String, A)]) -> Result<()> {
        let failed = |e| Error::io(&self.path, e);
        let mut text = Vec::new();
        let mut places = vec![];
        for (key, id, answer) in answers {
            let start = text.len();
            let line = Line { key: hexadecimal(*key), id: id.clone(), answer: answer.clone() };
            serde_json::to_writer(&mut text, &line).map_err(|e| failed(e.into()))?;
            text.push(b'\n');
            places.push((*key, (self.end + start as u64, text.len() - start)));
        }
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line must not stand before the next one.
            let _ = self.file.set_len(self.end);
            return Err(failed(error));
        }
        self.end += text.len() as u64;
        self.places.extend(places);
        Ok(())
    }
}

fn hexadecimal(key: Key) -> String {
    format!("{key:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(key: Key) -> (Key, String, String) {
        (key, format!("c:{key}"), format!("answer\n\"{key}\""))
    }

    #[test]
    fn answers_survive_and_a_torn_line_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let mut store = Store::<String>::open(&path).unwrap();
        store.append(&[answer(1), answer(u128::MAX)]).unwrap();
        store.append(&[answer(3)]).unwrap();
        drop(store);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut store = Store::<String>::open(&path).unwrap();
            let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(store.count(), lines, "cut at {cut}");
            store.append(&[answer(9)]).unwrap();
            assert_eq!(store.get(9).unwrap(), Some(answer(9).2));
            drop(store);
            assert_eq!(Store::<String>::open(&path).unwrap().count(), lines + 1);
        }
        std::fs::write(&path, &whole).unwrap();
        let mut store = Store::<String>::open(&path).unwrap();
        assert!(Store::<String>::open(&path).is_err(), "only one run writes at a time");
        assert_eq!(store.get(u128::MAX).unwrap(), Some(answer(u128::MAX).2));
        assert_eq!(store.get(2).unwrap(), None);
    }

    #[test]
    fn a_broken_line_costs_nothing_but_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        Store::<String>::open(&path).unwrap().append(&[answer(1), answer(2)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("nonsense\n{text}")).unwrap();
        let mut store = Store::<String>::open(&path).unwrap();
        assert_eq!((store.count(), store.get(2).unwrap()), (2, Some(answer(2).2)));
    }

    #[test]
    fn a_full_disk_costs_no_stored_answer() {
        let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
            println!("skipped: this system has no /dev/full");
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let mut store = Store::<String>::open(&path).unwrap();
        store.append(&[answer(1)]).unwrap();
        let file = std::mem::replace(&mut store.file, full);
        let error = store.append(&[answer(2)]).unwrap_err();
        assert!(error.to_string().contains("answers.jsonl") && error.exit_code() == 1, "{error}");
        store.file = file;
        assert_eq!((store.get(1).unwrap(), store.get(2).unwrap()), (Some(answer(1).2), None));
        assert!(Store::<String>::open(Path::new("/dev/full")).is_err());
    }

    #[test]
    fn a_later_answer_replaces_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let mut store = Store::<String>::open(&path).unwrap();
        store.append(&[(1, "c".into(), "first".into())]).unwrap();
        store.append(&[(1, "c".into(), "second".into())]).unwrap();
        assert_eq!(store.get(1).unwrap().as_deref(), Some("second"));
        drop(store);
        assert_eq!(Store::<String>::open(&path).unwrap().get(1).unwrap().as_deref(), Some("second"));
    }
}
