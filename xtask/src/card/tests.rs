//! The kernel tests, against their twins on the card.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};

use anyhow::{Context, Result, bail};
use wgr::gpu::AdapterChoice;

use super::clock::Clock;
use super::report::Report;
use crate::cargo::cargo;

const KERNELS: &[&str] = &["test", "--release", "--workspace", "--test", "kernels"];

/// The tests, ready to run.
pub(super) struct Tests(Command);

impl Tests {
    /// Those of a file, or those that cargo compiles now, before the clock starts.
    pub(super) fn new(file: Option<&Path>) -> Result<Self> {
        if let Some(file) = file {
            return Ok(Self(Command::new(file)));
        }
        let status = cargo(KERNELS).arg("--no-run").status().context("cargo could not be started")?;
        if !status.success() {
            bail!("the kernel tests could not be built: {status}");
        }
        Ok(Self(cargo(KERNELS)))
    }
}

/// Runs them for half of the time that is left at most, and notes their closing line.
pub(super) fn run(tests: Result<Tests>, choice: &AdapterChoice, clock: &Clock, report: &mut Report) {
    let what = "kernel tests";
    if choice.name.is_some() {
        return report.leave_out(what, "they run on the adapter that is chosen without --adapter");
    }
    match tests.and_then(|tests| closing_line(tests, clock)) {
        Ok(line) => report.kernel_tests = Some(line),
        Err(problem) => report.leave_out(what, format!("{problem:#}")),
    }
}

fn closing_line(Tests(mut command): Tests, clock: &Clock) -> Result<String> {
    let mut tests = command.stdout(Stdio::piped()).spawn().context("they could not be started")?;
    let output = tests.stdout.take().context("they were started without their output")?;
    let (send, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| send.send(line))
    });
    let deadline = std::time::Instant::now() + clock.left() / 2;
    let mut closing = None;
    let mut failed = vec![];
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(std::time::Instant::now())) {
            Ok(line) => {
                println!("{line}");
                if let Some(name) = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED")) {
                    failed.push(name.to_owned());
                }
                if line.starts_with("test result: ") {
                    closing = Some(line);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                stop(&mut tests)?;
                bail!("they took more than half of the time that was left; failed until then: {}", failed.len());
            }
        }
    }
    tests.wait().context("they could not be waited for")?;
    let _ = reader.join();
    let closing = closing.context("they ended without a result")?;
    Ok(if failed.is_empty() { closing } else { format!("{closing}: {}", failed.join(", ")) })
}

fn stop(tests: &mut Child) -> Result<()> {
    tests.kill().context("they could not be stopped")?;
    tests.wait().context("they could not be waited for")?;
    Ok(())
}
