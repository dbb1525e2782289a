//! The verdicts of one annotator, read from the output of a run or from a file of labels.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::Value;

use crate::data::Feedback;
use crate::data::records::records;
use crate::extract::annotator::labels::{LabelFile, level_named};
use crate::extract::output::REPORT;
use crate::extract::stages::{FOLDER, TURNS, VERDICTS};
use crate::{Error, Result};

/// A verdict on a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    /// The level.
    pub level: Feedback,
    /// Why: the rule, the model's answer, or the category of a label.
    pub reason: String,
}

/// An annotator's verdicts.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdicts {
    /// The annotator, if the source names it.
    pub annotator: Option<String>,
    /// Verdicts by the id of the turn, `<conversation>:<turn>`.
    pub turns: HashMap<String, Judgement>,
}

impl Verdicts {
    /// Reads the output of a run, or a file of labels.
    ///
    /// # Errors
    /// A directory without a finished run, a file that holds no labels, or a damaged one.
    pub(super) fn read(path: &Path) -> Result<Self> {
        if path.is_dir() { Self::of_run(path) } else { Self::of_labels(path) }
    }

    /// The verdicts of the annotator itself, before mining and validation changed levels.
    fn of_run(output: &Path) -> Result<Self> {
        let (report, verdicts) = (output.join(REPORT), output.join(FOLDER).join(VERDICTS));
        if !report.exists() || !verdicts.exists() {
            let hint = "give the `.output` of a finished run of wgr extract, or a file of labels";
            return Err(Error::input(output.display().to_string(), "holds no finished run", hint));
        }
        let text = std::fs::read(&report).map_err(|e| Error::io(&report, e))?;
        let read: Value = serde_json::from_slice(&text)
            .map_err(|e| Error::input(report.display().to_string(), format!("is damaged: {e}"), "extract again"))?;
        let mut turns = HashMap::new();
        for record in records(&verdicts, &[])? {
            let record = record?;
            let text = |name: &str| record.fields.get(name).and_then(Value::as_str);
            let (Some(id), Some(level)) = (text("id"), text("level").and_then(level_named)) else {
                return Err(Error::input(record.place, "is not a verdict", "extract again"));
            };
            let reason = text("reason").unwrap_or_default().to_owned();
            turns.insert(id.to_owned(), Judgement { level, reason });
        }
        Ok(Self { annotator: read.get("annotator").and_then(Value::as_str).map(str::to_owned), turns })
    }

    fn of_labels(path: &Path) -> Result<Self> {
        let mut turns = HashMap::new();
        for (conversation, labelled) in LabelFile::read(path)?.conversations {
            for (turn, label) in labelled {
                let judgement = Judgement { level: label.level, reason: label.reason };
                turns.insert(format!("{conversation}:{turn}"), judgement);
            }
        }
        Ok(Self { annotator: None, turns })
    }
}

/// The user messages of these turns, as far as the outputs of runs have them.
///
/// # Errors
/// A file of a run is damaged.
pub(super) fn said(sources: [&Path; 2], turns: &HashSet<&str>) -> Result<HashMap<String, String>> {
    let mut said = HashMap::new();
    for path in sources.map(|source| source.join(FOLDER).join(TURNS)).into_iter().filter(|path| path.exists()) {
        for record in records(&path, &[])? {
            let fields = record?.fields;
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            if let (Some(id), Some(feedback)) = (text("id"), text("feedback"))
                && turns.contains(id)
            {
                said.insert(id.to_owned(), feedback.to_owned());
            }
        }
        if said.len() == turns.len() {
            break;
        }
    }
    Ok(said)
}
