//! The rows of the demo, and the scores of the reward model.

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Conversations that rows are extracted from.
pub(super) const CONVERSATIONS: u64 = 6200;

/// A test row with what the model made of it.
pub(super) struct Scored {
    pub row: Value,
    pub label: u32,
    pub score: f64,
}

/// Test rows with their scores, by rising score.
pub(super) fn scored(rows: Vec<Value>, scores: &[Value]) -> Result<Vec<Scored>> {
    if rows.len() != scores.len() {
        bail!("{} rows got {} scores", rows.len(), scores.len());
    }
    let pair = |(row, score): (Value, &Value)| {
        let label = row["label"].as_u64().and_then(|label| u32::try_from(label).ok()).context("a row has no label")?;
        let score = score["score"].as_f64().filter(|_| score["id"] == row["id"]).context("a score is not the row's")?;
        Ok(Scored { row, label, score })
    };
    let mut scored = rows.into_iter().zip(scores).map(pair).collect::<Result<Vec<_>>>()?;
    scored.sort_by(|a, b| a.score.total_cmp(&b.score));
    Ok(scored)
}

/// Whether a row is in the language of the demo's page. One chat in five is in Chinese, which not every reader can read,
/// nor every machine show.
pub(super) fn is_english(row: &Value) -> bool {
    row["language"] == "English"
}

/// The query and the response of a row.
pub(super) fn exchange(row: &Value) -> [&str; 2] {
    ["user", "assistant"].map(|role| {
        let messages = row["messages"].as_array().into_iter().flatten();
        messages.rev().find(|message| message["role"] == role).and_then(|m| m["content"].as_str()).unwrap_or("")
    })
}
