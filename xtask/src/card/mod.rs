//! `cargo xtask gpu`: the report of a card, in one command and a few minutes, for whoever has one for a short time.
//!
//! The most telling measurements come first, each is written down as soon as it is made, and one that would not fit into
//! the time left is left out by name.

mod clock;
mod kernels;
mod models;
mod pytorch;
mod report;
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use wgr::gpu::{AdapterChoice, AdapterSummary, adapters};
use wgr::kernels::{self as engine, Passes};

use self::clock::Clock;
use self::report::Report;
use crate::cargo::{cargo, exit_code};

/// Flags of `cargo xtask gpu`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder for report.json and report.md
    #[arg(long, default_value = "target/gpu")]
    output: PathBuf,
    /// Minutes after which nothing new is begun; building does not count
    #[arg(long, default_value_t = 8.0)]
    minutes: f64,
    /// The adapter: part of its name or its index in `wgr devices`
    #[arg(long)]
    adapter: Option<String>,
    /// Python with PyTorch and transformers, for the same measurements with them; those are left out where it has neither
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Kernel tests that are built already, where there is no cargo; cargo builds them otherwise
    #[arg(long, value_name = "FILE")]
    kernel_tests: Option<PathBuf>,
}

/// Builds with optimization first, unless this program is built so.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if cfg!(debug_assertions) {
        let own: Vec<_> = std::env::args_os().skip(1).collect();
        let mut command = cargo(&["run", "--release", "--bin", "xtask", "--"]);
        return Ok(exit_code(command.args(own).status().context("cargo could not be started")?));
    }
    let tests = tests::Tests::new(args.kernel_tests.as_deref());
    let clock = Clock::start(Duration::from_secs_f64(60.0 * args.minutes));
    let choice = AdapterChoice { name: args.adapter.clone(), ..AdapterChoice::default() };
    let mut report = Report::new(chosen(&choice)?);
    report.write(&args.output)?;
    pollster::block_on(measure(&choice, &clock, &mut report, &args.output))?;
    tests::run(tests, &choice, &clock, &mut report);
    pytorch::run(&args.python, &clock, &mut report);
    report.seconds = clock.seconds();
    report.write(&args.output)?;
    println!("{}", report.markdown());
    println!("{} and report.md have it all", args.output.join("report.json").display());
    Ok(ExitCode::SUCCESS)
}

/// What the library would choose.
fn chosen(choice: &AdapterChoice) -> Result<AdapterSummary> {
    let gpu = pollster::block_on(wgr::gpu::Gpu::open(choice))?;
    let all = pollster::block_on(adapters(&AdapterChoice::default()))?;
    all.into_iter().find(|adapter| adapter.name == gpu.name()).context("the adapter went away")
}

async fn measure(choice: &AdapterChoice, clock: &Clock, report: &mut Report, output: &Path) -> Result<()> {
    // Tests itself, and picks the variants of kernels.
    let gpu = match engine::open(choice, Passes::ForwardAndBackward).await {
        Ok(gpu) => gpu,
        Err(problem) => {
            report.self_test = problem.to_string();
            return Ok(());
        }
    };
    report.self_test = "passed".into();
    report.start_seconds = clock.seconds();
    report.ceilings = Some(engine::bench::ceilings(&gpu).await?);
    report.write(output)?;
    kernels::products(&gpu, clock, report).await;
    report.write(output)?;
    kernels::attention(&gpu, clock, report).await;
    report.write(output)?;
    models::training(&gpu, clock, report).await;
    report.write(output)?;
    models::decoding(&gpu, clock, report).await;
    report.write(output)?;
    models::adapters(&gpu, clock, report).await;
    report.write(output)
}
