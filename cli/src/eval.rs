//! `wgr eval`.

use std::ops::Not;
use std::path::PathBuf;

use serde::Serialize;
use wgr::evaluate::report;
use wgr::evaluate::{EvalConfig, SuitePath, evaluate};
use wgr::{Ranks, Result};

use crate::flags;
use crate::print;
use crate::session;
use crate::settings::{BaseArgs, DeviceArgs, OutputArgs, Settings};
use crate::study;

/// Flags of `wgr eval`; a flag that is not given is left out of the serialized form, so that the file or
/// the default applies.
#[derive(Debug, clap::Args, Serialize)]
#[command(args_conflicts_with_subcommands = true)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Args {
    #[command(subcommand)]
    #[serde(skip)]
    command: Option<Command>,
    /// Models with a score head: directories, `.gguf` files, hub names (owner/name), or addresses of reward servers
    /// (http://host/get_reward); a server's key, if it needs one, is read from WGR_API_KEY
    #[arg(long, num_args = 1.., value_name = "M")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model: Vec<String>,
    /// Scores computed elsewhere, JSONL, JSON or parquet: rows with `pair_id` or `id`, and `scores`; each `model`
    /// becomes a column of the report
    #[arg(long, num_args = 1.., value_name = "FILE")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scores: Vec<PathBuf>,
    /// Suites to evaluate on: rewardbench, rewardbench2, m-rewardbench, rmbench, rmb, judgebench, ppe-human,
    /// ppe-correctness, arena, pairs or wildfb, each with a file or folder in its published format
    #[arg(long, num_args = 1.., value_name = "NAME=PATH")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suite: Vec<SuitePath>,
    /// Directory to write report and scores to
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<PathBuf>,
    /// Prompt template, instead of the one saved with a model
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<PathBuf>,
    /// Meaning of a head's outputs if its model does not say: one logit that is the score, or one logit per threshold
    #[arg(long, value_parser = ["scalar", "ordinal"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    /// Maximum sequence length in tokens; longer ones are truncated as in training
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<usize>,
    /// Maximum sequences per batch, and texts per request to a server
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_size: Option<usize>,
    /// Number of bins in reliability diagrams and histograms
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bins: Option<usize>,
    /// Bootstrap samples for confidence intervals; 0 for no intervals
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bootstrap: Option<u32>,
    /// Seed for the bootstrap and for the halves that calibration is fitted and tested on
    // TOML, in which settings are saved, has signed integers.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// Continue the run in an existing output, with its stored scores
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    resume: bool,
    /// Replace an existing report; its stored scores are kept and used
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
    /// Train models that differ in one respect, evaluate them and compare the results
    Study(Box<study::Args>),
}

/// Evaluates, and saves the settings in the output, as `wgr.toml`. A partial report is printed too, before the error
/// that made it one.
pub(crate) async fn run(args: &Args, ranks: &Ranks) -> Result<()> {
    if let Some(Command::Study(args)) = &args.command {
        Ranks::refuse_several()?;
        return study::run(args).await;
    }
    let settings = Settings::<EvalConfig>::resolve(args.config.as_deref(), args)?;
    settings.config.validate()?;
    let show = &args.show.of(ranks);
    let mut evaluation = {
        let (gpu, mut progress) =
            session::open_if(settings.config.needs_adapter(), ranks, &settings.adapter, show).await?;
        evaluate(gpu.as_ref(), ranks, &settings.config, &mut progress).await?
    };
    if !ranks.is_first() {
        return evaluation.failure.map_or(Ok(()), Err);
    }
    let report = &mut evaluation.report;
    flags::in_readings(report.models.iter_mut().filter_map(|model| model.reading.as_mut()));
    flags::in_texts(report.failures.iter_mut().map(|failure| &mut failure.problem));
    let output = &settings.config.output;
    session::conclude(&settings, &output.join("wgr.toml"), show, &evaluation.report, || {
        print::columns(&report::table(&evaluation.report))?;
        print::line(&format!("{}, report.md, report.json", output.join("report.html").display()))
    })?;
    evaluation.failure.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn resolve(flags: &[&str]) -> EvalConfig {
        let command = Line::try_parse_from([&["eval"], flags].concat()).unwrap();
        Settings::resolve(None, &command.args).unwrap().config
    }

    #[test]
    fn no_flags_leave_the_defaults() {
        assert_eq!(resolve(&[]), EvalConfig::default());
    }

    #[test]
    fn every_setting_has_a_flag_that_reaches_it() {
        let flags = "--model m n --scores s --suite pairs=a rmbench=b --suite wildfb=c --output o --template t --head scalar \
                     --max-length 8 --batch-size 9 --bins 11 --bootstrap 12 --seed 13 --resume --force --base-dtype q4 --adapter 0";
        let found = resolve(&flags.split_whitespace().collect::<Vec<_>>());
        assert_eq!((found.model.len(), found.suite.len()), (2, 3));
        let (config, defaults) =
            (toml::Table::try_from(found).unwrap(), toml::Table::try_from(EvalConfig::default()).unwrap());
        for (name, value) in &config {
            assert_ne!(Some(value), defaults.get(name), "{name}");
        }
        assert_eq!(config.len(), 14, "a setting that is absent without its flag is still absent");
    }

    #[test]
    fn a_suite_without_a_name_is_wrong_usage() {
        for suite in ["gpt-4o.jsonl", "rewards=a", "pairs="] {
            assert!(Line::try_parse_from(["eval", "--suite", suite]).is_err());
        }
    }
}
