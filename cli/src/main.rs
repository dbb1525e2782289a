//! The command line of wgr: parses, calls the library, prints.

mod bench;
mod compare;
mod convert;
mod devices;
mod dpo;
mod eval;
mod extract;
mod flags;
mod generate;
mod inspect;
mod lora;
mod plan;
mod print;
mod progress;
mod score;
mod serve;
mod session;
mod settings;
mod study;
mod train;
mod trainer;

use std::process::ExitCode;

use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use wgr::Ranks;
use wgr::dpo::DpoConfig;
use wgr::evaluate::EvalConfig;
use wgr::evaluate::study::StudyConfig;
use wgr::extract::ExtractConfig;
use wgr::generate::GenerateConfig;
use wgr::train::{ScoreConfig, TrainConfig};
use wgr_serve::ServeConfig;

/// Ordinal reward models on any GPU.
#[derive(Debug, Parser)]
#[command(name = "wgr", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List GPU adapters with their limits and features, and say which can be used
    Devices(devices::Args),
    /// Extract rated rows from logged chats
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
    /// Serve rewards and text over HTTP
    Serve(Box<serve::Args>),
    /// Measure kernels on an adapter
    Bench(bench::Args),
    /// Say how much memory training needs, without allocating it, and which flags make it fit
    Plan(plan::Args),
    /// Convert between GGUF and Hugging Face directories, and between dtypes
    Convert(convert::Args),
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        print::bug(panic);
        std::process::exit(1);
    }));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error,wgr=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| flags::Log).init();
    quiet_loader();
    let matches = command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let ranks = match cli.command.ranks() {
        Ok(ranks) => ranks,
        Err(error) => return failure(&error),
    };
    match pollster::block_on(async { ranks.leave(cli.command.run(&ranks).await).await }) {
        Ok(()) => ExitCode::SUCCESS,
        // Another rank says it.
        Err(error) if !ranks.tells(&error) => ExitCode::from(error.exit_code()),
        Err(error) => failure(&error),
    }
}

fn failure(error: &wgr::Error) -> ExitCode {
    print::error(&flags::in_error(error));
    ExitCode::from(error.exit_code())
}

impl Command {
    /// The ranks that work on the command: those of the launcher, where it shares its work among them.
    fn ranks(&self) -> wgr::Result<Ranks> {
        match self {
            Self::Extract(_) | Self::Train(_) | Self::Score(_) | Self::Dpo(_) | Self::Eval(_) | Self::Generate(_) => {
                Ranks::join()
            }
            // They write nothing, so that it does no harm if all ranks do the same.
            Self::Devices(_) | Self::Bench(_) | Self::Plan(_) => Ok(Ranks::alone()),
            _ => Ranks::refuse_several(),
        }
    }

    /// Runs it; clap itself ends the process, with exit code 2, on wrong usage.
    async fn run(self, ranks: &Ranks) -> wgr::Result<()> {
        match self {
            Self::Devices(args) => devices::run(&args).await,
            Self::Bench(args) => bench::run(&args).await,
            Self::Extract(args) => extract::run(&args, ranks).await,
            Self::Train(args) => train::run(&args, ranks).await,
            Self::Score(args) => score::run(&args, ranks).await,
            Self::Dpo(args) => dpo::run(&args, ranks).await,
            Self::Eval(args) => eval::run(&args, ranks).await,
            Self::Generate(args) => generate::run(&args, ranks).await,
            Self::Plan(args) => plan::run(&args),
            Self::Serve(args) => serve::run(&args),
            Self::Convert(args) => convert::run(&args),
        }
    }
}

/// Keeps the Vulkan loader from complaining, at every start outside a login session, about a directory that it does not
/// use.
fn quiet_loader() {
    if cfg!(unix) && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: this is the first thing the program does, and no other thread runs yet that could read the
        // environment.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", std::env::temp_dir()) };
    }
}

/// The command line, with the library's defaults in the help. If a flag is given twice, its last value counts, as users
/// of launch scripts expect; lists gather all values.
fn command() -> clap::Command {
    last_value_counts(described())
}

fn last_value_counts(command: clap::Command) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let command = names.into_iter().fold(command, |all, name| all.mut_subcommand(name, last_value_counts));
    command.mut_args(|arg| match arg.get_action() {
        ArgAction::Set | ArgAction::SetTrue => {
            let id = arg.get_id().clone();
            arg.overrides_with(id)
        }
        _ => arg,
    })
}

fn described() -> clap::Command {
    Cli::command()
        .mut_subcommand("extract", |extract| settings::show_defaults(extract, &ExtractConfig::default()))
        .mut_subcommand("train", |train| settings::show_defaults(train, &TrainConfig::default()))
        .mut_subcommand("plan", |plan| settings::show_defaults(plan, &TrainConfig::default()))
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
        .mut_subcommand("serve", |serve| settings::show_defaults(serve, &ServeConfig::default()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_well_formed() {
        super::command().debug_assert();
    }

    #[test]
    fn the_last_of_a_flag_counts_and_lists_gather() {
        let flags = "wgr train --lr 1 --data a --lr 2 --resume --data b c --resume --objective corn --objective coral";
        let matches = super::command().try_get_matches_from(flags.split_whitespace()).unwrap();
        let (_, train) = matches.subcommand().unwrap();
        assert_eq!(train.get_one::<f64>("lr"), Some(&2.0));
        assert_eq!(train.get_one::<String>("objective").map(String::as_str), Some("coral"));
        assert_eq!(train.get_many::<std::path::PathBuf>("data").unwrap().count(), 3);
    }
}
