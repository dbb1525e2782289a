//! `wgr score`.

use std::ops::Not;
use std::path::PathBuf;

use serde::Serialize;
use wgr::kernels::Passes;
use wgr::train::{ScoreConfig, score};
use wgr::{Ranks, Result};

use crate::flags;
use crate::print;
use crate::session;
use crate::settings::{BaseArgs, DeviceArgs, OutputArgs, Settings, beside};

/// Flags of `wgr score`; a flag that is not given is left out of the serialized form, so that the file or
/// the default applies.
#[derive(Debug, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Args {
    /// Model with a score head: a directory, a `.gguf` file or a hub name (owner/name)
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// Rows to score, JSONL or parquet
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<PathBuf>,
    /// JSONL file to write, one scored row per input row in the same order
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<PathBuf>,
    /// Maximum sequences per batch
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_size: Option<usize>,
    /// Maximum sequence length in tokens; longer ones are truncated as in training
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<usize>,
    /// Prompt template, instead of the one saved with the model
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<PathBuf>,
    /// Meaning of the head's outputs if the model does not say: one logit that is the score, or one logit per threshold
    #[arg(long, value_parser = ["scalar", "ordinal"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    /// Apply the calibration that `wgr train --eval-data` fitted and saved with the model
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    calibrated: bool,
    /// Replace an existing output
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    force: bool,
    #[command(flatten)]
    #[serde(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    #[serde(flatten)]
    device: DeviceArgs,
    /// TOML file with these settings; flags override it
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    show: OutputArgs,
}

/// Scores, and saves the settings beside the output, as `OUTPUT.wgr.toml`.
pub(crate) async fn run(args: &Args, ranks: &Ranks) -> Result<()> {
    let settings = Settings::<ScoreConfig>::resolve(args.config.as_deref(), args)?;
    settings.config.validate()?;
    let show = &args.show.of(ranks);
    let mut summary = {
        let (gpu, mut progress) = session::open_on(ranks, &settings.adapter, Passes::Forward, show).await?;
        score(&gpu, ranks, &settings.config, &mut progress).await?
    };
    if !ranks.is_first() {
        return Ok(());
    }
    let output = &settings.config.output;
    flags::in_readings(&mut summary.reading);
    session::conclude(&settings, &beside(output), show, &summary, || {
        print::line(&format!(
            "{}: {} rows, mean score {:.4}, {} tokens, {}",
            output.display(),
            summary.rows,
            summary.mean_score,
            summary.tokens,
            print::token_rate(summary.tokens_per_second)
        ))
    })
}
