//! The policy: a small model first learns to talk like the chats, good and bad responses alike, and then improves
//! against the reward model by online DPO.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::files::{read_rows, wgr, write_rows};
use super::models::{Kind, new_model};
use super::rows::{exchange, is_english};

/// With so large a term of plain likelihood, learning from pairs is mostly learning to talk.
const TALK_FLAGS: &[&str] =
    &["--sft-weight", "1", "--batch-size", "8", "--lr", "3e-3", "--max-length", "128", "--force"];
const ONLINE_FLAGS: &[&str] = &["--online", "--rollouts", "4", "--max-new-tokens", "40", "--batch-size", "16"];
const ONLINE_RATES: &[&str] = &["--lr", "2e-3", "--max-steps", "24", "--max-length", "128", "--force"];
const SAMPLE_FLAGS: &[&str] = &["--n", "2", "--max-new-tokens", "40", "--seed", "5", "--force"];
/// Pairs to learn to talk from.
const PAIRS: usize = 2400;
/// Prompts to learn from, and to compare on.
const PROMPTS: usize = 400;
const HELD_OUT: usize = 60;
/// Prompts whose samples are on the page.
const SHOWN: usize = 4;
/// How much the mean reward of fresh samples must rise, on a scale of 1 to 4.
const LEAST_GAIN: f64 = 0.3;

/// The result of online DPO.
pub(super) struct Policy {
    /// Mean reward of fresh samples for prompts of test rows, before online DPO.
    pub before: f64,
    /// And after it.
    pub after: f64,
    /// A few English prompts, with a sample from before and one from after.
    pub samples: Vec<[String; 3]>,
    /// Mean reward of the rollouts of each step.
    pub rewards: Vec<(f64, f64)>,
}

impl Policy {
    /// Trains a policy from scratch in `output`, improves it against `reward`, and compares samples.
    pub(super) fn improve(output: &Path, reward: &Path, train: &[Value], test: &[Value]) -> Result<Self> {
        let file = |name: &str| output.join(name);
        let (new_policy, talking, improved) = (file("new-policy"), file("policy"), file("policy-online"));
        let (pairs, prompts, held_out) = (file("pairs.jsonl"), file("prompts.jsonl"), file("held-out-prompts.jsonl"));

        new_model(&new_policy, train, Kind::Policy)?;
        write_rows(&pairs, train.windows(2).take(PAIRS).map(|rows| pair(&rows[0], &rows[1])))?;
        write_rows(&prompts, train.iter().take(PROMPTS).map(prompt))?;
        write_rows(&held_out, test.iter().take(HELD_OUT).map(prompt))?;
        wgr("dpo", &[("--policy", &new_policy), ("--data", &pairs), ("--output", &talking)], TALK_FLAGS)?;
        let paths: [(&str, &Path); 4] =
            [("--policy", &talking), ("--prompts", &prompts), ("--reward", reward), ("--output", &improved)];
        wgr("dpo", &paths, &[ONLINE_FLAGS, ONLINE_RATES].concat())?;

        let before = sample(&talking, reward, &held_out, test, &file("before"))?;
        let after = sample(&improved, reward, &held_out, test, &file("after"))?;
        let english: Vec<(&Sample, &Sample)> =
            before.iter().zip(&after).filter(|(sample, _)| sample.is_english).collect();
        let samples = english.iter().step_by(english.len().div_ceil(SHOWN).max(1));
        Ok(Self {
            samples: samples.map(|(a, b)| [a.query.clone(), a.response.clone(), b.response.clone()]).collect(),
            before: mean(&before),
            after: mean(&after),
            rewards: wgr::report::metrics::read(&improved.join("metrics.jsonl"))?
                .iter()
                .filter_map(|row| Some((row["step"].as_f64()?, row.get("objective/scores")?.as_f64()?)))
                .collect(),
        })
    }

    /// Fails where the policy did not improve.
    pub(super) fn check(&self) -> Result<()> {
        if self.after < self.before + LEAST_GAIN {
            bail!("the mean reward went from {:.2} to {:.2}: the policy did not improve", self.before, self.after);
        }
        Ok(())
    }
}

/// A row as a prompt: its query alone.
fn prompt(row: &Value) -> Value {
    let [query, _] = exchange(row);
    json!({"id": row["id"], "prompt": [{"role": "user", "content": query}]})
}

/// A response to the query against one to another query: about the matter, and as good or bad as the chats are.
fn pair(row: &Value, other: &Value) -> Value {
    let ([query, chosen], [_, rejected]) = (exchange(row), exchange(other));
    let message = |role: &str, content: &str| json!([{"role": role, "content": content}]);
    json!({
        "id": row["id"],
        "prompt": message("user", query),
        "chosen": message("assistant", chosen),
        "rejected": message("assistant", rejected),
    })
}

/// A sample and its score by the reward model.
struct Sample {
    is_english: bool,
    query: String,
    response: String,
    reward: f64,
}

/// Samples from a policy and scores what it says; `name` is where the files go.
fn sample(policy: &Path, reward: &Path, prompts: &Path, test: &[Value], name: &Path) -> Result<Vec<Sample>> {
    let (samples, rows, scores) =
        (name.with_extension("jsonl"), name.with_extension("rows.jsonl"), name.with_extension("scores.jsonl"));
    wgr("generate", &[("--model", policy), ("--input", prompts), ("--output", &samples)], SAMPLE_FLAGS)?;
    let mut said = vec![];
    for row in read_rows(&samples)? {
        let asked = test.iter().find(|of_test| of_test["id"] == row["id"]).context("a sample is of no prompt")?;
        let [query, _] = exchange(asked);
        said.push((is_english(asked), query.to_owned(), row["text"].as_str().unwrap_or_default().to_owned()));
    }
    let message = |role: &str, content: &str| json!({"role": role, "content": content});
    let numbered = said.iter().enumerate();
    write_rows(
        &rows,
        numbered.map(|(place, (_, query, response))| {
            json!({"id": place.to_string(), "messages": [message("user", query), message("assistant", response)]})
        }),
    )?;
    wgr("score", &[("--model", reward), ("--input", &rows), ("--output", &scores)], &["--force"])?;
    let scores = read_rows(&scores)?;
    let sample = |((is_english, query, response), score): ((bool, String, String), &Value)| {
        Ok(Sample { is_english, query, response, reward: score["score"].as_f64().context("a sample has no score")? })
    };
    said.into_iter().zip(&scores).map(sample).collect()
}

fn mean(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.reward).sum::<f64>() / samples.len().max(1) as f64
}
