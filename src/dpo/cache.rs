//! Log-probabilities of the reference model on disk, with everything they depend on: files computed for something else,
//! or damaged, are refused.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use crate::files::{read_if_there, replace_file};
use crate::store::Store;
use crate::{Error, Result};

use super::encode::TokenPair;

/// Everything that reference log-probabilities depend on; not β or the loss function. Hashes are hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Key {
    /// Weights, configuration and tokenizer of the reference.
    pub model: String,
    /// How the reference computes: in f32, or in mixed precision or on narrower weights as the policy.
    pub precision: String,
    /// The rows as they were given.
    pub data: String,
    /// The policy's tokenizer.
    pub tokenizer: String,
    /// The policy's chat template.
    pub template: String,
    /// The token limit.
    pub max_length: usize,
    /// The tokens that come of all that.
    pub tokens: String,
}

/// A hash as keys hold it.
pub(super) fn hash(bytes: &[u8]) -> String {
    format!("{:032x}", XxHash3_128::oneshot(bytes))
}

/// The hash of the tokens of pairs.
pub(super) fn hash_of_tokens(pairs: &[TokenPair]) -> String {
    let mut bytes: Vec<u8> = vec![];
    for side in pairs.iter().flat_map(TokenPair::sides) {
        bytes.extend((side.prompt as u64).to_le_bytes());
        bytes.extend((side.tokens.len() as u64).to_le_bytes());
        bytes.extend_from_slice(bytemuck::cast_slice(&side.tokens));
    }
    hash(&bytes)
}

/// The first line of a file.
#[derive(Serialize, Deserialize)]
struct Header {
    key: Key,
    /// A hash of all lines after this one.
    rows: String,
}

/// The line of a pair.
#[derive(Serialize, Deserialize)]
struct Line {
    id: String,
    chosen: f32,
    rejected: f32,
}

/// A file of reference log-probabilities.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    path: PathBuf,
}

impl Cache {
    /// The cache at a path, where there may be none yet.
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The log-probabilities of chosen and rejected for pairs, in their order; `None` where nothing is cached.
    ///
    /// # Errors
    /// The file was computed for something else, which is named, or is damaged.
    pub(super) fn read(&self, key: &Key, pairs: &[TokenPair]) -> Result<Option<Vec<[f32; 2]>>> {
        let Some(bytes) = read_if_there(&self.path)? else { return Ok(None) };
        let damaged = |what: String| {
            let hint = "remove the file to have the log-probabilities computed again";
            Error::input(self.path.display().to_string(), format!("is damaged: {what}"), hint)
        };
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("it has no header".into()))?;
        let header: Header = serde_json::from_slice(&bytes[..end]).map_err(|e| damaged(format!("header: {e}")))?;
        if let Some(other) = difference(&header.key, key) {
            let problem = format!("holds reference log-probabilities for {other}");
            let hint = "remove the file to compute them again, or choose another with `.reference_cache`";
            return Err(Error::input(self.path.display().to_string(), problem, hint));
        }
        let rows = &bytes[end + 1..];
        if header.rows != hash(rows) {
            return Err(damaged("its rows are not the ones that were written".into()));
        }
        let lines = rows.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let lines: Vec<Line> =
            lines.map(serde_json::from_slice).collect::<Result<_, _>>().map_err(|e| damaged(e.to_string()))?;
        let is_of_pairs = lines.len() == pairs.len() && lines.iter().zip(pairs).all(|(line, pair)| line.id == pair.id);
        let is_finite = lines.iter().all(|line| line.chosen.is_finite() && line.rejected.is_finite());
        if !is_of_pairs || !is_finite {
            return Err(damaged("its rows do not belong to the pairs".into()));
        }
        Ok(Some(lines.into_iter().map(|line| [line.chosen, line.rejected]).collect()))
    }

    /// The file for the log-probabilities of batches until those of all pairs are complete; each rank has its own.
    ///
    /// # Errors
    /// The disk fails, or another run computes them.
    pub(super) fn unfinished(&self, key: &Key, rank: usize) -> Result<Unfinished> {
        self.make_folder()?;
        let path = self.unfinished_path(rank);
        let key = serde_json::to_vec(key).map_err(|e| Error::io(&path, e.into()))?;
        Ok(Unfinished { store: Store::open(&path)?, key })
    }

    fn unfinished_path(&self, rank: usize) -> PathBuf {
        self.path.with_extension(if rank == 0 { "part.jsonl".to_owned() } else { format!("part-{rank}.jsonl") })
    }

    /// Removes the log-probabilities of batches that a rank has kept.
    ///
    /// # Errors
    /// The disk fails.
    pub(super) fn forget_unfinished(&self, rank: usize) -> Result<()> {
        let unfinished = self.unfinished_path(rank);
        match unfinished.exists() {
            true => std::fs::remove_file(&unfinished).map_err(|e| Error::io(unfinished, e)),
            false => Ok(()),
        }
    }

    fn make_folder(&self) -> Result<()> {
        match self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e)),
            None => Ok(()),
        }
    }

    /// Writes the log-probabilities of pairs, complete or not at all; those of batches are no longer needed then.
    ///
    /// # Errors
    /// The disk fails.
    pub(super) fn write(&self, key: &Key, pairs: &[TokenPair], log_probs: &[[f32; 2]]) -> Result<()> {
        let failed = |e: serde_json::Error| Error::io(&self.path, e.into());
        let mut rows = vec![];
        for (pair, [chosen, rejected]) in pairs.iter().zip(log_probs) {
            let line = Line { id: pair.id.clone(), chosen: *chosen, rejected: *rejected };
            serde_json::to_writer(&mut rows, &line).map_err(failed)?;
            rows.push(b'\n');
        }
        let mut file = serde_json::to_vec(&Header { key: key.clone(), rows: hash(&rows) }).map_err(failed)?;
        file.push(b'\n');
        file.extend(rows);
        self.make_folder()?;
        replace_file(&self.path, &file)?;
        self.forget_unfinished(0)
    }
}

/// Log-probabilities of batches of pairs, kept as they come.
pub(super) struct Unfinished {
    store: Store<Vec<[f32; 2]>>,
    key: Vec<u8>,
}

impl Unfinished {
    /// The log-probabilities of a batch, given by the places of its pairs, where an earlier run computed them. Whole
    /// batches, since other company may round otherwise.
    ///
    /// # Errors
    /// The disk fails.
    pub(super) fn get(&mut self, batch: &[usize]) -> Result<Option<Vec<[f32; 2]>>> {
        self.store.get(self.key_of(batch))
    }

    /// Keeps the log-probabilities of a batch; `id` is that of its first pair.
    ///
    /// # Errors
    /// The disk fails.
    pub(super) fn keep(&mut self, batch: &[usize], id: &str, log_probs: Vec<[f32; 2]>) -> Result<()> {
        self.store.append(&[(self.key_of(batch), id.to_owned(), log_probs)])
    }

    fn key_of(&self, batch: &[usize]) -> u128 {
        let places = batch.iter().flat_map(|place| (*place as u64).to_le_bytes());
        XxHash3_128::oneshot(&self.key.iter().copied().chain(places).collect::<Vec<u8>>())
    }
}

/// The difference of a cached key from the requested one.
fn difference(cached: &Key, asked: &Key) -> Option<String> {
    let parts = [
        (cached.model != asked.model, "another reference model".to_owned()),
        (cached.precision != asked.precision, format!("`.precision` {}", cached.precision)),
        (cached.data != asked.data, "other rows".to_owned()),
        (cached.tokenizer != asked.tokenizer, "another tokenizer".to_owned()),
        (cached.template != asked.template, "another chat template".to_owned()),
        (cached.max_length != asked.max_length, format!("`.max_length` {}", cached.max_length)),
        (cached.tokens != asked.tokens, "other tokens".to_owned()),
    ];
    parts.into_iter().find_map(|(differs, what)| differs.then_some(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs() -> Vec<TokenPair> {
        let pair = |id: &str, last: u32| TokenPair::new(id.into(), &[1, 2], [&[3, 9], &[last]]);
        vec![pair("a", 4), pair("b", 5), pair("\"c\"\n", 6)]
    }

    fn key() -> Key {
        let hash = |n: u8| super::hash(&[n]);
        Key {
            model: hash(1),
            precision: "f32".into(),
            data: hash(2),
            tokenizer: hash(3),
            template: hash(4),
            max_length: 64,
            tokens: hash_of_tokens(&pairs()),
        }
    }

    /// Values that decimal digits have to get right.
    const VALUES: [[f32; 2]; 3] = [[-0.1, -1.000_000_1], [-f32::MIN_POSITIVE, -3.402e38], [-16_777_217.0, 0.0]];

    fn cache(folder: &tempfile::TempDir) -> Cache {
        Cache::at(folder.path().join("within/reference.jsonl"))
    }

    #[test]
    fn what_is_written_is_read_back_bit_by_bit() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder);
        assert_eq!(cache.read(&key(), &pairs()).unwrap(), None);
        cache.write(&key(), &pairs(), &VALUES).unwrap();
        let read = cache.read(&key(), &pairs()).unwrap().unwrap();
        assert_eq!(
            read.concat().iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
            VALUES.concat().iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        );
    }

    #[test]
    fn batches_are_kept_until_all_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder);
        let other = Key { data: "0".into(), ..key() };
        cache.unfinished(&key(), 0).unwrap().keep(&[2, 0], "a", VALUES[..2].to_vec()).unwrap();
        let get = |key: &Key, batch: &[usize]| cache.unfinished(key, 0).unwrap().get(batch).unwrap();
        assert_eq!(get(&key(), &[2, 0]), Some(VALUES[..2].to_vec()));
        for (key, batch) in [(&key(), [0, 2]), (&key(), [2, 1]), (&other, [2, 0])] {
            assert_eq!(get(key, &batch), None);
        }
        cache.write(&key(), &pairs(), &VALUES).unwrap();
        assert_eq!(get(&key(), &[2, 0]), None);
    }

    #[test]
    fn what_was_computed_for_something_else_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder);
        cache.write(&key(), &pairs(), &VALUES).unwrap();
        type Change = fn(&mut Key);
        let cases: [(&str, Change); 7] = [
            ("another reference model", |k| k.model.push('0')),
            ("`.precision` f32", |k| k.precision = "mixed".into()),
            ("other rows", |k| k.data.push('0')),
            ("another tokenizer", |k| k.tokenizer.push('0')),
            ("another chat template", |k| k.template.push('0')),
            ("`.max_length` 64", |k| k.max_length = 32),
            ("other tokens", |k| k.tokens.push('0')),
        ];
        for (expected, change) in cases {
            let mut other = key();
            change(&mut other);
            let error = cache.read(&other, &pairs()).unwrap_err();
            assert!(error.to_string().contains(expected) && error.exit_code() == 2, "{error}");
        }
    }

    #[test]
    fn every_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder);
        cache.write(&key(), &pairs(), &VALUES).unwrap();
        let good = std::fs::read(cache.path()).unwrap();
        for place in 0..good.len() {
            let mut bytes = good.clone();
            bytes[place] ^= 1;
            std::fs::write(cache.path(), &bytes).unwrap();
            assert!(cache.read(&key(), &pairs()).is_err(), "byte {place}");
            std::fs::write(cache.path(), &good[..place]).unwrap();
            assert!(cache.read(&key(), &pairs()).is_err(), "cut at {place}");
        }
        std::fs::write(cache.path(), &good).unwrap();
        let mut renamed = pairs();
        renamed[1].id = "x".into();
        assert!(cache.read(&key(), &renamed).unwrap_err().to_string().contains("do not belong"));
    }
}
