//! The same measurements with PyTorch, where Python has it: `benches/card.py` prints one JSON object per line.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::clock::Clock;
use super::report::Report;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Versions { pytorch: String },
    Measured { task: String, dtype: String, value: f64 },
    LeftOut { task: String, why: String },
}

const SCRIPT: &[u8] = include_bytes!("../../../benches/card.py");

/// Runs it for the time that is left; what it has printed by then counts.
pub(super) fn run(python: &Path, clock: &Clock, report: &mut Report) {
    if let Err(problem) = measure(python, clock, report) {
        report.leave_out("PyTorch", format!("{problem:#}"));
    }
}

fn measure(python: &Path, clock: &Clock, report: &mut Report) -> Result<()> {
    let left = clock.left().as_secs();
    if left < 10 {
        bail!("{left} s are left");
    }
    let mut process = Command::new(python)
        .args(["-", &left.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} could not be started", python.display()))?;
    // Dropped when it is written, which ends the script.
    let mut input = process.stdin.take().context("Python was started without its input")?;
    input.write_all(SCRIPT).context("Python does not read its script")?;
    drop(input);
    let output = process.stdout.take().context("Python was started without its output")?;
    for line in BufReader::new(output).lines() {
        let line = line.context("the output of Python cannot be read")?;
        println!("PyTorch: {line}");
        match serde_json::from_str(&line).with_context(|| format!("benches/card.py printed {line}"))? {
            Line::Versions { pytorch } => report.pytorch = Some(pytorch),
            Line::Measured { task, dtype, value } => {
                for row in report.rows.iter_mut().filter(|row| row.task == task) {
                    row.pytorch.insert(dtype.clone(), value);
                }
            }
            Line::LeftOut { task, why } => report.leave_out(format!("{task}, PyTorch"), why),
        }
    }
    let status = process.wait().context("Python could not be waited for")?;
    if !status.success() {
        bail!("benches/card.py ended with {status}");
    }
    Ok(())
}
