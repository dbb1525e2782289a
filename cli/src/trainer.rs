//! What the commands of all trainers share: flags, and the report at the end.

use std::ops::Not;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use wgr::train::{RanksSummary, TrainSummary, TrainerConfig};
use wgr::{Error, Ranks, Result};

use crate::settings::{OutputArgs, Settings};
use crate::{print, session};

/// Flags of [`wgr::train::TrainerConfig`] and the learning rate, whose default differs among trainers; a flag that is
/// not given is left out of the serialized form, so that the file or the default applies.
#[derive(Debug, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct TrainerArgs {
    /// Directory to write the trained model to
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<PathBuf>,
    /// Held-out rows to evaluate on
    #[arg(long, num_args = 1.., value_name = "FILE")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    eval_data: Vec<PathBuf>,
    /// Passes over the data
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    epochs: Option<u32>,
    /// Stop after N optimizer steps, whatever the number of epochs
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_steps: Option<u64>,
    /// Rows per micro-batch; a preference pair counts as one row
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_size: Option<usize>,
    /// Gradient accumulation: micro-batches per optimizer step
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    grad_accum: Option<usize>,
    /// Hold the optimizer's moments of a share of the parameters only on each of several ranks (ZeRO-1)
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    shard_optimizer: bool,
    /// DiLoCo, another algorithm: each of several ranks takes N optimizer steps on its own share of the rows before all
    /// meet; for slow links
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sync_every: Option<u64>,
    /// Peak learning rate
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    lr: Option<f64>,
    /// Learning rate schedule after warm-up
    #[arg(long, value_parser = ["linear", "cosine", "constant"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    /// Fraction of the steps used for learning rate warm-up
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    warmup_ratio: Option<f64>,
    /// Decoupled weight decay, applied to matrices
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_decay: Option<f64>,
    /// Maximum gradient norm for clipping; 0 turns clipping off
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_grad_norm: Option<f64>,
    #[command(flatten)]
    #[serde(flatten)]
    storage: StorageArgs,
    /// Shuffle the rows anew in each epoch [default]
    #[arg(long, overrides_with = "no_shuffle")]
    #[serde(skip_serializing_if = "Not::not")]
    shuffle: bool,
    /// Take the rows in the order of the files
    #[arg(long, overrides_with = "shuffle")]
    #[serde(rename = "shuffle", serialize_with = "negated", skip_serializing_if = "Not::not")]
    no_shuffle: bool,
    /// Write a checkpoint every N steps, not only at the end
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    save_every: Option<u64>,
    /// Evaluate every N steps, not only at the end
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_every: Option<u64>,
    /// Continue from the last checkpoint in the output
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    resume: bool,
    /// Replace an existing output
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    force: bool,
    /// Seed for the order of rows and for new weights
    // TOML, in which settings are saved, has signed integers.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
}

/// Flags that decide how much of a sequence is stored, and how; a plan of the memory has them, too.
#[derive(Debug, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct StorageArgs {
    /// Maximum sequence length in tokens
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<usize>,
    /// Storage precision of weights and activations; mixed is mixed-f16 on cooperative matrices, mixed-bf16 elsewhere
    #[arg(long, value_parser = ["f32", "mixed", "mixed-bf16", "mixed-f16"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<String>,
    /// Activation checkpointing: what the backward pass recomputes instead of storing it
    #[arg(long, value_parser = ["none", "attention", "layer"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpointing: Option<String>,
}

fn negated<S: Serializer>(flag: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(!flag)
}

/// Reports the settings in which a resumed run differs from the run that it continues.
///
/// # Errors
/// The saved settings cannot be read.
pub(crate) fn note_changes<C: DeserializeOwned + Serialize>(
    settings: &Settings<C>,
    trainer: &TrainerConfig,
    show: &OutputArgs,
) -> Result<()> {
    if !trainer.resume || show.quiet {
        return Ok(());
    }
    let saved = trainer.output.join("wgr.toml");
    let changes = settings.changes_since(&saved)?;
    if !changes.is_empty() {
        print::note(&format!("settings that differ from {}: {}", saved.display(), changes.join("; ")));
    }
    Ok(())
}

/// The result of a run, for people.
pub(crate) fn describe(summary: &TrainSummary, output: &Path) -> String {
    let TrainSummary { steps, first_loss, last_loss, tokens, tokens_per_second, evaluation, ranks, .. } = summary;
    let mut text = match tokens {
        0 => format!("{}: all {steps} steps were already done", output.display()),
        _ => format!(
            "{}: {steps} steps, {tokens} tokens, {}, loss {first_loss:.4} to {last_loss:.4}",
            output.display(),
            print::token_rate(*tokens_per_second)
        ),
    };
    if let Some(RanksSummary { ranks, bytes_sent, seconds_in_sums }) = ranks {
        let sent = print::bytes(*bytes_sent);
        text.push_str(&format!("\n  {ranks} ranks, {sent} sent by each, {seconds_in_sums:.1} s in sums of gradients"));
    }
    for (name, value) in evaluation {
        text.push_str(&format!("\n  {name} {value}"));
    }
    text
}

/// Saves the settings of a run beside its output and prints its result: `summary`, or its `text` for people. That is up to
/// the first rank.
///
/// # Errors
/// A file that cannot be written; a run that was stopped on request, with how to continue it.
pub(crate) fn conclude<C: DeserializeOwned + Serialize>(
    settings: &Settings<C>,
    output: &Path,
    show: &OutputArgs,
    ranks: &Ranks,
    summary: &impl Serialize,
    text: &str,
    interrupted: bool,
) -> Result<()> {
    if ranks.is_first() {
        session::conclude(settings, &output.join("wgr.toml"), show, summary, || print::line(text))?;
    }
    if interrupted {
        let place = output.display();
        return Err(Error::Interrupted(format!(
            "a checkpoint is in {place}; the same command with --resume continues"
        )));
    }
    Ok(())
}
