//! `cargo xtask demo`: the whole pipeline on synthetic chats. Extracts rated rows from a chat log, trains a small
//! reward model on them from scratch, evaluates it on rows it has not seen, and lets a small policy improve against it;
//! then writes a page about all of it.

mod files;
mod models;
mod page;
mod policy;
pub mod tokenizer;

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use wgr::gpu::AdapterSummary;
use wgr::statistics::metrics::{is_positive, roc_auc};

use self::files::{read_rows, wgr, write};
use self::policy::Policy;
use crate::chats::{Logs, Style, write_jsonl};
use crate::root;

// Everything about the demo that could be otherwise. Chats, sizes and rates suit each other.
const CONVERSATIONS: u64 = 6200;
const SEED: u64 = 1;
const LEVELS: u32 = 4;
const EXTRACT_FLAGS: &[&str] = &["--annotator", "rules", "--test-size", "0.15", "--force"];
const TRAIN_FLAGS: &[&str] = &["--epochs", "2", "--batch-size", "8", "--lr", "2e-3", "--max-length", "128", "--force"];
/// Query and response alone: what is asked in these chats never refers to what was said before.
const TEMPLATE: &str = "user {{ query }} assistant {{ response }}";
/// Chance is 0.5; below this the demo has failed.
const LEAST_ROC_AUC: f64 = 0.8;

/// A test row with what the model made of it.
struct Scored {
    row: Value,
    label: u32,
    score: f64,
}

/// Runs the demo in `output`, whatever an earlier run left there being replaced.
pub fn run(adapter: &AdapterSummary, output: &Path) -> Result<()> {
    let output = &root().join(output);
    let file = |name: &str| output.join(name);
    let (chats, rows) = (file("chats.jsonl"), file("rows"));
    let (train, test) = (rows.join("train.jsonl"), rows.join("test.jsonl"));
    let (new_model, template, reward) = (file("new-model"), file("prompt.jinja"), file("reward-model"));
    let (scores, evaluation) = (file("scores.jsonl"), file("evaluation"));

    std::fs::create_dir_all(output).with_context(|| format!("{} cannot be made", output.display()))?;
    write_jsonl(&chats, &Logs { seed: SEED, style: Style::Brief }, 0..CONVERSATIONS)?;
    wgr("extract", &[("--input", &chats), ("--output", &rows)], EXTRACT_FLAGS)?;

    let (train_rows, test_rows) = (read_rows(&train)?, read_rows(&test)?);
    write(&template, TEMPLATE)?;
    models::new_model(&new_model, &train_rows, models::Kind::Reward)?;
    let paths: [(&str, &Path); 4] =
        [("--model", &new_model), ("--data", &train), ("--template", &template), ("--output", &reward)];
    wgr("train", &paths, TRAIN_FLAGS)?;
    wgr("score", &[("--model", &reward), ("--input", &test), ("--output", &scores)], &["--force"])?;
    let suite = format!("wildfb={}", test.display());
    wgr("eval", &[("--model", &reward), ("--output", &evaluation)], &["--suite", &suite, "--force"])?;

    let scored = scored(test_rows.clone(), &read_rows(&scores)?)?;
    let values: Vec<f64> = scored.iter().map(|row| row.score).collect();
    let positives: Vec<bool> = scored.iter().map(|row| is_positive(row.label, LEVELS)).collect();
    let auc = roc_auc(&values, &positives).context("the test rows have one class only, or no finite score")?;

    let policy = Policy::improve(output, &reward, &train_rows, &test_rows)?;

    let page = file("report.html");
    page::write(&page, adapter, &reward, &scored, auc, &policy)?;
    println!("\nROC-AUC of the reward model on test rows: {auc:.3} (chance: 0.5)");
    println!("mean reward of fresh samples for test prompts: {:.2} before, {:.2} after", policy.before, policy.after);
    for report in [rows.join("report.html"), evaluation.join("report.html"), page] {
        println!("report: {}", report.display());
    }
    if auc < LEAST_ROC_AUC {
        bail!("a ROC-AUC of {auc:.3} is below {LEAST_ROC_AUC}: the reward model did not learn");
    }
    policy.check()
}

/// Test rows with their scores, by rising score.
fn scored(rows: Vec<Value>, scores: &[Value]) -> Result<Vec<Scored>> {
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
fn is_english(row: &Value) -> bool {
    row["language"] == "English"
}

/// The query and the response of a row.
fn exchange(row: &Value) -> [&str; 2] {
    ["user", "assistant"].map(|role| {
        let messages = row["messages"].as_array().into_iter().flatten();
        messages.rev().find(|message| message["role"] == role).and_then(|m| m["content"].as_str()).unwrap_or("")
    })
}
