//! The output of `wgr generate`: rows are saved as they finish, and put in order at the end.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::text::Finish;
use crate::files::staged;
use crate::store::{Key, Store};
use crate::{Error, Result};

/// A completion as the output holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The id of its prompt.
    pub id: String,
    /// Its number among the completions of the prompt, from 0.
    pub sample: usize,
    /// Its text, without special tokens and up to a stop string.
    pub text: String,
    /// Tokens drawn, the one that ended it included.
    pub tokens: usize,
    /// Why it ended.
    pub finish_reason: Finish,
    /// With the same prompt and settings it draws this completion alone.
    pub seed: u64,
}

/// The destination of rows.
pub(super) struct Output {
    path: PathBuf,
    /// Rows that have ended, by what was asked; goes when the output is complete.
    partial: Store<Row>,
}

/// The file of rows that have ended, beside the output.
fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

impl Output {
    /// Opens an output.
    ///
    /// # Errors
    /// It exists, whole or in part, and is neither to be replaced nor resumed; it cannot be written.
    pub(super) fn open(path: &Path, resume: bool, force: bool) -> Result<Self> {
        let at = format!("`.output` {}", path.display());
        let partial = partial_path(path);
        if path.exists() && !force && !resume {
            return Err(Error::input(at, "already exists", "use `.force` to replace it"));
        }
        if path.exists() && resume && !partial.exists() {
            return Err(Error::input(at, "is complete", "use `.force` to replace it"));
        }
        if partial.exists() && !force && !resume {
            let problem = format!("{} has the completions of an interrupted run", partial.display());
            return Err(Error::input(at, problem, "use `.resume` to continue, or `.force` to start over"));
        }
        // An output that cannot be written should not be noticed after hours.
        drop(staged(path)?);
        if force && partial.exists() {
            std::fs::remove_file(&partial).map_err(|e| Error::io(&partial, e))?;
        }
        Ok(Self { path: path.to_owned(), partial: Store::open(&partial)? })
    }

    /// The row that answers this already.
    ///
    /// # Errors
    /// The file of kept rows cannot be read.
    pub(super) fn get(&mut self, key: Key) -> Result<Option<Row>> {
        self.partial.get(key)
    }

    /// Keeps a row; it survives whatever happens next.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn keep(&mut self, key: Key, row: &Row) -> Result<()> {
        self.partial.append(&[(key, row.id.clone(), row.clone())])
    }

    /// Writes all rows in their order.
    ///
    /// # Errors
    /// The disk is full; the rows kept stay.
    pub(super) fn complete(self, rows: &[Row]) -> Result<()> {
        let failed = |e| Error::io(&self.path, e);
        let mut out = std::io::BufWriter::new(staged(&self.path)?);
        for row in rows {
            serde_json::to_writer(&mut out, row).map_err(|e| failed(e.into()))?;
            out.write_all(b"\n").map_err(failed)?;
        }
        let file = out.into_inner().map_err(|e| failed(e.into_error()))?;
        file.persist(&self.path).map_err(failed)?;
        let partial = partial_path(&self.path);
        drop(self.partial);
        std::fs::remove_file(&partial).map_err(|e| Error::io(&partial, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(sample: usize) -> Row {
        let id = "a".to_owned();
        Row { id, sample, text: "t".into(), tokens: 2, finish_reason: Finish::Stop, seed: 7 }
    }

    #[test]
    fn rows_of_an_interrupted_run_are_there_for_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let mut output = Output::open(&path, false, false).unwrap();
        output.keep(5, &row(1)).unwrap();
        drop(output);
        let refused = Output::open(&path, false, false).err().unwrap().to_string();
        assert!(refused.contains("out.jsonl.partial") && refused.contains("`.resume`"), "{refused}");
        let mut output = Output::open(&path, true, false).unwrap();
        assert_eq!((output.get(5).unwrap(), output.get(6).unwrap()), (Some(row(1)), None));
        output.complete(&[row(0), row(1)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = r#"{"id":"a","sample":0,"text":"t","tokens":2,"finish_reason":"stop","seed":7}"#;
        assert_eq!(text.lines().next(), Some(expected));
        assert_eq!((text.lines().count(), partial_path(&path).exists()), (2, false));
        for (resume, force) in [(false, false), (true, false)] {
            assert!(Output::open(&path, resume, force).err().unwrap().to_string().contains("`.force`"));
        }
        assert_eq!(Output::open(&path, false, true).unwrap().get(5).unwrap(), None);
        assert!(path.exists(), "what is to be replaced stays until then");
    }
}
