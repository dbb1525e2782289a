//! `cargo xtask test`: everything that CI runs, in order, up to the first failure.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use wgr::gpu::{AdapterSummary, Preset};

use crate::cargo::{cargo, exit_code, root, with_web};
use crate::drivers::{self, Driver};
use crate::tally::Tally;
use crate::{chromium, coverage, demo, examples, imports, index, shaders};

/// Variables of the environment and their values.
type Environment = &'static [(&'static str, &'static str)];

enum Work {
    /// cargo with these arguments.
    Cargo(&'static [&'static str], Environment),
    /// `cargo test` with these arguments and without the tests of these modules, with vectors of as many bits as said or as
    /// the driver chooses; what is run and left out is counted.
    Tests(&'static [&'static str], &'static [&'static str], Option<&'static str>),
    /// The tests of one target on another driver, skipped where that cannot be had: the tests whose names contain one of
    /// these words, if there are any, without the slow ones and those of these modules.
    OnDriver(Driver, &'static str, &'static [&'static str], &'static [&'static str]),
    /// The tests in a page, begun within so many minutes, skipped where there is no browser for them: all but those whose
    /// names contain one of these words. A browser keeps one core busy, so they run beside the stages after them.
    InPage(u64, &'static [&'static str]),
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
    ("tests", Work::Tests(&["--workspace"], &[], None)),
    ("examples", Work::Task(|_| examples::run())),
];

/// lavapipe takes the size of its subgroups from the width of its vectors; these are the sizes besides its default, on which
/// the kernels for ordinary GPUs do not run again.
const SOFTWARE_STAGES: &[(&str, Work)] = &[
    ("kernels, subgroups of 4", Work::Tests(KERNELS, SLOW, Some("128"))),
    ("kernels, subgroups of 16", Work::Tests(KERNELS, SLOW, Some("512"))),
];
/// Kernels for ordinary GPUs use no subgroups, and take minutes to compile on software drivers: they run on the installed
/// one, on SwiftShader and in a page. `tests/kernels` reads this.
const OWN_PRESET: &str = "WGR_OWN_PRESET";
const KERNELS: &[&str] = &["--workspace", "--test", "kernels"];

/// Minutes of compiling shaders, for what hardly depends on the width or the driver; they run at the usual ones.
const SLOW: &[&str] = &[
    "_every_permutation",
    "_every_size_of_head",
    "every_tiling_agrees",
    "no_bit_depends_on_the_variant",
    "nt_adds_bias_and_residual",
    "nt_agrees_in_every_storage_type",
    "over_chunks_of_the_vocabulary",
    "products_agree_on_every_kind",
    "the_same_products_agree_without_cooperative_matrices",
];

/// Other drivers make other code of the same shaders, and SwiftShader has other subgroups and limits.
const DRIVER_STAGES: &[(&str, Work)] = &[
    ("kernels, Mesa 25", Work::OnDriver(Driver::Mesa25, "kernels", &[], SLOW_ON_MESA)),
    ("golden models, Mesa 25", Work::OnDriver(Driver::Mesa25, "models", &["golden::"], SLOW_ON_MESA_25)),
    ("kernels, Mesa of sid", Work::OnDriver(Driver::MesaSid, "kernels", &[], SLOW_ON_MESA)),
    ("golden models, Mesa of sid", Work::OnDriver(Driver::MesaSid, "models", &["golden::"], &[])),
    ("kernels, SwiftShader", Work::OnDriver(Driver::Swiftshader, "kernels", ON_SWIFTSHADER, &[])),
];
/// What is slow on these drivers as well. The golden models train with the same kernels.
const SLOW_ON_MESA: &[&str] = &[
    "attention_and_its_gradients_agree",
    "completions_that_share_a_prompt",
    "heads_of_any_size",
    "nt_agrees_in_every_permutation",
];
/// Its code of the attention of all precisions takes minutes to compile.
const SLOW_ON_MESA_25: &[&str] = &["in_mixed_precision"];
/// A few: a page runs most of the tests on this driver.
const ON_SWIFTSHADER: &[&str] = &["::a_sequence_gets_the_same_bits", "norm::", "objective::", "product::", "rowwise::"];

/// Under another compiler of WGSL, Tint, and another implementation of WebGPU, Dawn. It builds this program once more, in
/// the place of the one that runs, which stages on drivers start: it comes after them.
const PAGE_STAGES: &[(&str, Work)] = &[("page", Work::InPage(15, SLOW_IN_PAGE))];
/// What takes longest: golden models, the page itself, and kernels with many permutations to compile.
const SLOW_IN_PAGE: &[&str] = &[
    "attention_and_its_gradients_agree",
    "completions_that_share_a_prompt",
    "golden::",
    "heads_of_any_size",
    "nn_scales_the_product_alone",
    "nt_agrees_in_every_permutation",
    "page::",
    "quantized::a_row_gets_the_same_bits",
];

/// After all drivers, as some permutations run on one of them only.
const COVERAGE_STAGE: &[(&str, Work)] =
    &[("kernels, coverage", Work::Task(|adapter| coverage::check(&checked_kernels(), adapter)))];

const LAST_STAGES: &[(&str, Work)] = &[("demo", Work::Task(demo_elsewhere))];

/// Tests that need no adapter: everything except the test targets `kernels`, `models`, `ranks`, `serve` and `training`, the
/// examples, also those in the documentation, and these modules.
const STAGES_WITHOUT_DEVICE: &[(&str, Work)] = &[
    ("imports", Work::Task(|_| imports::run())),
    ("clippy", Work::Cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])),
    ("tests without a device", Work::Tests(TARGETS_WITHOUT_DEVICE, MODULES_ON_DEVICE, None)),
];
const TARGETS_WITHOUT_DEVICE: &[&str] =
    &["--workspace", "--lib", "--bins", "--test", "extract", "--test", "cli", "--test", "eval"];
const MODULES_ON_DEVICE: &[&str] = &[
    "core::tests::",
    "dpo::online::proof::",
    "extract::annotator::local::",
    "generate::tests::",
    "generation::tests::",
    "gpu::recording::",
    "gpu::replay::",
    "kernels::bench::",
    "kernels::open::",
    "kernels::self_test::",
    "kernels::tuner::",
    "train::gradients::",
    "train::saving::",
];

/// Runs all stages that suit the adapter.
pub(crate) fn run(adapter: &AdapterSummary) -> Result<ExitCode> {
    let (widths, coverage) = match adapter.preset {
        Preset::Software => (SOFTWARE_STAGES, COVERAGE_STAGE),
        Preset::Gpu => (&[][..], &[][..]),
    };
    in_order(
        STAGES.iter().chain(widths).chain(DRIVER_STAGES).chain(PAGE_STAGES).chain(coverage).chain(LAST_STAGES),
        Some(adapter),
    )
}

/// Runs what needs no adapter.
pub(crate) fn run_without_device() -> Result<ExitCode> {
    in_order(STAGES_WITHOUT_DEVICE.iter(), None)
}

/// How a stage ended.
enum Outcome {
    Passed,
    Skipped,
    Failed(ExitCode),
}

impl Outcome {
    fn of(status: ExitStatus) -> Self {
        if status.success() { Self::Passed } else { Self::Failed(exit_code(status)) }
    }
}

/// A stage that has ended.
struct Ended {
    name: &'static str,
    outcome: Outcome,
    tally: Tally,
    time: Duration,
}

/// What the stages came to.
struct Report {
    table: Vec<String>,
    tally: Tally,
    /// That of the first stage that failed.
    code: ExitCode,
}

impl Report {
    /// Takes the end of a stage; whether it failed. A failure outside of tests counts as one, as does a stage that is
    /// skipped.
    fn take(&mut self, Ended { name, outcome, mut tally, time }: Ended) -> bool {
        let verdict = match outcome {
            Outcome::Passed => "pass",
            Outcome::Skipped => {
                tally.skip();
                "skip"
            }
            Outcome::Failed(code) => {
                if tally.failed() == 0 {
                    tally.fail();
                }
                if self.code == ExitCode::SUCCESS {
                    self.code = code;
                }
                "FAIL"
            }
        };
        self.table.push(format!("{name:<28}{verdict}  {:>7.1} s", time.as_secs_f64()));
        self.tally.add(tally);
        verdict == "FAIL"
    }
}

/// A stage that runs beside those after it. What it says is shown when they have ended.
struct Beside(JoinHandle<Result<(Ended, Vec<String>)>>);

impl Beside {
    fn start(name: &'static str, mut command: Command) -> Self {
        let start = Instant::now();
        Self(std::thread::spawn(move || {
            let (output, writer) = std::io::pipe().context("no pipe can be made")?;
            command.stdout(writer.try_clone().context("no pipe can be made")?).stderr(writer);
            let mut tests = command.spawn().context("cargo could not be started")?;
            // The output ends when nobody can write to it.
            drop(command);
            let (mut tally, mut lines) = (Tally::default(), vec![]);
            count(output, &mut tally, |line| lines.push(line))?;
            let outcome = Outcome::of(tests.wait().context("cargo could not be waited for")?);
            Ok((Ended { name, outcome, tally, time: start.elapsed() }, lines))
        }))
    }

    fn finish(self, report: &mut Report) -> Result<()> {
        let (ended, lines) = self.0.join().expect("a stage does not panic")?;
        println!("\n==> {}\n{}", ended.name, lines.join("\n"));
        report.take(ended);
        Ok(())
    }
}

/// Runs stages up to the first that fails. The last line counts the tests of all of them.
fn in_order(
    stages: impl Iterator<Item = &'static (&'static str, Work)>,
    adapter: Option<&AdapterSummary>,
) -> Result<ExitCode> {
    // What an earlier run noted does not count.
    let _ = std::fs::remove_file(checked_kernels());
    let mut report = Report { table: vec![], tally: Tally::default(), code: ExitCode::SUCCESS };
    let mut beside = vec![];
    for (name, work) in stages {
        println!("\n==> {name}");
        let start = Instant::now();
        let mut tally = Tally::default();
        // What runs beside must end before an error does, too.
        let performed = perform(work, adapter, &mut tally).unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            Performed::Now(Outcome::Failed(ExitCode::FAILURE))
        });
        match performed {
            Performed::Now(outcome) => {
                if report.take(Ended { name, outcome, tally, time: start.elapsed() }) {
                    break;
                }
            }
            Performed::Beside(command) => {
                println!("beside the stages after it, and shown after them");
                beside.push(Beside::start(name, command));
            }
        }
    }
    for stage in beside {
        stage.finish(&mut report)?;
    }
    println!("\n{}\n\n{}", report.table.join("\n"), report.tally);
    Ok(report.code)
}

/// What became of the work of a stage.
enum Performed {
    Now(Outcome),
    /// This runs its tests, beside other stages.
    Beside(Command),
}

/// Does the work of a stage.
fn perform(work: &Work, adapter: Option<&AdapterSummary>, tally: &mut Tally) -> Result<Performed> {
    use Performed::{Beside, Now};
    let outcome = match work {
        Work::Cargo(arguments, environment) => {
            let mut command = cargo(arguments);
            command.envs(environment.iter().copied());
            Outcome::of(command.status().context("cargo could not be started")?)
        }
        Work::Tests(arguments, left_out, width) => {
            let mut command = cargo(&["test"]);
            command.args(*arguments);
            if let Some(width) = width {
                // The keys of the driver's cache leave the width out.
                let shaders = root().join("target/driver-cache").join(width);
                // The driver makes this folder, not those above it.
                std::fs::create_dir_all(root().join("target/driver-cache"))
                    .context("target/driver-cache cannot be made")?;
                command.env("LP_NATIVE_VECTOR_WIDTH", width).env("MESA_SHADER_CACHE_DIR", shaders).env(OWN_PRESET, "1");
            }
            tests(command, &[], left_out, tally)?
        }
        Work::OnDriver(driver, target, only, left_out) => {
            if let Err(problem) = drivers::get(*driver) {
                println!("skipped: {problem:#}");
                return Ok(Now(Outcome::Skipped));
            }
            if let Err(problem) = drivers::check(*driver) {
                eprintln!("error: {problem:#}");
                return Ok(Now(Outcome::Failed(ExitCode::FAILURE)));
            }
            let mut command = drivers::test(*driver)?;
            command.args(["--test", target]).env(OWN_PRESET, "1");
            tests(command, only, &[SLOW, left_out].concat(), tally)?
        }
        Work::InPage(minutes, left_out) => {
            if let Some(missing) = chromium::missing() {
                println!("skipped: {missing}");
                return Ok(Now(Outcome::Skipped));
            }
            let mut command = with_web();
            command.args(["--test", "--minutes"]).arg(minutes.to_string());
            command.args([SLOW, left_out].concat().into_iter().flat_map(|test| ["--skip", test]));
            return Ok(Beside(command));
        }
        Work::Task(task) => match task(adapter) {
            Ok(()) => Outcome::Passed,
            Err(error) => {
                eprintln!("error: {error:#}");
                Outcome::Failed(ExitCode::FAILURE)
            }
        },
    };
    Ok(Now(outcome))
}

/// Runs `cargo test`, with the tests whose names contain one of the words if there are any.
fn tests(mut command: Command, only: &[&str], left_out: &[&str], tally: &mut Tally) -> Result<Outcome> {
    command.env("WGR_CHECKED_KERNELS", checked_kernels());
    // Without the flag a test that passes is not heard to say that it did nothing.
    command.args(["--", "--show-output"]).args(only);
    command.args(left_out.iter().flat_map(|module| ["--skip", module]));
    counted(command, tally)
}

/// Runs a runner of tests, and counts what it says.
fn counted(mut command: Command, tally: &mut Tally) -> Result<Outcome> {
    let mut tests = command.stdout(Stdio::piped()).spawn().context("cargo could not be started")?;
    let output = tests.stdout.take().context("cargo was started without its output")?;
    count(output, tally, |line| println!("{line}"))?;
    Ok(Outcome::of(tests.wait().context("cargo could not be waited for")?))
}

/// Counts what a runner of tests says, and shows it line by line.
fn count(output: impl Read, tally: &mut Tally, mut show: impl FnMut(String)) -> Result<()> {
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("the output of cargo cannot be read")?;
        if let Some(shown) = tally.read(String::from_utf8_lossy(&line).trim_end_matches('\r')) {
            show(shown);
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(closing_line: &str) -> Tally {
        let mut tally = Tally::default();
        tally.read(closing_line);
        tally
    }

    #[test]
    fn stages_add_up_and_the_first_failure_gives_the_code() {
        let mut report = Report { table: vec![], tally: Tally::default(), code: ExitCode::SUCCESS };
        let mut take = |outcome, tally| report.take(Ended { name: "stage", outcome, tally, time: Duration::ZERO });
        assert!(!take(Outcome::Passed, tally("test result: ok. 3 passed; 0 failed; 1 ignored")));
        assert!(!take(Outcome::Skipped, Tally::default()));
        assert!(take(Outcome::Failed(ExitCode::from(7)), tally("test result: FAILED. 2 passed; 4 failed")));
        assert!(take(Outcome::Failed(ExitCode::FAILURE), Tally::default()), "clippy, say");
        assert_eq!(report.tally.to_string(), "5 passed, 5 failed, 2 skipped");
        assert_eq!(report.code, ExitCode::from(7));
    }

    #[test]
    fn what_a_stage_says_beside_others_is_kept() {
        let mut refused = cargo(&["--version", "--no-such-option"]);
        refused.env("CARGO_TERM_COLOR", "never");
        for (command, succeeds, said) in
            [(cargo(&["--version"]), true, "cargo 1"), (refused, false, "--no-such-option")]
        {
            let (ended, lines) = Beside::start("stage", command).0.join().unwrap().unwrap();
            assert_eq!(matches!(ended.outcome, Outcome::Passed), succeeds);
            assert!(lines.join("\n").contains(said), "{lines:?}");
        }
    }
}
