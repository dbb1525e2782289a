//! The annotator without judgement of its own: labels made elsewhere, by people or by another program.
//!
//! A label names a conversation and the number of the response it judges, by the user message after it. A turn without
//! a label is neutral, because published data sets list only the turns with feedback. Labels that match no turn are
//! counted and named.

mod category;
mod file;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(crate) use self::category::level_named;
pub(crate) use self::file::{Label, LabelFile, Labelled};
use super::account::{self, Named};
use super::prompt::shortened;
use super::{Annotator, LABELS, Refusal, Verdict, Verdicts};
use crate::data::{Conversation, Feedback};
use crate::extract::turn::Turn;
use crate::{Error, Event, Observer, Result};

/// The reason of the verdict on a turn without a label.
pub(crate) const NO_LABEL: &str = "no label";
/// Characters of an id that sentences show.
const ROOM: usize = 80;
/// The reason of the verdict on a refusal.
const NOT_JUDGED: &str = "not judged by labels";

/// Labels of a file.
#[derive(Debug)]
pub(crate) struct Labels {
    path: PathBuf,
    /// The labels of the file; those of conversations already seen are removed.
    file: LabelFile,
    /// The labels of the conversations of this window.
    window: HashMap<String, Labelled>,
    counts: account::Labels,
}

/// An output's record of the labels that its run began with.
#[derive(Debug, Serialize, Deserialize)]
struct Origin {
    file: String,
    /// [`LabelFile::hash`] in hexadecimal digits.
    hash: String,
}

impl Labels {
    /// Reads the labels.
    ///
    /// # Errors
    /// As [`LabelFile::read`].
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = LabelFile::read(path)?;
        let turns = file.turns();
        let mut counts = account::Labels {
            file: path.display().to_string(),
            rows: file.rows,
            turns,
            repeated: file.rows - turns,
            ..account::Labels::default()
        };
        let all = file.conversations.iter().flat_map(|(id, labelled)| labelled.iter().map(move |label| (id, label)));
        counts.contradicted = named(all.filter(|(_, (_, label))| label.contradicted));
        Ok(Self { path: path.to_owned(), file, window: HashMap::new(), counts })
    }

    /// Checks that the run resumed in `output` began with these labels.
    ///
    /// # Errors
    /// It began with others, or what it remembers of them cannot be read.
    pub(crate) fn check(&self, output: &Path) -> Result<()> {
        let path = output.join(LABELS);
        let Some(bytes) = crate::files::read_if_there(&path)? else { return Ok(()) };
        let origin: Origin = serde_json::from_slice(&bytes).map_err(|error| {
            let hint = "use `.force` to begin again";
            Error::input(path.display().to_string(), format!("cannot be read: {error}"), hint)
        })?;
        if origin.hash == self.hash() {
            return Ok(());
        }
        let at = format!("`.annotator_file` {}", self.path.display());
        let problem = format!("holds other labels than the run in {} began with, {}", output.display(), origin.file);
        Err(Error::input(at, problem, "go on with those, or use `.force` to begin again"))
    }

    /// Lets `output` remember these labels.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn remember(&self, output: &Path) -> Result<()> {
        let path = output.join(LABELS);
        let origin = Origin { file: self.path.display().to_string(), hash: self.hash() };
        let text = serde_json::to_string(&origin).map_err(|error| Error::io(&path, error.into()))?;
        crate::files::replace_file(&path, (text + "\n").as_bytes())
    }

    fn hash(&self) -> String {
        format!("{:032x}", self.file.hash)
    }

    fn label(&self, turn: &Turn) -> Option<&Label> {
        self.window.get(&turn.conversation.id)?.get(&(turn.number as u64))
    }
}

impl Annotator for Labels {
    fn name(&self) -> String {
        format!("file:{}", self.path.display())
    }

    fn window(&mut self, conversations: &[Arc<Conversation>], kept: &[&Turn]) {
        self.window.clear();
        for conversation in conversations {
            let Some((id, labelled)) = self.file.conversations.remove_entry(&conversation.id) else { continue };
            let turns: Vec<u64> = Turn::of(conversation).iter().map(|turn| turn.number as u64).collect();
            let misplaced = named(labelled.iter().filter(|(turn, _)| !turns.contains(turn)).map(|label| (&id, label)));
            self.counts.filtered += labelled.len() as u64 - misplaced.count;
            self.counts.misplaced.extend(misplaced);
            self.window.insert(id, labelled);
        }
        let judged = kept.iter().filter(|turn| self.label(turn).is_some()).count() as u64;
        self.counts.judged += judged;
        self.counts.filtered -= judged;
        self.counts.unlabelled += kept.len() as u64 - judged;
    }

    fn feedback<'a>(&'a mut self, turns: &'a [&'a Turn], observer: &'a mut dyn Observer) -> Verdicts<'a, Feedback> {
        let verdict = |turn: &&Turn| match self.label(turn) {
            Some(label) => given(label.level, &label.reason),
            None => given(Feedback::Neutral, NO_LABEL),
        };
        let verdicts = turns.iter().map(verdict).collect();
        observer.on(Event::Annotated { done: turns.len(), total: turns.len() });
        Box::pin(ready(Ok(verdicts)))
    }

    /// Labels say nothing of what is unsafe.
    fn refusals<'a>(&'a mut self, turns: &'a [&'a Turn], _: &'a mut dyn Observer) -> Verdicts<'a, Refusal> {
        Box::pin(ready(Ok(vec![given(Refusal::Unjudged, NOT_JUDGED); turns.len()])))
    }

    fn labels(&self) -> Option<account::Labels> {
        let left = self.file.conversations.iter();
        let unknown = named(left.flat_map(|(id, labelled)| labelled.iter().map(move |label| (id, label))));
        Some(account::Labels { unknown, ..self.counts.clone() })
    }
}

fn given<T>(value: T, reason: &str) -> Verdict<T> {
    Verdict::Given { value, reason: reason.into(), confidence: None }
}

/// Counts turns, and names those that stand first in the file.
fn named<'a>(labels: impl Iterator<Item = (&'a String, (&'a u64, &'a Label))>) -> Named {
    let mut labels: Vec<_> = labels.map(|(id, (turn, label))| (label.row, *turn, id)).collect();
    labels.sort_unstable();
    let mut named = Named { count: labels.len() as u64, examples: vec![] };
    let shown = labels.iter().take(Named::EXAMPLES);
    named.examples =
        shown.map(|(row, turn, id)| format!("turn {turn} of {} (row {row})", shortened(id, ROOM))).collect();
    named
}
