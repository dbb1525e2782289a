//! Developer tools: `cargo xtask demo|test|drivers|shaders|logs|gguf|bench|gpu|web`.

mod adapter;
mod card;
mod cargo;
mod chats;
mod chromium;
mod coverage;
mod demo;
mod drivers;
mod examples;
mod gguf;
mod imports;
mod index;
mod logs;
mod shaders;
mod tally;
mod test;
#[cfg(feature = "web")]
mod web;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};

#[cfg(not(feature = "web"))]
use self::cargo::with_web;
use self::cargo::{cargo, exit_code, root};
use self::drivers::Driver;

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
    /// Fetch other Vulkan drivers than the installed one, and test on them (Debian on x86-64)
    #[command(subcommand)]
    Drivers(Drivers),
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
    /// Write a GGUF file of the shape of a Qwen3 model with random blocks in Q4_K_M, to measure memory and speed with
    Gguf {
        /// Which model's shape
        #[arg(long, value_name = "SIZE")]
        size: gguf::Size,
        /// File to write
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// Fewer layers than the model has
        #[arg(long, value_name = "N")]
        layers: Option<usize>,
        /// Another seed, other blocks
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Measure a GPU and test the kernels on it, with PyTorch beside it where Python has it, and write one report
    Gpu(card::Args),
    /// Build the page that scores, generates and trains, and serve it on the loopback device; or run the tests of kernels
    /// and golden models in headless Chromium
    #[cfg(feature = "web")]
    Web(web::Args),
    /// Build the page that scores, generates and trains, and serve it on the loopback device; or run the tests of kernels
    /// and golden models in headless Chromium
    #[cfg(not(feature = "web"))]
    #[command(disable_help_flag = true)]
    Web {
        /// As `cargo xtask web --help` says
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run the benchmarks
    Bench {
        /// Name the command that installs a missing software GPU driver instead of running it
        #[arg(long)]
        no_install: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Drivers {
    /// Fetch drivers into ~/.cache/wgr-drivers, or the folder that WGR_DRIVERS names; the system stays as it is
    Get {
        /// Which; all of them unless named
        drivers: Vec<Driver>,
    },
    /// Run `cargo test --workspace` with the tests on a driver, which is fetched if it is missing
    Test {
        /// The driver
        driver: Driver,
        /// What else to pass to cargo, such as `--test kernels -- swiglu`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run a compiled program on a driver that was fetched; programs that it starts itself may get the installed one
    Run {
        /// The driver
        driver: Driver,
        /// Path of the program
        program: PathBuf,
        /// Its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Say which adapter this process gets, and fail unless it is of this driver
    #[command(hide = true)]
    Check {
        /// The driver
        driver: Driver,
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
    // Programs on another driver run in the folder they were started in, and a card may be where the repository is not.
    if !matches!(task, Task::Drivers(Drivers::Run { .. })) && (root().is_dir() || !matches!(task, Task::Gpu(_))) {
        std::env::set_current_dir(root()).context("the repository is gone")?;
    }
    match task {
        Task::Demo { output, no_install } => {
            let adapter = adapter::ensure(no_install)?;
            demo::run(&adapter, &output)?;
        }
        Task::Test { no_device: true, .. } => return test::run_without_device(),
        Task::Test { no_install, .. } => return test::run(&adapter::ensure(no_install)?),
        Task::Drivers(task) => return on_drivers(task),
        Task::Shaders { directory } => {
            shaders::run(&directory)?;
            index::write()?;
        }
        Task::Logs { conversations, output, seed, shards, format } => {
            logs::run(conversations, &output, seed, shards, format)?;
        }
        Task::Gguf { size, output, layers, seed } => gguf::run(size, layers, seed, &output)?,
        Task::Gpu(args) => return card::run(&args),
        #[cfg(feature = "web")]
        Task::Web(args) => return web::run(&args),
        #[cfg(not(feature = "web"))]
        Task::Web { arguments } => {
            let status = with_web().args(arguments).status().context("cargo could not be started")?;
            return Ok(exit_code(status));
        }
        Task::Bench { no_install } => {
            adapter::ensure(no_install)?;
            let status = cargo(&["bench", "--workspace"]).status().context("cargo could not be started")?;
            return Ok(exit_code(status));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn on_drivers(task: Drivers) -> Result<ExitCode> {
    match task {
        Drivers::Get { drivers } => {
            let wanted = if drivers.is_empty() { Driver::value_variants() } else { &drivers };
            for driver in wanted {
                drivers::get(*driver)?;
                drivers::check(*driver)?;
            }
        }
        Drivers::Test { driver, arguments } => {
            drivers::get(driver)?;
            drivers::check(driver)?;
            let status = drivers::test(driver)?.args(arguments).status().context("cargo could not be started")?;
            return Ok(exit_code(status));
        }
        Drivers::Run { driver, program, arguments } => return drivers::run(driver, &program, &arguments),
        Drivers::Check { driver } => drivers::check_own(driver)?,
    }
    Ok(ExitCode::SUCCESS)
}
