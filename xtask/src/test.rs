//! `cargo xtask test`: everything that CI runs, in order, up to the first failure.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use wgr::gpu::{AdapterSummary, Preset};

use crate::{cargo, demo, exit_code, shaders};

/// Variables of the environment and their values.
type Environment = &'static [(&'static str, &'static str)];

enum Work {
    /// cargo with these arguments.
    Cargo(&'static [&'static str], Environment),
    /// A task of this program.
    Task(fn(&AdapterSummary) -> Result<()>),
}

// All stages use the development profile and the whole workspace, so that each crate is built once.
const STAGES: &[(&str, Work)] = &[
    ("format", Work::Cargo(&["fmt", "--all", "--check"], &[])),
    ("clippy", Work::Cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])),
    ("documentation", Work::Cargo(&["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])),
    ("shaders", Work::Task(|_| shaders::run(Path::new("target/shaders")))),
    ("tests", Work::Cargo(&["test", "--workspace"], &[])),
];

/// lavapipe takes the width of its subgroups from this variable; these are the widths other than its usual one.
const SOFTWARE_STAGES: &[(&str, Work)] = &[
    ("kernels, subgroups of 4", Work::Cargo(KERNELS, &[("LP_NATIVE_VECTOR_WIDTH", "128")])),
    ("kernels, subgroups of 16", Work::Cargo(KERNELS, &[("LP_NATIVE_VECTOR_WIDTH", "512")])),
];
const KERNELS: &[&str] = &["test", "--workspace", "--test", "kernels"];

const LAST_STAGES: &[(&str, Work)] = &[("demo", Work::Task(demo_elsewhere))];

/// Runs the stages; the exit code is that of the first that failed.
pub fn run(adapter: &AdapterSummary) -> Result<ExitCode> {
    let software = if adapter.preset == Preset::Software { SOFTWARE_STAGES } else { &[] };
    let mut table = Vec::new();
    let mut code = ExitCode::SUCCESS;
    for (name, work) in STAGES.iter().chain(software).chain(LAST_STAGES) {
        println!("\n==> {name}");
        let start = Instant::now();
        let failed = perform(work, adapter)?;
        table.push((*name, failed.is_none(), start.elapsed()));
        if let Some(failure) = failed {
            code = failure;
            break;
        }
    }
    println!("\n{}", summary(&table));
    Ok(code)
}

/// Does the work of a stage; the exit code if it failed.
fn perform(work: &Work, adapter: &AdapterSummary) -> Result<Option<ExitCode>> {
    match work {
        Work::Cargo(arguments, environment) => {
            let mut command = cargo(arguments);
            command.envs(environment.iter().copied());
            let status = command.status().context("cargo could not be started")?;
            Ok((!status.success()).then(|| exit_code(status)))
        }
        Work::Task(task) => Ok(task(adapter).err().map(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        })),
    }
}

fn demo_elsewhere(adapter: &AdapterSummary) -> Result<()> {
    let directory = tempfile::tempdir().context("no temporary folder")?;
    demo::run(adapter, &directory.path().join("demo"))
}

fn summary(stages: &[(&str, bool, Duration)]) -> String {
    let rows = stages.iter().map(|(name, passed, time)| {
        let verdict = if *passed { "pass" } else { "FAIL" };
        format!("{name:<26}{verdict}  {:>7.1} s", time.as_secs_f64())
    });
    rows.collect::<Vec<_>>().join("\n")
}
