//! The repository, and the cargo that runs these tasks.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::LazyLock;

/// Whether this machine has an MPI to build with, as the feature `mpi` needs it.
static HAS_MPI: LazyLock<bool> =
    LazyLock::new(|| Command::new("mpicc").arg("--version").output().is_ok_and(|output| output.status.success()));

/// The repository, wherever the task was started.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The cargo that runs this task. What it builds has MPI where there is one, so that everything is built and tested once.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    if let Some((task, rest)) = arguments.split_first() {
        let builds = ["bench", "clippy", "doc", "run", "test"].contains(task);
        let features = if builds && *HAS_MPI { &["--features", "mpi"][..] } else { &[] };
        command.arg(task).args(features).args(rest);
    }
    // Cargo's variables about this crate would look like a change to other build scripts, which would run again.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // Vulkan drivers complain about its absence, once for every device that a test opens.
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    }
    command
}

/// `cargo xtask web`, in this program built anew with what makes modules for pages: nothing else needs that.
pub(crate) fn with_web() -> Command {
    cargo(&["run", "--quiet", "--bin", "xtask", "--features", "xtask/web", "--", "web"])
}

/// The exit code of a program; 1 where a signal ended it.
pub(crate) fn exit_code(status: std::process::ExitStatus) -> ExitCode {
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
