//! `wgr generate`.

use std::ops::Not;
use std::path::PathBuf;

use serde::Serialize;
use wgr::generate::{GenerateConfig, generate};
use wgr::kernels::Passes;
use wgr::{Ranks, Result};

use crate::print;
use crate::session;
use crate::settings::{BaseArgs, DeviceArgs, OutputArgs, Settings, beside};

/// Flags of `wgr generate`; a flag that is not given is left out of the serialized form, so that the file or
/// the default applies.
#[derive(Debug, clap::Args, Serialize)]
#[command(allow_negative_numbers = true)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Args {
    /// Causal model: a directory, a `.gguf` file or a hub name (owner/name)
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// A single prompt, whose completion is printed
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    /// Rows with one prompt each, JSONL or parquet: `prompt`, a text or messages, or `messages`
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<PathBuf>,
    /// JSONL file to write the completions to, in the order of the rows
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<PathBuf>,
    /// Maximum tokens per completion
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_new_tokens: Option<usize>,
    /// Sampling temperature; 0 is greedy
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    /// Sample from the most likely tokens whose probabilities add up to this share
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    /// Sample from the N most likely tokens; 0 for all
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<usize>,
    /// Sample from tokens with at least this share of the most likely token's probability
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    min_p: Option<f64>,
    /// Repetition penalty for tokens that already occurred, prompt included; 1 is none
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    repetition_penalty: Option<f64>,
    /// End a completion before this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop: Vec<String>,
    /// Completions per prompt
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<usize>,
    /// Seed for sampling; the same seed gives the same completions at any batch size
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// Maximum sequences per batch
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_size: Option<usize>,
    /// Continue prompts as they stand, without the model's chat template
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    raw: bool,
    /// Storage type of cached keys and values
    #[arg(long, value_parser = ["f32", "f16"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_dtype: Option<String>,
    /// Continue an interrupted run
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    resume: bool,
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

/// Generates, and saves the settings beside the output, as `OUTPUT.wgr.toml`.
pub(crate) async fn run(args: &Args, ranks: &Ranks) -> Result<()> {
    let settings = Settings::<GenerateConfig>::resolve(args.config.as_deref(), args)?;
    let config = &settings.config;
    config.validate()?;
    let streamed = config.prompt.is_some() && config.n == 1 && !args.show.json;
    let summary = {
        let (gpu, mut progress) =
            session::open_on(ranks, &settings.adapter, Passes::Generation, &args.show.of(ranks)).await?;
        if streamed {
            progress.streams();
        }
        generate(&gpu, ranks, config, &mut progress).await?
    };
    if !ranks.is_first() {
        return Ok(());
    }
    if streamed {
        print::line("")?;
    }
    if let Some(output) = &config.output {
        settings.save(&beside(output))?;
    }
    if args.show.json {
        return print::json(&summary);
    }
    for row in summary.rows.iter().filter(|_| !streamed) {
        print::line(&format!("--- {} ({} tokens, seed {})\n{}", row.sample, row.tokens, row.seed, row.text))?;
    }
    if !args.show.quiet {
        let text = format!("{} tokens, {}", summary.tokens, print::token_rate(summary.tokens_per_second));
        match &config.output {
            Some(output) => {
                print::line(&format!("{}: {} completions, {text}", output.display(), summary.completions))?;
            }
            // Stdout holds the generated text only.
            None => print::note(&text),
        }
    }
    Ok(())
}
