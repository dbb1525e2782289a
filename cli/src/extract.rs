//! `wgr extract`.

use std::ops::Not;
use std::path::PathBuf;

use serde::Serialize;
use wgr::extract::report::Report;
use wgr::extract::{ExtractConfig, TestSize, extract};
use wgr::{Ranks, Result};

use crate::compare;
use crate::inspect;
use crate::print;
use crate::session;
use crate::settings::{BaseArgs, DeviceArgs, OutputArgs, Settings};

/// Flags of `wgr extract`; a flag that is not given is left out of the serialized form, so that the file or
/// the default applies.
#[derive(Debug, clap::Args, Serialize)]
#[command(args_conflicts_with_subcommands = true, allow_negative_numbers = true)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Args {
    #[command(subcommand)]
    #[serde(skip)]
    command: Option<Command>,
    /// Conversations, as files or as folders to search: WildChat parquet or JSONL, ShareGPT JSON
    #[arg(long, num_args = 1.., value_name = "PATH")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    input: Vec<PathBuf>,
    /// Directory to write rows, report and intermediate stages to
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<PathBuf>,
    /// Annotator of the feedback: lexical rules, a model on a server, a local model, or a file of labels
    /// [default: rules, or file with --annotator-file]
    #[arg(long, value_parser = ["rules", "api", "local", "file"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    annotator: Option<String>,
    /// Labels made elsewhere, in place of an annotator: JSONL, JSON or parquet with conversation_id, feedback_turn (the
    /// number of the judged response, from 1) and category (UR1 to UR5) or level (a name, or 1 to 5)
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    annotator_file: Option<PathBuf>,
    /// For `api`: base URL of an OpenAI-compatible server; its key, if it needs one, is read from WGR_API_KEY
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    api_base: Option<String>,
    /// For `api`: name of the model on the server
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    api_model: Option<String>,
    /// For `api`: maximum concurrent requests
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    api_concurrency: Option<usize>,
    /// For `api`: timeout of a request in seconds
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    api_timeout: Option<f64>,
    /// For `api`: price per million prompt tokens, to report the cost
    #[arg(long, value_name = "PRICE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    api_prompt_price: Option<f64>,
    /// For `api`: price per million completion tokens, to report the cost
    #[arg(long, value_name = "PRICE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    api_completion_price: Option<f64>,
    /// Ask again where a stored answer held no verdict
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    retry_unparsable: bool,
    /// For `local`: causal model, as a directory, a `.gguf` file or a hub name (owner/name)
    #[arg(long, value_name = "M")]
    #[serde(skip_serializing_if = "Option::is_none")]
    annotator_model: Option<String>,
    /// BERT-family embedder that compares queries, as a directory or a hub name such as
    /// sentence-transformers/all-MiniLM-L6-v2; without one there is no mining
    #[arg(long, value_name = "M")]
    #[serde(skip_serializing_if = "Option::is_none")]
    embedder: Option<String>,
    /// Cosine similarity above which two queries count as the same topic [default: 0.6]
    #[arg(long, value_name = "COSINE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    similarity: Option<f32>,
    /// Maximum history in turns; turns with more are dropped
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_history_turns: Option<usize>,
    /// Size of the held-out test set: a number of rows, or a share such as 0.1 [default: 5000, but at most a tenth of
    /// the rows]
    #[arg(long, value_name = "N|SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    test_size: Option<TestSize>,
    /// Unit that is never split between training and test rows
    #[arg(long, value_parser = ["conversation", "user"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    split_by: Option<String>,
    /// Languages to keep [default: English,Chinese]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    languages: Vec<String>,
    /// Keep neutral feedback, so that labels run from 1 to 5
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    keep_neutral: bool,
    /// Version to follow where the paper and its public code differ
    #[arg(long, value_parser = ["paper", "public-code"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    /// File format of the rows
    #[arg(long, value_parser = ["jsonl", "parquet"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    /// Seed for the split and for the examples in the report
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// Continue the run in an existing output, with its stored answers and embeddings
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    resume: bool,
    /// Replace an existing output; its stored answers are kept and used
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

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print turns of a finished run, by id, label or reason
    Inspect(inspect::Args),
    /// Measure the agreement of two annotators
    Compare(compare::Args),
}

/// Extracts, and saves the settings in the output, as `wgr.toml`.
pub(crate) async fn run(args: &Args, ranks: &Ranks) -> Result<()> {
    if let Some(command) = &args.command {
        Ranks::refuse_several()?;
        return match command {
            Command::Inspect(args) => inspect::run(args),
            Command::Compare(args) => compare::run(args),
        };
    }
    let settings = Settings::<ExtractConfig>::resolve(args.config.as_deref(), args)?;
    settings.config.validate()?;
    let show = &args.show.of(ranks);
    let report = {
        let (gpu, mut progress) =
            session::open_if(settings.config.needs_adapter(), ranks, &settings.adapter, show).await?;
        extract(gpu.as_ref(), ranks, &settings.config, &mut progress).await?
    };
    if !ranks.is_first() {
        return Ok(());
    }
    let output = &settings.config.output;
    session::conclude(&settings, &output.join("wgr.toml"), show, &report, || {
        lines(&report).iter().try_for_each(|line| print::line(line))?;
        print::line(&format!("{}: rows, stages/, report.html", output.display()))
    })
}

/// The funnel and the split.
fn lines(report: &Report) -> Vec<String> {
    let labels = |labels: &[u64]| labels.iter().map(u64::to_string).collect::<Vec<_>>().join(" / ");
    let stages = report.funnel.iter().map(|stage| format!("{:>12}  {}", stage.count, stage.name));
    let splits = [("training rows", &report.train), ("test rows", &report.test)]
        .map(|(name, split)| format!("{:>12}  {name}, by label {}", split.rows, labels(&split.labels)));
    stages.chain(splits).collect()
}
