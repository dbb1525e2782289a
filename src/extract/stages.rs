//! The rows after each stage, for people and for `wgr extract inspect`: one JSONL file per stage.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::annotator::{Refusal, Verdict};
use super::instance::Judged;
use crate::data::conversations::Irregular;
use crate::data::json;
use crate::{Error, Result};

/// The folder of an output that holds them.
pub(super) const FOLDER: &str = "stages";
/// The sheet that holds every turn.
pub(super) const TURNS: &str = "turns.jsonl";
/// The sheet that holds what the annotator said.
pub(super) const VERDICTS: &str = "verdicts.jsonl";
/// Rows turned into text at a time by a thread.
const CHUNK: usize = 128;

/// A JSONL file under a temporary name, until [`Sheet::finish`] moves it into place.
#[derive(Debug)]
pub(super) struct Sheet {
    path: PathBuf,
    part: PathBuf,
    out: BufWriter<File>,
}

impl Sheet {
    /// An empty sheet that will become `path`.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let part = part(path);
        let out = BufWriter::with_capacity(1 << 20, File::create(&part).map_err(|e| Error::io(&part, e))?);
        Ok(Self { path: path.to_owned(), part, out })
    }

    /// Appends the rows of `items`, turned into text on all cores, in order. An item without a row is left out.
    ///
    /// # Errors
    /// The disk is full, or a row cannot be made.
    pub(super) fn extend<'a, T: Sync, R: Serialize>(
        &mut self,
        items: &'a [T],
        row: impl Fn(&'a T) -> Result<Option<R>> + Sync,
    ) -> Result<()> {
        let failed = |e| Error::io(&self.part, e);
        let texts = items.par_chunks(CHUNK).map(|chunk| {
            let mut text = Vec::new();
            for item in chunk {
                if let Some(row) = row(item)? {
                    text.extend(json::written(&row).map_err(|e| failed(e.into()))?.into_bytes());
                    text.push(b'\n');
                }
            }
            Ok(text)
        });
        let texts: Vec<Vec<u8>> = texts.collect::<Result<_>>()?;
        texts.iter().try_for_each(|text| self.out.write_all(text)).map_err(failed)
    }

    /// Appends a line as it is, without its line end.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<()> {
        let written = self.out.write_all(line).and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|e| Error::io(&self.part, e))
    }

    /// Moves the sheet into place, and says where that is.
    ///
    /// # Errors
    /// The disk is full, or the file cannot be moved.
    pub(super) fn finish(mut self) -> Result<PathBuf> {
        self.out.flush().map_err(|e| Error::io(&self.part, e))?;
        std::fs::rename(&self.part, &self.path).map_err(|e| Error::io(&self.path, e))?;
        Ok(self.path)
    }
}

/// The temporary name of a file.
pub(super) fn part(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    part.into()
}

/// One sheet a stage.
#[derive(Debug)]
pub(super) struct Stages {
    irregular: Sheet,
    turns: Sheet,
    verdicts: Sheet,
    unparsable: Sheet,
    mined: Sheet,
    refusals: Sheet,
}

impl Stages {
    /// Empty sheets in the folder of an output.
    ///
    /// # Errors
    /// The folder or a file cannot be made.
    pub(super) fn create(output: &Path) -> Result<Self> {
        let folder = output.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
        let sheet = |name: &str| Sheet::create(&folder.join(name));
        Ok(Self {
            irregular: sheet("irregular.jsonl")?,
            turns: sheet(TURNS)?,
            verdicts: sheet(VERDICTS)?,
            unparsable: sheet("unparsable.jsonl")?,
            mined: sheet("mined.jsonl")?,
            refusals: sheet("refusals.jsonl")?,
        })
    }

    /// Appends what the stages found in a window.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn append(&mut self, irregular: &[Irregular], turns: &[Judged]) -> Result<()> {
        self.irregular.extend(irregular, |row| Ok(Some(row)))?;
        self.turns.extend(turns, |judged| Ok(Some(TurnRow::of(judged))))?;
        self.verdicts.extend(turns, |judged| Ok(VerdictRow::of(judged)))?;
        self.unparsable.extend(turns, |judged| Ok(UnparsableRow::of(judged)))?;
        self.mined.extend(turns, |judged| Ok(MinedRow::of(judged)))?;
        self.refusals.extend(turns, |judged| Ok(RefusalRow::of(judged)))?;
        Ok(())
    }

    /// Moves all sheets into place.
    ///
    /// # Errors
    /// As [`Sheet::finish`].
    pub(super) fn finish(self) -> Result<()> {
        let Self { irregular, turns, verdicts, unparsable, mined, refusals } = self;
        [irregular, turns, verdicts, unparsable, mined, refusals]
            .into_iter()
            .try_for_each(|sheet| sheet.finish().map(drop))
    }
}

/// `turns.jsonl`: every turn with the filter that dropped it, if one did.
#[derive(Serialize)]
struct TurnRow<'a> {
    id: String,
    conversation: &'a str,
    turn: u64,
    user: Option<&'a str>,
    language: Option<&'a str>,
    model: Option<&'a str>,
    dropped: Option<&'static str>,
    query: &'a str,
    response: &'a str,
    feedback: &'a str,
}

impl<'a> TurnRow<'a> {
    fn of(judged: &'a Judged) -> Self {
        let turn = &judged.turn;
        let conversation = &*turn.conversation;
        Self {
            id: turn.id(),
            conversation: &conversation.id,
            turn: turn.number as u64,
            user: conversation.user.as_deref(),
            language: conversation.language.as_deref(),
            model: conversation.model.as_deref(),
            dropped: judged.dropped.map(|filter| filter.name()),
            query: turn.query(),
            response: turn.response(),
            feedback: turn.feedback(),
        }
    }
}

/// `verdicts.jsonl`: the annotator's verdict about each turn.
#[derive(Serialize)]
struct VerdictRow<'a> {
    id: String,
    level: &'static str,
    reason: &'a str,
    confidence: Option<f32>,
}

impl<'a> VerdictRow<'a> {
    fn of(judged: &'a Judged) -> Option<Self> {
        let Some(Verdict::Given { value, reason, confidence }) = &judged.verdict else { return None };
        Some(Self { id: judged.turn.id(), level: value.name(), reason, confidence: *confidence })
    }
}

/// `unparsable.jsonl`: answers that are not verdicts, for either question.
#[derive(Serialize)]
struct UnparsableRow<'a> {
    id: String,
    answer: &'a str,
}

impl<'a> UnparsableRow<'a> {
    fn of(judged: &'a Judged) -> Option<Self> {
        let answer = match (&judged.verdict, &judged.validated) {
            (Some(Verdict::Unparsable { answer }), _) | (_, Some(Verdict::Unparsable { answer })) => answer,
            _ => return None,
        };
        Some(Self { id: judged.turn.id(), answer })
    }
}

/// `mined.jsonl`: neutral turns that took the level of a later one.
#[derive(Serialize)]
struct MinedRow {
    id: String,
    from: u64,
    level: &'static str,
    cosine: f32,
}

impl MinedRow {
    fn of(judged: &Judged) -> Option<Self> {
        let mined = judged.mined.as_ref()?;
        Some(Self { id: judged.turn.id(), from: mined.from as u64, level: mined.level.name(), cosine: mined.cosine })
    }
}

/// `refusals.jsonl`: responses that refuse, with the verdict where one was asked for.
#[derive(Serialize)]
struct RefusalRow<'a> {
    id: String,
    pattern: &'static str,
    level: Option<&'static str>,
    verdict: Option<Refusal>,
    reason: Option<&'a str>,
}

impl<'a> RefusalRow<'a> {
    fn of(judged: &'a Judged) -> Option<Self> {
        let (verdict, reason) = match &judged.validated {
            Some(Verdict::Given { value, reason, .. }) => (Some(*value), Some(reason.as_str())),
            _ => (None, None),
        };
        Some(Self {
            id: judged.turn.id(),
            pattern: judged.refusal?,
            level: judged.after_mining().map(|level| level.name()),
            verdict,
            reason,
        })
    }
}
