//! Scores computed elsewhere: rows `{"pair_id" or "id", "scores": […]}`, or `{"id", "score"}` for suites with one
//! response per item, optionally with `probs` (P(y > k)).
//!
//! A row may name its `model`, each of which becomes a column, and its `suite`, where several suites use the same ids.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::answer::{Answer, Done, Scored};
use super::info::{ModelInfo, Origin};
use crate::data::records::records;
use crate::evaluate::items::{Fields, files};
use crate::evaluate::suites::{Item, Suite, SuiteName};
use crate::{Error, Observer, Result};

/// The scores of a model.
#[derive(Default)]
pub(super) struct Table {
    rows: HashMap<Name, Row>,
    /// How many probabilities rows hold, where they do.
    thresholds: Option<usize>,
}

/// The model and suite of a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    suite: Option<SuiteName>,
    id: String,
}

struct Row {
    place: String,
    answers: Vec<Answer>,
}

/// Reads files into one table per model, in the order in which models appear. A row without a model belongs to one that
/// is called as its file.
///
/// # Errors
/// A file that is missing, empty or broken, a row without an id or scores, a score that is not a finite number, and two
/// rows of one model for the same id.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<(ModelInfo, Table)>> {
    let mut tables: Vec<(String, String, Table)> = vec![];
    for path in paths {
        let mut is_empty = true;
        for record in records(path, &[])? {
            is_empty = false;
            let mut fields = Fields::new(record?);
            let model = fields.optional("model")?.unwrap_or_else(|| files::stem(path));
            let place = tables.iter().position(|(name, ..)| *name == model).unwrap_or_else(|| {
                tables.push((model, path.display().to_string(), Table::default()));
                tables.len() - 1
            });
            tables[place].2.insert(fields)?;
        }
        if is_empty {
            return Err(Error::input(path.display().to_string(), "holds no rows", ""));
        }
    }
    let named = |(name, source, table): (String, String, Table)| {
        let levels = table.thresholds.map(|thresholds| thresholds as u32 + 1);
        (ModelInfo { name, origin: Origin::File, source, objective: None, levels, reading: None }, table)
    };
    Ok(tables.into_iter().map(named).collect())
}

impl Table {
    fn insert(&mut self, mut fields: Fields) -> Result<()> {
        let id = match fields.optional("pair_id")? {
            Some(id) => id,
            None => fields.id("id")?,
        };
        let suite = fields.optional("suite")?.map(|name| name.parse()).transpose();
        let suite = suite.map_err(|problem: String| fields.wrong(problem, ""))?;
        let scores = match fields.numbers("scores")? {
            Some(scores) => scores,
            None => match fields.number("score")? {
                Some(score) => vec![score],
                None => {
                    return Err(
                        fields.wrong("the row has neither `scores` nor `score`", "missing scores are not replaced")
                    );
                }
            },
        };
        let probs = fields.numbers("probs")?.filter(|_| scores.len() == 1).unwrap_or_default();
        if probs.iter().any(|p| !(0.0..=1.0).contains(p)) {
            return Err(fields.wrong("`probs` holds a number outside 0..1", "probs are P(y > k)"));
        }
        let levels = if probs.is_empty() { None } else { Some(probs.len()) };
        if let (Some(found), Some(before)) = (levels, self.thresholds)
            && found != before
        {
            let problem = format!("`probs` holds {found} probabilities, but an earlier row {before}");
            return Err(fields.wrong(problem, "probs are P(y > k), one for each k of the model"));
        }
        self.thresholds = self.thresholds.or(levels);
        let answers = scores.into_iter().map(|score| Answer { score, probs: probs.clone() }).collect();
        match self.rows.entry(Name { suite, id }) {
            Entry::Vacant(free) => free.insert(Row { place: fields.place().to_owned(), answers }),
            Entry::Occupied(taken) => {
                let problem = format!("{:?} was already scored at {}", taken.key().id, taken.get().place);
                return Err(fields.wrong(problem, "a model has one row for each item"));
            }
        };
        Ok(())
    }

    pub(super) fn score(
        &self,
        model: &str,
        suites: &[Suite],
        observer: &mut dyn Observer,
        done: &mut Done<'_>,
    ) -> Result<()> {
        let mut used: HashSet<&str> = HashSet::new();
        for (place, suite) in suites.iter().enumerate() {
            let answers = self.answers(model, suite, &mut used);
            done(place, Scored { answers, truncation: None })?;
        }
        let unused = self.rows.values().filter(|row| !used.contains(row.place.as_str())).count();
        if unused > 0 {
            observer.note(&format!("{unused} rows with scores of {model} match no item of these suites"));
        }
        Ok(())
    }

    /// The scores of a suite. Rows are found by the id of an item, or by the id of its row in the suite's file where only
    /// one item has it.
    fn answers<'a>(&'a self, model: &str, suite: &Suite, used: &mut HashSet<&'a str>) -> Result<Vec<Vec<Answer>>> {
        let mut of_own: HashMap<&str, u32> = HashMap::new();
        suite.items.iter().for_each(|item| *of_own.entry(&item.own_id).or_default() += 1);
        let find = |id: &str| {
            let name = |suite| Name { suite, id: id.to_owned() };
            self.rows.get(&name(Some(suite.name))).or_else(|| self.rows.get(&name(None)))
        };
        let answers = |item: &Item| {
            let own = || find(&item.own_id).filter(|_| of_own[item.own_id.as_str()] == 1);
            let Some(row) = find(&item.id).or_else(own) else {
                let problem = format!("{} has no score of {model} for {:?}", suite.name, item.id);
                return Err(Error::input(&item.place, problem, "`.scores` must have every item of the suite"));
            };
            if row.answers.len() != item.responses.len() {
                let (found, needed) = (row.answers.len(), item.responses.len());
                let problem = format!("holds {found} scores, but {:?} has {needed} responses", item.id);
                return Err(Error::input(&row.place, problem, format!("the item is at {}", item.place)));
            }
            used.insert(&row.place);
            Ok(row.answers.clone())
        };
        suite.items.iter().map(answers).collect()
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
