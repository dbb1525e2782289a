//! The command line of wgr: parses, calls the library, prints.

mod bench;
mod compare;
mod convert;
mod devices;
mod dpo;
mod eval;
mod extract;
mod generate;
mod inspect;
mod lora;
mod print;
mod progress;
mod score;
mod settings;
mod study;
mod train;
mod trainer;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use wgr::dpo::DpoConfig;
use wgr::evaluate::EvalConfig;
use wgr::evaluate::study::StudyConfig;
use wgr::extract::ExtractConfig;
use wgr::generate::GenerateConfig;
use wgr::train::{ScoreConfig, TrainConfig};

/// Ordinal reward models on any GPU.
#[derive(Debug, Parser)]
#[command(name = "wgr", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List GPU adapters with what they offer, and say which can be used
    Devices(devices::Args),
    /// Make rated rows of logged chats
    Extract(Box<extract::Args>),
    /// Train a reward model
    Train(Box<train::Args>),
    /// Score the rows of a file
    Score(score::Args),
    /// Train a language model on preference pairs
    Dpo(Box<dpo::Args>),
    /// Measure models on benchmarks, preference pairs and rated responses
    Eval(Box<eval::Args>),
    /// Sample from a causal model
    Generate(Box<generate::Args>),
    /// Measure kernels on an adapter
    Bench(bench::Args),
    /// Convert between GGUF and Hugging Face directories, and between dtypes
    Convert(convert::Args),
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        print::error(&format!("this is a bug in wgr, please report it: {panic}").replace('\n', " "));
        std::process::exit(1);
    }));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error,wgr=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs the subcommand; clap itself ends the process, with exit code 2, on wrong usage.
fn run() -> wgr::Result<()> {
    let matches = command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    pollster::block_on(async {
        match cli.command {
            Command::Devices(args) => devices::run(&args).await,
            Command::Bench(args) => bench::run(&args).await,
            Command::Extract(args) => extract::run(&args).await,
            Command::Train(args) => train::run(&args).await,
            Command::Score(args) => score::run(&args).await,
            Command::Dpo(args) => dpo::run(&args).await,
            Command::Eval(args) => eval::run(&args).await,
            Command::Generate(args) => generate::run(&args).await,
            Command::Convert(args) => convert::run(&args),
        }
    })
}

/// The command line, with the library's defaults in the help.
fn command() -> clap::Command {
    Cli::command()
        .mut_subcommand("extract", |extract| settings::show_defaults(extract, &ExtractConfig::default()))
        .mut_subcommand("train", |train| settings::show_defaults(train, &TrainConfig::default()))
        .mut_subcommand("score", |score| settings::show_defaults(score, &ScoreConfig::default()))
        .mut_subcommand("dpo", |command| {
            let command = settings::show_defaults(command, &DpoConfig::default());
            settings::show_defaults(command, &dpo::online_defaults())
        })
        .mut_subcommand("eval", |eval| {
            settings::show_defaults(eval, &EvalConfig::default())
                .mut_subcommand("study", |study| settings::show_defaults(study, &StudyConfig::default()))
        })
        .mut_subcommand("generate", |generate| settings::show_defaults(generate, &GenerateConfig::default()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_well_formed() {
        super::command().debug_assert();
    }
}
