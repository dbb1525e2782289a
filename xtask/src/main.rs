//! Developer tools: `cargo xtask demo|test|shaders|logs|bench`.

mod adapter;
mod cargo;
mod chats;
mod coverage;
mod demo;
mod examples;
mod imports;
mod index;
mod logs;
mod shaders;
mod tally;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use self::cargo::{cargo, exit_code, root};

/// Tasks around the wgr repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Extract rated rows from synthetic chats, train and evaluate a small reward model, improve a small policy against
    /// it
    Demo {
        /// Folder for the data, the models and the reports
        #[arg(long, default_value = "target/demo")]
        output: PathBuf,
        /// Name the command that installs a missing software GPU driver instead of running it
        #[arg(long)]
        no_install: bool,
    },
    /// Run everything that CI runs
    Test {
        /// Run only what needs no GPU adapter, where none is to be had: lints, and the tests that compute nothing on one
        #[arg(long, conflicts_with = "no_install")]
        no_device: bool,
        /// Name the command that installs a missing software GPU driver instead of running it
        #[arg(long)]
        no_install: bool,
    },
    /// Write docs/shaders.md and every shader permutation as plain WGSL, and run tint over them where it is installed
    Shaders {
        /// Folder to write to
        #[arg(default_value = "target/shaders")]
        directory: PathBuf,
    },
    /// Write synthetic conversations in the format of WildChat, to measure extraction with
    Logs {
        /// How many conversations
        #[arg(long, value_name = "N")]
        conversations: u64,
        /// Folder to write to
        #[arg(long, value_name = "DIR")]
        output: PathBuf,
        /// Another seed, other conversations
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Number of files
        #[arg(long, default_value_t = 1, value_name = "K")]
        shards: u64,
        /// Format of the files
        #[arg(long, default_value = "parquet")]
        format: logs::Format,
    },
    /// Run the benchmarks
    Bench {
        /// Name the command that installs a missing software GPU driver instead of running it
        #[arg(long)]
        no_install: bool,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    std::env::set_current_dir(root()).context("the repository is gone")?;
    match task {
        Task::Demo { output, no_install } => {
            let adapter = adapter::ensure(no_install)?;
            demo::run(&adapter, &output)?;
        }
        Task::Test { no_device: true, .. } => return test::run_without_device(),
        Task::Test { no_install, .. } => return test::run(&adapter::ensure(no_install)?),
        Task::Shaders { directory } => {
            shaders::run(&directory)?;
            index::write()?;
        }
        Task::Logs { conversations, output, seed, shards, format } => {
            logs::run(conversations, &output, seed, shards, format)?;
        }
        Task::Bench { no_install } => {
            adapter::ensure(no_install)?;
            let status = cargo(&["bench", "--workspace"]).status().context("cargo could not be started")?;
            return Ok(exit_code(status));
        }
    }
    Ok(ExitCode::SUCCESS)
}
