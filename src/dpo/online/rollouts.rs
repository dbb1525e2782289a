//! Completions with their rewards and log-probabilities, and the file to read them in.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use twox_hash::XxHash3_64;

use crate::data::{Completion, json};
use crate::{Error, Result};

/// The rollouts of training steps, within the output.
pub(super) const ROLLOUTS: &str = "rollouts.jsonl";
/// The rollouts for held-out prompts, within the output.
pub(super) const HELD_OUT: &str = "held_out.jsonl";

/// The role of a rollout in the pair of its prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    /// The best of its prompt.
    Chosen,
    /// The worst of its prompt.
    Rejected,
}

/// A completion; a row of `rollouts.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Rollout {
    /// The optimizer step it was drawn for, from 1; for held-out prompts the steps taken before.
    pub step: u64,
    /// Its prompt.
    pub prompt_id: String,
    /// Its number among those of the prompt, from 0.
    pub sample: usize,
    /// The prompt, as its file had it.
    pub prompt: Value,
    /// The text, without special tokens.
    pub text: String,
    /// The tokens of prompt and completion, the one that ended it included: a rollout carries its own prompt wherever it goes.
    #[serde(skip)]
    pub completion: Completion,
    /// Tokens of the completion.
    pub length: usize,
    /// Whether it ended before the limit.
    pub ended: bool,
    /// Its reward.
    pub reward: f64,
    /// Which side of a pair it is, if it is one.
    pub pair: Option<Side>,
    /// Its log-probability under the policy that said it.
    pub log_prob: f64,
    /// Its log-probability under the reference.
    pub reference_log_prob: f64,
    /// Mean entropy of the policy's distributions over its tokens.
    pub entropy: f64,
}

impl Rollout {
    /// The tokens sampled.
    pub(super) fn sampled(&self) -> &[u32] {
        &self.completion.tokens[self.completion.prompt..]
    }
}

/// The seed of one completion, which depends on nothing else: not on the batch, nor on what was sampled before. `round`
/// tells training steps and evaluations apart.
pub(super) fn seed(run: u64, round: &str, prompt_id: &str, sample: usize) -> u64 {
    XxHash3_64::oneshot(serde_json::json!([run, round, prompt_id, sample]).to_string().as_bytes())
}

/// Appends rollouts to a file, each step's in one write.
pub(super) struct RolloutWriter {
    path: PathBuf,
    file: File,
}

impl RolloutWriter {
    /// Starts the file, or continues with the rows whose step is kept. Others are dropped, as they are sampled again,
    /// and so is a truncated last line.
    ///
    /// # Errors
    /// The file cannot be read or written, or a line before the last is not a rollout; the file is then left unchanged.
    pub(super) fn open(directory: &Path, name: &str, keeps: Option<&dyn Fn(u64) -> bool>) -> Result<Self> {
        let path = directory.join(name);
        let lines = keeps.map(|keeps| Ok::<_, Error>((keeps, read_lines(&path)?))).transpose()?;
        let kept = lines.into_iter().flat_map(|(keeps, lines)| lines.into_iter().filter(move |(_, step)| keeps(*step)));
        let text: String = kept.map(|(line, _)| line + "\n").collect();
        crate::files::replace_file(&path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path).map_err(|e| Error::io(&path, e))?;
        Ok(Self { path, file })
    }

    /// Appends rollouts.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn write(&mut self, rollouts: &[Rollout]) -> Result<()> {
        let failed = |e| Error::io(&self.path, e);
        let mut text = vec![];
        for rollout in rollouts {
            text.extend(json::written(rollout).map_err(|e| failed(e.into()))?.into_bytes());
            text.push(b'\n');
        }
        self.file.write_all(&text).and_then(|()| self.file.flush()).map_err(failed)
    }
}

/// The rollouts of a file, for reports; a missing file holds none.
///
/// # Errors
/// The file cannot be read, or a line before the last is not a rollout.
pub(super) fn read(directory: &Path, name: &str) -> Result<Vec<Rollout>> {
    let path = directory.join(name);
    let parse = |(line, _): (String, u64)| match json::parse(line.as_bytes()) {
        Ok(parsed) => Ok(parsed.value),
        Err(fault) => Err(Error::input(path.display().to_string(), format!("holds no rollout: {fault}"), "")),
    };
    read_lines(&path)?.into_iter().map(parse).collect()
}

/// The lines of a file with their steps.
fn read_lines(path: &Path) -> Result<Vec<(String, u64)>> {
    let bytes = crate::files::read_if_there(path)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines().enumerate().peekable();
    let mut found = vec![];
    while let Some((index, line)) = lines.next() {
        match json::parse::<Value>(line.as_bytes()).ok().and_then(|row| row.value["step"].as_u64()) {
            Some(step) => found.push((line.to_owned(), step)),
            None if lines.peek().is_none() => {}
            None => {
                let at = format!("{}:{}", path.display(), index + 1);
                return Err(Error::input(at, "is not a rollout", "remove the line, or start over with `.force`"));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A rollout with one token a character, after a prompt of one token.
    pub(crate) fn rollout(prompt_id: &str, sample: usize, text: &str, reward: f64) -> Rollout {
        let tokens: Vec<u32> = std::iter::once(0).chain(text.chars().map(u32::from)).collect();
        Rollout {
            step: 1,
            prompt_id: prompt_id.into(),
            sample,
            prompt: "q".into(),
            text: text.into(),
            length: tokens.len() - 1,
            completion: Completion { tokens, prompt: 1 },
            ended: true,
            reward,
            pair: None,
            log_prob: -2.0,
            reference_log_prob: -3.0,
            entropy: 0.5,
        }
    }

    #[test]
    fn seeds_differ_in_everything_and_do_not_change_between_releases() {
        let seeds = [
            seed(1, "step 1", "a", 0),
            seed(2, "step 1", "a", 0),
            seed(1, "step 2", "a", 0),
            seed(1, "step 1", "b", 0),
            seed(1, "step 1", "a", 1),
        ];
        assert_eq!(seeds.iter().collect::<std::collections::HashSet<_>>().len(), seeds.len());
        // Resuming a run relies on it.
        assert_eq!(seeds[0], 15_696_404_679_958_375_953);
    }

    #[test]
    fn a_resumed_file_holds_whole_lines_of_steps_that_count() {
        let folder = tempfile::tempdir().unwrap();
        // The fields of a prompt's row stay, even a number that JSON does not have.
        let of = |step| Rollout {
            step,
            prompt: json::unreadable("NaN"),
            completion: Completion::default(),
            ..rollout("p", 0, "a\n\"b\"", 0.1 + 0.2)
        };
        let mut writer = RolloutWriter::open(folder.path(), ROLLOUTS, None).unwrap();
        for step in 1..=3 {
            writer.write(&[of(step), of(step)]).unwrap();
        }
        writer.file.write_all(b"{\"step\": 2, \"te\xff").unwrap();
        drop(writer);
        let mut writer = RolloutWriter::open(folder.path(), ROLLOUTS, Some(&|step| step <= 2)).unwrap();
        writer.write(&[of(3)]).unwrap();
        assert_eq!(read(folder.path(), ROLLOUTS).unwrap(), [1, 1, 2, 2, 3].map(of));
        RolloutWriter::open(folder.path(), ROLLOUTS, None).unwrap();
        assert_eq!(read(folder.path(), ROLLOUTS).unwrap(), []);
        assert_eq!(read(folder.path(), "none.jsonl").unwrap(), []);
    }

    #[test]
    fn a_line_that_is_no_rollout_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(ROLLOUTS);
        std::fs::write(&path, "nonsense\n{\"step\": 1}\n").unwrap();
        let error = RolloutWriter::open(folder.path(), ROLLOUTS, Some(&|_| true)).err().unwrap().to_string();
        assert!(error.contains("rollouts.jsonl:1"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "nonsense\n{\"step\": 1}\n");
    }
}
