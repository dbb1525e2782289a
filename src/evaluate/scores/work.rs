//! The work to do: every distinct response of all suites, once.

use std::collections::HashSet;

use super::answer::Answer;
use crate::data::Content;
use crate::evaluate::suites::Suite;
use crate::store::{Key, Store};
use crate::{Error, Result};

/// A response to score.
pub(super) struct Job<'a> {
    /// The hash of everything that its score depends on.
    pub key: Key,
    /// The item it belongs to and, of several, its place from 1; for errors and for readers of stored scores.
    pub id: String,
    pub content: &'a Content,
}

/// All responses.
pub(super) struct Work<'a> {
    /// For each suite its responses, but those that came before.
    pub sets: Vec<Vec<Job<'a>>>,
    /// The key of each response of each item of each suite.
    keys: Vec<Vec<Vec<Key>>>,
}

impl<'a> Work<'a> {
    /// Looks through all suites; `key` hashes what a score depends on.
    pub(super) fn new(suites: &'a [Suite], key: impl Fn(&Content) -> Result<Key>) -> Result<Self> {
        let mut listed = HashSet::new();
        let mut work = Self { sets: vec![], keys: vec![] };
        for suite in suites {
            let (mut set, mut keys) = (vec![], vec![]);
            for item in &suite.items {
                let of_item = item.responses.iter().map(&key).collect::<Result<Vec<Key>>>()?;
                for (place, (&key, content)) in (1..).zip(of_item.iter().zip(&item.responses)) {
                    if listed.insert(key) {
                        let id = match item.responses.len() {
                            1 => item.id.clone(),
                            _ => format!("{}#{place}", item.id),
                        };
                        set.push(Job { key, id, content });
                    }
                }
                keys.push(of_item);
            }
            work.sets.push(set);
            work.keys.push(keys);
        }
        Ok(work)
    }

    /// The number of distinct responses.
    pub(super) fn len(&self) -> usize {
        self.sets.iter().map(Vec::len).sum()
    }

    /// The answers of a suite, all of which are in the store.
    ///
    /// Also what this run scored is read back, so that a report has the same bits whoever scored first.
    pub(super) fn answers(&self, suite: usize, store: &mut Store<Answer>) -> Result<Vec<Vec<Answer>>> {
        let mut answer = |key: &Key| {
            store
                .get(*key)?
                .ok_or_else(|| Error::run("a score that was stored is gone", "did another run use this output?"))
        };
        self.keys[suite].iter().map(|keys| keys.iter().map(&mut answer).collect()).collect()
    }
}
