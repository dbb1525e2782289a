//! The one error type of the library: every variant names the file, row, tensor or setting at fault and says what to do.
//!
//! A setting is written as the field that holds it, with a dot and in backticks: `` `.max_length` ``. Whoever prints errors
//! to people who set it by another name can thus find it and put that name in its place, as the command line does with
//! `--max-length`.

use std::path::{Path, PathBuf};

/// Everything that can go wrong, as one plain sentence with a hint.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something the user gave is wrong: a file, a row, a tensor, a config field or a setting.
    #[error("{at}: {problem}{}", hint_suffix(hint))]
    Input {
        /// Where: `data.jsonl:12`, `row "r7"`, `model.safetensors: tensor "score.weight"`, `.levels`.
        at: String,
        /// The problem.
        problem: String,
        /// What to do about it; may be empty.
        hint: String,
    },
    /// A setting without which nothing runs is missing.
    #[error("`.{setting}`: is missing")]
    Missing {
        /// The field that holds it, without a dot.
        setting: &'static str,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// No adapter can run the engine.
    #[error("no usable GPU adapter: {reason}{}", hint_suffix(hint))]
    NoAdapter {
        /// Why.
        reason: String,
        /// How to get one.
        hint: String,
    },
    /// The device ran out of memory, was lost, or refused a command.
    #[error("the adapter failed while {doing}: {problem}{}", hint_suffix(hint))]
    Device {
        /// The operation: an allocation, a step, a read-back.
        doing: String,
        /// The driver's message.
        problem: String,
        /// What to do about it.
        hint: String,
    },
    /// A kernel was given parameters or tensors that are not what its shader declares.
    #[error("kernel {kernel}: {problem}")]
    Kernel {
        /// The kernel, `file/entry`.
        kernel: String,
        /// What differs, with the operand.
        problem: String,
    },
    /// A run had to stop: the loss or a tensor is no longer finite, the user asked, the plan does not fit.
    #[error("{problem}{}", hint_suffix(hint))]
    Run {
        /// What happened, with the step and the tensor.
        problem: String,
        /// What to do about it.
        hint: String,
    },
    /// A rank of the run failed, does not answer, or is not like the others.
    #[error("rank {rank} on {host}: {problem}")]
    Rank {
        /// The number of the rank.
        rank: usize,
        /// Its host.
        host: String,
        /// What happened there.
        problem: String,
        /// Whether it cannot say so itself, as it does not answer.
        silent: bool,
    },
    /// Ctrl-C: the run stopped at a step boundary and wrote what it had.
    #[error("interrupted: {0}")]
    Interrupted(String),
}

fn hint_suffix(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!(" ({hint})") }
}

impl Error {
    /// Bad input at a named place.
    pub fn input(at: impl Into<String>, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Input { at: at.into(), problem: problem.into(), hint: hint.into() }
    }

    /// The same error of bad input, at a place within another: `row "a": template.jinja:3`.
    pub fn within(self, outer: &str) -> Self {
        match self {
            Self::Input { at, problem, hint } => Self::Input { at: format!("{outer}: {at}"), problem, hint },
            other => other,
        }
    }

    /// A file that could not be read or written.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), source }
    }

    /// A run that cannot continue.
    pub fn run(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Run { problem: problem.into(), hint: hint.into() }
    }

    /// A device that failed.
    pub fn device(doing: impl Into<String>, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Device { doing: doing.into(), problem: problem.into(), hint: hint.into() }
    }

    /// A kernel whose arguments do not fit.
    pub fn kernel(kernel: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Kernel { kernel: kernel.into(), problem: problem.into() }
    }

    /// The process exit code: 2 for wrong usage or bad input, 1 for a run that failed.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input { .. } | Self::Missing { .. } => 2,
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => 2,
            _ => 1,
        }
    }
}

/// Short for a result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
