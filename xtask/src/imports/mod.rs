//! The stage `imports`: dependencies point down the table of rooms in `docs/ARCHITECTURE.md`, and no files of a crate
//! import each other in a circle.
//!
//! `token` and `source` read files, `modules` finds where their paths lead, `rooms` reads the table, `circles` looks for
//! circles. Between crates cargo itself refuses circles.

mod circles;
mod modules;
mod rooms;
mod source;
#[cfg(test)]
mod tests;
mod token;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use self::circles::circles;
use self::modules::{Arrow, Modules};
use self::rooms::Rooms;
use crate::cargo::cargo;

/// Where the table is.
const MAP: &str = "docs/ARCHITECTURE.md";

/// Checks the repository, which is the present folder.
pub(crate) fn run() -> Result<()> {
    let document = std::fs::read_to_string(MAP).with_context(|| format!("{MAP} cannot be read"))?;
    let rooms = Rooms::read(&document);
    let mut problems: Vec<String> = rooms
        .all()
        .filter(|room| !room.exists())
        .map(|room| format!("{MAP}: the table names `{}`, which is not there", room.display()))
        .collect();
    let mut files = 0;
    for root in crates()? {
        let modules = Modules::read(&root, &|file| std::fs::read_to_string(file).ok())?;
        files += modules.files().count();
        problems.extend(objections(&rooms, &modules));
    }
    problems.iter().for_each(|problem| println!("{problem}"));
    ensure!(problems.is_empty(), "move what both sides need into a file of its own below them, or correct the table");
    println!("{files} files, no arrow up and no circle");
    Ok(())
}

/// The roots of all libraries and programs of the workspace.
fn crates() -> Result<Vec<PathBuf>> {
    let output =
        cargo(&["metadata", "--no-deps", "--format-version", "1"]).output().context("cargo cannot be started")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo says nothing of the workspace")?;
    let here = std::env::current_dir().context("the repository is gone")?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let targets = list(&metadata["packages"]).into_iter().flat_map(|package| list(&package["targets"]));
    let is_crate =
        |target: &Value| list(&target["kind"]).iter().any(|kind| ["bin", "cdylib", "lib"].iter().any(|of| kind == of));
    let root = |target: Value| Some(Path::new(target["src_path"].as_str()?).strip_prefix(&here).ok()?.to_owned());
    Ok(targets.filter(is_crate).filter_map(root).collect())
}

/// What is wrong with a crate.
fn objections(rooms: &Rooms, modules: &Modules) -> Vec<String> {
    let homeless = modules.files().filter(|file| rooms.of(file).is_none());
    let homeless = homeless.map(|file| format!("{}: is in no room of the table in {MAP}", file.display()));
    let arrows = modules.arrows();
    let mut problems: Vec<String> = homeless.collect();
    problems.extend(arrows.iter().filter_map(|arrow| rooms.objection(arrow)));
    problems.extend(circles(&arrows).iter().map(|circle| {
        let step = |arrow: &&Arrow| {
            let (from, to) = (arrow.from.display(), arrow.to.display());
            format!("\n  {from}:{}: `{}` is in {to}", arrow.line, arrow.path)
        };
        format!("files import each other in a circle:{}", circle.iter().map(step).collect::<String>())
    }));
    problems
}
