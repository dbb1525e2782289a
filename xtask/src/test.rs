//! `cargo xtask test`: everything that CI runs, in order, up to the first failure.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use wgr::gpu::{AdapterSummary, Preset};

use crate::cargo::{cargo, exit_code, root};
use crate::tally::Tally;
use crate::{coverage, demo, examples, imports, index, shaders};

/// Variables of the environment and their values.
type Environment = &'static [(&'static str, &'static str)];

enum Work {
    /// cargo with these arguments.
    Cargo(&'static [&'static str], Environment),
    /// `cargo test` with these arguments and without the tests of these modules; what is run and left out is counted.
    Tests(&'static [&'static str], &'static [&'static str], Environment),
    /// A task of this program, given the adapter if there is one.
    Task(fn(Option<&AdapterSummary>) -> Result<()>),
}

// All stages use the development profile and the whole workspace, so that each crate is built once.
const STAGES: &[(&str, Work)] = &[
    ("format", Work::Cargo(&["fmt", "--all", "--check"], &[])),
    ("imports", Work::Task(|_| imports::run())),
    ("clippy", Work::Cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])),
    ("documentation", Work::Cargo(&["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])),
    ("shaders", Work::Task(|_| shaders::run(Path::new("target/shaders")))),
    ("docs/shaders.md", Work::Task(|_| index::check())),
    // All targets, and the examples in the documentation.
    ("tests", Work::Tests(&["--workspace"], &[], &[])),
    ("examples", Work::Task(|_| examples::run())),
];

/// lavapipe takes its subgroup width from this variable; these are the widths besides its default.
const SOFTWARE_STAGES: &[(&str, Work)] = &[
    ("kernels, subgroups of 4", Work::Tests(KERNELS, ALL_PERMUTATIONS, &[("LP_NATIVE_VECTOR_WIDTH", "128")])),
    ("kernels, subgroups of 16", Work::Tests(KERNELS, ALL_PERMUTATIONS, &[("LP_NATIVE_VECTOR_WIDTH", "512")])),
    ("kernels, coverage", Work::Task(|_| coverage::check(&checked_kernels()))),
];
const KERNELS: &[&str] = &["--workspace", "--test", "kernels"];
/// Minutes of compiling shaders for what does not depend on the width; they run at the usual one.
const ALL_PERMUTATIONS: &[&str] = &["_every_permutation", "_every_size_of_head"];

const LAST_STAGES: &[(&str, Work)] = &[("demo", Work::Task(demo_elsewhere))];

/// Tests that need no adapter: everything except the test targets `kernels`, `models` and `training`, the examples, also
/// those in the documentation, and these modules.
const STAGES_WITHOUT_DEVICE: &[(&str, Work)] = &[
    ("imports", Work::Task(|_| imports::run())),
    ("clippy", Work::Cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])),
    ("tests without a device", Work::Tests(TARGETS_WITHOUT_DEVICE, MODULES_ON_DEVICE, &[])),
];
const TARGETS_WITHOUT_DEVICE: &[&str] =
    &["--workspace", "--lib", "--bins", "--test", "extract", "--test", "cli", "--test", "eval"];
const MODULES_ON_DEVICE: &[&str] = &[
    "dpo::online::proof::",
    "extract::annotator::local::",
    "generate::tests::",
    "gpu::recording::",
    "kernels::bench::",
    "kernels::self_test::",
];

/// Runs all stages that suit the adapter.
pub fn run(adapter: &AdapterSummary) -> Result<ExitCode> {
    let software = if adapter.preset == Preset::Software { SOFTWARE_STAGES } else { &[] };
    in_order(STAGES.iter().chain(software).chain(LAST_STAGES), Some(adapter))
}

/// Runs what needs no adapter.
pub fn run_without_device() -> Result<ExitCode> {
    in_order(STAGES_WITHOUT_DEVICE.iter(), None)
}

/// Runs stages; the exit code is that of the first that failed. The last line counts the tests of all of them, and a
/// failure outside of tests as one.
fn in_order(
    stages: impl Iterator<Item = &'static (&'static str, Work)>,
    adapter: Option<&AdapterSummary>,
) -> Result<ExitCode> {
    // What an earlier run noted does not count.
    let _ = std::fs::remove_file(checked_kernels());
    let mut table = Vec::new();
    let mut tally = Tally::default();
    let mut code = ExitCode::SUCCESS;
    for (name, work) in stages {
        println!("\n==> {name}");
        let start = Instant::now();
        let failed_before = tally.failed();
        let failed = perform(work, adapter, &mut tally)?;
        table.push((*name, failed.is_none(), start.elapsed()));
        if let Some(failure) = failed {
            code = failure;
            if tally.failed() == failed_before {
                tally.fail();
            }
            break;
        }
    }
    println!("\n{}\n\n{tally}", summary(&table));
    Ok(code)
}

/// Does the work of a stage; the exit code if it failed.
fn perform(work: &Work, adapter: Option<&AdapterSummary>, tally: &mut Tally) -> Result<Option<ExitCode>> {
    match work {
        Work::Cargo(arguments, environment) => {
            let mut command = cargo(arguments);
            command.envs(environment.iter().copied());
            let status = command.status().context("cargo could not be started")?;
            Ok((!status.success()).then(|| exit_code(status)))
        }
        Work::Tests(arguments, left_out, environment) => {
            let mut command = cargo(&["test"]);
            command.env("WGR_CHECKED_KERNELS", checked_kernels());
            // Without the last flag a test that passes is not heard to say that it did nothing.
            command.args(*arguments).args(["--", "--show-output"]).envs(environment.iter().copied());
            command.args(left_out.iter().flat_map(|module| ["--skip", module]));
            let mut tests = command.stdout(Stdio::piped()).spawn().context("cargo could not be started")?;
            let output = tests.stdout.take().context("cargo was started without its output")?;
            for line in BufReader::new(output).split(b'\n') {
                let line = line.context("the output of cargo cannot be read")?;
                if let Some(shown) = tally.read(String::from_utf8_lossy(&line).trim_end_matches('\r')) {
                    println!("{shown}");
                }
            }
            let status = tests.wait().context("cargo could not be waited for")?;
            Ok((!status.success()).then(|| exit_code(status)))
        }
        Work::Task(task) => Ok(task(adapter).err().map(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        })),
    }
}

/// Where tests note what ran with the driver's checks.
fn checked_kernels() -> PathBuf {
    root().join("target/checked-kernels")
}

fn demo_elsewhere(adapter: Option<&AdapterSummary>) -> Result<()> {
    let adapter = adapter.context("the demo needs an adapter")?;
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
