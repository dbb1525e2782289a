//! `cargo xtask demo`: the whole pipeline on synthetic chats. Extracts rated rows from a chat log, trains a small
//! reward model on them from scratch, evaluates it on rows it has not seen, and lets a small policy improve against it;
//! then writes a page about all of it.

mod files;
mod models;
mod page;
mod policy;
mod rows;
pub(crate) mod tokenizer;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use wgr::gpu::AdapterSummary;
use wgr::statistics::metrics::{is_positive, roc_auc};

use self::files::{read_rows, wgr, write};
use self::policy::Policy;
use self::rows::{CONVERSATIONS, scored};
use crate::cargo::root;
use crate::chats::{Logs, Style, write_jsonl};

// Everything about the demo that could be otherwise. Chats, sizes and rates suit each other.
const SEED: u64 = 1;
const LEVELS: u32 = 4;
const EXTRACT_FLAGS: &[&str] = &["--annotator", "rules", "--test-size", "0.15", "--force"];
pub(crate) const TRAIN_FLAGS: &[&str] =
    &["--epochs", "2", "--batch-size", "8", "--lr", "2e-3", "--max-length", "128", "--force"];
/// Query and response alone: what is asked in these chats never refers to what was said before.
const TEMPLATE: &str = "user {{ query }} assistant {{ response }}";
/// Where a model brings it along.
const TEMPLATE_FILE: &str = "wgr_template.jinja";
/// Chance is 0.5; below this the demo has failed.
const LEAST_ROC_AUC: f64 = 0.8;

/// What the demo makes of chats, in its folder.
pub(crate) struct Reward {
    /// Rows to train on, and rows that are kept from it.
    pub(crate) rows: [PathBuf; 2],
    /// The model before training.
    pub(crate) new_model: PathBuf,
    /// And after it.
    pub(crate) model: PathBuf,
}

impl Reward {
    /// Where everything is.
    pub(crate) fn within(output: &Path) -> Self {
        let rows = ["train.jsonl", "test.jsonl"].map(|name| output.join("rows").join(name));
        Self { rows, new_model: output.join("new-model"), model: output.join("reward-model") }
    }

    /// Extracts rows from chats, and trains a reward model on them.
    pub(crate) fn make(output: &Path) -> Result<Self> {
        let made = Self::within(output);
        let (chats, template) = (output.join("chats.jsonl"), made.new_model.join(TEMPLATE_FILE));
        std::fs::create_dir_all(output).with_context(|| format!("{} cannot be made", output.display()))?;
        write_jsonl(&chats, &Logs { seed: SEED, style: Style::Brief }, 0..CONVERSATIONS)?;
        wgr("extract", &[("--input", &chats), ("--output", &output.join("rows"))], EXTRACT_FLAGS)?;
        models::new_model(&made.new_model, &read_rows(&made.rows[0])?, models::Kind::Reward)?;
        write(&template, TEMPLATE)?;
        let paths: [(&str, &Path); 4] = [
            ("--model", &made.new_model),
            ("--data", &made.rows[0]),
            ("--template", &template),
            ("--output", &made.model),
        ];
        wgr("train", &paths, TRAIN_FLAGS)?;
        Ok(made)
    }
}

/// Runs the demo in `output`, whatever an earlier run left there being replaced.
pub(crate) fn run(adapter: &AdapterSummary, output: &Path) -> Result<()> {
    let output = &root().join(output);
    let file = |name: &str| output.join(name);
    let (scores, evaluation) = (file("scores.jsonl"), file("evaluation"));

    let Reward { rows: [train, test], model: reward, .. } = Reward::make(output)?;
    let (train_rows, test_rows) = (read_rows(&train)?, read_rows(&test)?);
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
    for report in [file("rows/report.html"), evaluation.join("report.html"), page] {
        println!("report: {}", report.display());
    }
    if auc < LEAST_ROC_AUC {
        bail!("a ROC-AUC of {auc:.3} is below {LEAST_ROC_AUC}: the reward model did not learn");
    }
    policy.check()
}
