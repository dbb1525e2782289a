//! Suites: files in their published formats, read into common items, and the scores of those items turned back into the
//! form that a benchmark counts.

#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use super::benchmarks::Part;
use super::items::{LeftOut, files};
use crate::data::ReadReport;
use crate::data::records::records;
use crate::statistics::{Bootstrap, Units};
use crate::{Error, Result};

pub(super) use super::benchmarks::SuiteName;
pub(super) use super::items::{Item, query, response};

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

impl Suite {
    /// Reads files, or the files of folders: JSON lists, JSONL, both also gzipped, and parquet.
    ///
    /// # Errors
    /// A missing, empty or damaged file, a row without a field the suite needs or with one it cannot have, and an id
    /// that is used twice; each names file and row.
    pub fn read(name: SuiteName, paths: &[PathBuf]) -> Result<Self> {
        let definition = name.definition();
        let mut files = vec![];
        for path in paths {
            let found = files::find(path)?;
            files.extend((definition.files)(found));
        }
        let mut suite = Self { name, files, items: vec![], left_out: BTreeMap::new(), report: ReadReport::default() };
        let mut places: HashMap<String, String> = HashMap::new();
        for file in suite.files.clone() {
            let mut is_empty = true;
            for record in records(&file, definition.columns)? {
                is_empty = false;
                let record = record?;
                // The reader of rows of one's own counts for itself.
                if definition.measure.is_some() {
                    suite.report.lone_surrogates += usize::from(record.mended);
                }
                let item = match (definition.item)(&file, record, &mut suite.report)? {
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
        self.name.definition().measure.map(|measure| measure(&self.items, scores, bootstrap))
    }

    /// The items in which people saw no difference, and of which there are no pairs.
    pub fn ties(&self) -> usize {
        self.items.iter().filter(|item| item.correct.is_empty() && item.label.is_none()).count()
    }

    /// The units of the rows that some items stand for, one key per row.
    pub fn units<'a>(&'a self, items: impl IntoIterator<Item = usize> + 'a) -> Units {
        Units::grouped(items.into_iter().map(|item| self.items[item].unit.as_str()))
    }
}
