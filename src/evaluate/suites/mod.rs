//! Suites: files in their published formats, read into common items, and the scores of those items turned back into the
//! form that a benchmark counts.
//!
//! One small file per suite: `rewardbench`, `rewardbench2`, `mrewardbench`, `rmbench`, `rmb`, `judgebench`,
//! `ppe_human`, `ppe_correctness`, `arena`, `pairs`, `wildfb`. `files` finds the files of a folder, `fields` reads the
//! fields of rows, `own` the provenance of a user's own rows, and `transcript` conversations written as one text.

mod arena;
pub(super) mod fields;
pub(super) mod files;
mod judgebench;
mod mrewardbench;
mod own;
mod pairs;
mod ppe_correctness;
mod ppe_human;
mod rewardbench;
mod rewardbench2;
mod rmb;
mod rmbench;
#[cfg(test)]
mod tests;
mod transcript;
mod wildfb;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use self::fields::Fields;
use super::benchmarks::{Part, measure};
use crate::data::records::records;
use crate::data::{Content, ReadReport, Record};
use crate::statistics::{Bootstrap, Units};
use crate::{Error, Result};

/// The suites of `wgr eval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuiteName {
    /// RewardBench (arXiv 2403.13787).
    Rewardbench,
    /// RewardBench 2 (arXiv 2506.01937).
    Rewardbench2,
    /// M-RewardBench (arXiv 2410.15522).
    MRewardbench,
    /// RM-Bench (arXiv 2410.16184).
    Rmbench,
    /// RMB (arXiv 2410.09893).
    Rmb,
    /// JudgeBench (arXiv 2410.12784).
    Judgebench,
    /// PPE, human preference (arXiv 2410.14872).
    PpeHuman,
    /// PPE, correctness (arXiv 2410.14872).
    PpeCorrectness,
    /// Votes of Chatbot Arena (arXiv 2403.04132).
    Arena,
    /// Preference pairs of one's own.
    Pairs,
    /// Rated responses: WildFB, or rows of `wgr extract`.
    Wildfb,
}

impl SuiteName {
    /// All suites, in the order they are described.
    pub const ALL: [Self; 11] = [
        Self::Rewardbench,
        Self::Rewardbench2,
        Self::MRewardbench,
        Self::Rmbench,
        Self::Rmb,
        Self::Judgebench,
        Self::PpeHuman,
        Self::PpeCorrectness,
        Self::Arena,
        Self::Pairs,
        Self::Wildfb,
    ];

    /// The name on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rewardbench => "rewardbench",
            Self::Rewardbench2 => "rewardbench2",
            Self::MRewardbench => "m-rewardbench",
            Self::Rmbench => "rmbench",
            Self::Rmb => "rmb",
            Self::Judgebench => "judgebench",
            Self::PpeHuman => "ppe-human",
            Self::PpeCorrectness => "ppe-correctness",
            Self::Arena => "arena",
            Self::Pairs => "pairs",
            Self::Wildfb => "wildfb",
        }
    }
}

impl fmt::Display for SuiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SuiteName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|suite| suite.as_str() == name).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|suite| suite.as_str()).collect();
            format!("there is no suite {name:?}; there are {}", known.join(", "))
        })
    }
}

/// A row of a suite: responses to score, and what is known of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Unique in its suite.
    pub id: String,
    /// The id that its row has in its file; differs where such ids are unique within a part of the suite only.
    pub own_id: String,
    /// Its file and row, for errors.
    pub place: String,
    /// The responses to score, in the order of score files. Texts and chats, never pairs.
    pub responses: Vec<Content>,
    /// Which responses are right; empty where they are rated instead, and where people saw no difference.
    pub correct: Vec<bool>,
    /// The pairs to compare, as places of the better and the worse response.
    pub pairs: Vec<[usize; 2]>,
    /// The rating of the one response, from 1.
    pub label: Option<u32>,
    /// Items of the same unit (a prompt, a conversation, a user) are drawn together.
    pub unit: String,
    /// The subset, source or file it belongs to.
    pub source: String,
    /// The language, where the row names it.
    pub language: Option<String>,
    /// The user, where the row names one.
    pub user: Option<String>,
}

impl Item {
    /// An item whose responses all continue the same prompt.
    fn of_prompt(id: String, fields: &Fields, prompt: &str, responses: Vec<String>, source: String) -> Self {
        Self {
            own_id: id.clone(),
            id,
            place: fields.place().to_owned(),
            unit: prompt.to_owned(),
            responses: responses.into_iter().map(|response| fields::chat(prompt, response)).collect(),
            correct: vec![],
            pairs: vec![],
            label: None,
            source,
            language: None,
            user: None,
        }
    }

    /// Says of two responses which one is better, 0 or 1.
    fn decided_for(mut self, better: usize) -> Self {
        self.correct = vec![better == 0, better == 1];
        self.pairs = vec![[better, 1 - better]];
        self
    }
}

/// The response that a content ends with; of a plain text, all of it.
pub fn response(content: &Content) -> &str {
    match content {
        Content::Chat(exchange) => &exchange.response.content,
        Content::Text(text) => text,
        // Items hold no pairs.
        Content::Pair(_) => "",
    }
}

/// The query that a content's response answers; nothing for a plain text.
pub fn query(content: &Content) -> &str {
    match content {
        Content::Chat(exchange) => &exchange.query.content,
        Content::Text(_) | Content::Pair(_) => "",
    }
}

/// A suite that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    /// Which one.
    pub name: SuiteName,
    /// The files it was read from.
    pub files: Vec<PathBuf>,
    /// Its items, in the order of the files.
    pub items: Vec<Item>,
    /// Rows that the suite leaves out, by what is the matter with them.
    pub left_out: BTreeMap<&'static str, usize>,
    /// Counts of irregularities.
    pub report: ReadReport,
}

/// The reasons for which a suite leaves out rows, in the plural: the rows are or hold these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut(pub &'static str);

/// The item of a row, or why there is none.
type Row = std::result::Result<Item, LeftOut>;

impl Suite {
    /// Reads files, or the files of folders: JSON lists, JSONL, both also gzipped, and parquet.
    ///
    /// # Errors
    /// A missing, empty or damaged file, a row without a field the suite needs or with one it cannot have, and an id
    /// that is used twice; each names file and row.
    pub fn read(name: SuiteName, paths: &[PathBuf]) -> Result<Self> {
        let mut files = vec![];
        for path in paths {
            let found = files::find(path)?;
            files.extend(if name == SuiteName::Rmbench { rmbench::of_benchmark(found) } else { found });
        }
        let mut suite = Self { name, files, items: vec![], left_out: BTreeMap::new(), report: ReadReport::default() };
        let mut places: HashMap<String, String> = HashMap::new();
        let columns: &[&str] = if name == SuiteName::Arena { &arena::COLUMNS } else { &[] };
        for file in suite.files.clone() {
            let mut is_empty = true;
            for record in records(&file, columns)? {
                is_empty = false;
                let record = record?;
                let item = match item(name, &file, record, &mut suite.report)? {
                    Ok(item) => item,
                    Err(LeftOut(reason)) => {
                        *suite.left_out.entry(reason).or_default() += 1;
                        continue;
                    }
                };
                match places.entry(item.id.clone()) {
                    Entry::Vacant(free) => free.insert(item.place.clone()),
                    Entry::Occupied(taken) => {
                        let problem = format!("the id {:?} was already used at {}", item.id, taken.get());
                        return Err(Error::input(item.place, problem, "ids must be unique within a suite"));
                    }
                };
                suite.items.push(item);
            }
            if is_empty {
                return Err(Error::input(file.display().to_string(), "holds no rows", ""));
            }
        }
        if suite.items.is_empty() {
            let files: Vec<String> = suite.files.iter().map(|file| file.display().to_string()).collect();
            return Err(Error::input(files.join(", "), format!("holds nothing that {name} counts"), ""));
        }
        Ok(suite)
    }

    /// The benchmark's own results; `None` for suites of one's own data. One list of scores per item.
    pub fn benchmark(&self, scores: &[Vec<f64>], bootstrap: &Bootstrap) -> Option<Part> {
        let items = &self.items;
        match self.name {
            SuiteName::Rewardbench => Some(measure(&rewardbench::benchmark(items, scores), bootstrap)),
            SuiteName::Rewardbench2 => Some(measure(&rewardbench2::benchmark(items, scores), bootstrap)),
            SuiteName::MRewardbench => Some(measure(&mrewardbench::benchmark(items, scores), bootstrap)),
            SuiteName::Rmbench => Some(measure(&rmbench::benchmark(items, scores), bootstrap)),
            SuiteName::Rmb => Some(measure(&rmb::benchmark(items, scores), bootstrap)),
            SuiteName::Judgebench => Some(measure(&judgebench::benchmark(items, scores), bootstrap)),
            SuiteName::PpeHuman => Some(measure(&ppe_human::benchmark(items, scores), bootstrap)),
            SuiteName::PpeCorrectness => Some(measure(&ppe_correctness::benchmark(items, scores), bootstrap)),
            SuiteName::Arena => Some(measure(&arena::benchmark(items, scores), bootstrap)),
            SuiteName::Pairs | SuiteName::Wildfb => None,
        }
    }

    /// The items in which people saw no difference, and of which there are no pairs.
    pub fn ties(&self) -> usize {
        self.items.iter().filter(|item| item.correct.is_empty() && item.label.is_none()).count()
    }

    /// The units of the rows that some items stand for, one key a row.
    pub fn units<'a>(&'a self, items: impl IntoIterator<Item = usize> + 'a) -> Units {
        Units::grouped(items.into_iter().map(|item| self.items[item].unit.as_str()))
    }
}

/// Reads a row.
fn item(name: SuiteName, file: &Path, record: Record, report: &mut ReadReport) -> Result<Row> {
    if !matches!(name, SuiteName::Pairs | SuiteName::Wildfb) {
        // The reader of rows of one's own counts for itself.
        report.lone_surrogates += usize::from(record.mended);
    }
    match name {
        SuiteName::Rewardbench => rewardbench::item(Fields::new(record)).map(Ok),
        SuiteName::Rewardbench2 => rewardbench2::item(Fields::new(record)).map(Ok),
        SuiteName::MRewardbench => mrewardbench::item(file, Fields::new(record)).map(Ok),
        SuiteName::Rmbench => rmbench::item(file, Fields::new(record)).map(Ok),
        SuiteName::Rmb => rmb::item(Fields::new(record), report).map(Ok),
        SuiteName::Judgebench => judgebench::item(Fields::new(record)).map(Ok),
        SuiteName::PpeHuman => ppe_human::item(Fields::new(record)),
        SuiteName::PpeCorrectness => ppe_correctness::item(file, Fields::new(record)).map(Ok),
        SuiteName::Arena => arena::item(Fields::new(record), report),
        SuiteName::Pairs => pairs::item(file, record, report).map(Ok),
        SuiteName::Wildfb => wildfb::item(file, record, report).map(Ok),
    }
}
