//! Runs of several ranks on tiny models.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "../../../tests/support/words.rs"]
mod words;

pub(crate) use words::text;

pub(crate) fn wgr() -> &'static str {
    env!("CARGO_BIN_EXE_wgr")
}

/// `mpirun` for ranks that share the processors of this machine, each with one thread of the software driver.
pub(crate) fn mpirun() -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]);
    command.env("LP_NUM_THREADS", "1").env("WGR_RANK_TIMEOUT", "120");
    command
}

/// A temporary folder with a tiny model and rows for it.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("rows.jsonl", (0..48).map(labelled));
        place.write("held-out.jsonl", (100..107).map(labelled));
        place
    }

    /// One for a test of several ranks, or `None`, said in a line, where they cannot be started.
    pub(crate) fn of_ranks() -> Option<Self> {
        if !wgr::ranks::WITH_MPI {
            println!("skipped: built without the feature `mpi`");
            return None;
        }
        Some(Self::new())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, rows: impl Iterator<Item = Value>) {
        std::fs::write(self.path(name), rows.map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    }

    /// A model of `tests/golden`.
    pub(crate) fn model(&self, name: &str) -> String {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name);
        words::model(&golden, self.path(name)).display().to_string()
    }

    /// A command with flags that name what is in the folder.
    pub(crate) fn flags(&self, command: &str, files: &[(&str, &str)]) -> Vec<String> {
        let of_file = |(flag, file): &(&str, &str)| [(*flag).to_owned(), self.path(file).display().to_string()];
        std::iter::once(command.to_owned()).chain(files.iter().flat_map(of_file)).collect()
    }

    /// The flags of a run of six steps, whose output has this name.
    pub(crate) fn training(&self, output: &str) -> Vec<String> {
        self.model("llama");
        let files =
            [("--model", "llama"), ("--data", "rows.jsonl"), ("--output", output), ("--eval-data", "held-out.jsonl")];
        let mut flags = self.flags("train", &files);
        // Of CORN, the number of terms depends on the labels, so that shares of a step weigh differently.
        let rest = "--objective corn --batch-size 4 --grad-accum 2 --lr 1e-3 --schedule constant --warmup-ratio 0";
        flags.extend(rest.split(' ').map(str::to_owned));
        flags
    }

    /// Runs a command with more flags on so many ranks.
    #[track_caller]
    pub(crate) fn run(&self, ranks: usize, flags: &[String], more: &[&str]) {
        let ended = self.ended(ranks, flags, more);
        assert!(ended.status.success(), "{ranks} ranks: {}", stderr(&ended));
    }

    /// How a command ends with more flags on so many ranks.
    pub(crate) fn ended(&self, ranks: usize, flags: &[String], more: &[&str]) -> Output {
        let mut command = match ranks {
            1 => Command::new(wgr()),
            _ => mpirun(),
        };
        if ranks > 1 {
            command.args(["-n", &ranks.to_string(), wgr()]);
        }
        command.args(flags).args(more).output().unwrap()
    }

    pub(crate) fn metrics(&self, output: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(output).join("metrics.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The weights that a run has written.
    pub(crate) fn weights(&self, output: &str) -> Vec<u8> {
        std::fs::read(self.path(output).join("model.safetensors")).unwrap()
    }
}

pub(crate) fn labelled(number: usize) -> Value {
    json!({"id": format!("r{number}"), "text": text(number), "label": 1 + number * 7 % 4})
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
