//! Runs the programs in `examples/` as readers would, on a tiny model.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::cargo::cargo;

/// A causal model of a few kilobytes: random weights, and a token for each byte.
const MODEL: &str = "examples/tiny-llama";

/// Runs every example; those that score need what `train` writes.
pub(crate) fn run() -> Result<()> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let output = folder.path().join("reward-model");
    let output = output.to_str().context("the temporary folder has no Unicode name")?;
    let mut names = names()?;
    names.sort_by_key(|name| (name != "train", name.clone()));
    for name in &names {
        let arguments: &[&str] = match name.as_str() {
            "train" => &[MODEL, output],
            "score" => &[output],
            "generate" => &[MODEL, "hello"],
            _ => &[],
        };
        println!("\n{name} {}", arguments.join(" "));
        let mut program = cargo(&["run", "--quiet", "--example", name, "--"]);
        let output = program.args(arguments).stderr(Stdio::inherit()).output().context("cargo could not be started")?;
        println!("{}", printable(&String::from_utf8_lossy(&output.stdout)));
        ensure!(output.status.success(), "the example {name} failed");
    }
    Ok(())
}

/// A random model draws control characters too, which do not belong in a log.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The names of all examples.
fn names() -> Result<Vec<String>> {
    let mut names = vec![];
    for entry in std::fs::read_dir("examples").context("examples/ cannot be read")? {
        let path = entry.context("examples/ cannot be read")?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    Ok(names)
}
