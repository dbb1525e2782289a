//! Programs on one of the drivers.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use wgr::gpu::{AdapterChoice, Gpu, adapters};

use super::driver::{Driver, LIBRARIES, Libraries, is_complete, manifest};
use crate::cargo::cargo;

/// Runs a program on a driver, in place of this one: who ends this process ends the program, and sees how it ended.
///
/// # Errors
/// If the driver was not fetched or the program does not start.
#[cfg(unix)]
pub(crate) fn run(driver: Driver, program: &Path, arguments: &[OsString]) -> Result<ExitCode> {
    let problem = std::os::unix::process::CommandExt::exec(on(driver, program)?.args(arguments));
    Err(problem).with_context(|| format!("{} could not be started", program.display()))
}

/// The drivers are for Linux.
#[cfg(not(unix))]
pub(crate) fn run(driver: Driver, _: &Path, _: &[OsString]) -> Result<ExitCode> {
    anyhow::bail!("the driver {} is for Linux on x86-64", driver.name())
}

/// `cargo test` of the workspace, whose tests run on a driver. They are built as for any other.
pub(crate) fn test(driver: Driver) -> Result<Command> {
    let own = std::env::current_exe().context("this program does not find itself")?;
    let own = own.to_str().context("the path of this program is not Unicode")?;
    // Literal strings of TOML, in which only their quotes have a meaning.
    let runner = [own, "drivers", "run", driver.name()].map(|word| format!("'{word}'")).join(", ");
    let runner = format!("target.x86_64-unknown-linux-gnu.runner = [{runner}]");
    Ok(cargo(&["test", "--config", &runner, "--workspace"]))
}

/// Starts this program on a driver to see that programs get it, and prints its name and version.
pub(crate) fn check(driver: Driver) -> Result<()> {
    let own = std::env::current_exe().context("this program does not find itself")?;
    let status = on(driver, &own)?.args(["drivers", "check", driver.name()]).status();
    ensure!(status.context("this program does not start again")?.success(), "{} does not work here", driver.name());
    Ok(())
}

/// Opens the adapter of this process; an error unless the driver serves it.
pub(crate) fn check_own(driver: Driver) -> Result<()> {
    let choice = AdapterChoice::default();
    for adapter in pollster::block_on(adapters(&choice))? {
        println!("adapter: {} ({}, {}), driver {}", adapter.name, adapter.kind, adapter.backend, adapter.driver);
    }
    // Open, so that the loader keeps the driver in memory.
    let gpu = pollster::block_on(Gpu::open(&choice))?;
    let file = driver.folder()?.join("root").join(driver.source().file);
    let file = file.canonicalize().with_context(|| format!("{} cannot be found", file.display()))?;
    let maps = fs::read_to_string("/proc/self/maps").context("/proc/self/maps cannot be read")?;
    ensure!(maps.contains(&*file.to_string_lossy()), "{} is not of the driver {}", gpu.name(), file.display());
    Ok(())
}

/// A program that will find one driver, and no other.
fn on(driver: Driver, program: &Path) -> Result<Command> {
    let folder = driver.folder()?;
    let name = driver.name();
    ensure!(
        is_complete(&driver.source(), &folder),
        "the driver {name} is not here: run `cargo xtask drivers get {name}`"
    );
    // A name alone is one of the folder, not of PATH, for both kinds of start.
    let program = program.canonicalize().with_context(|| format!("{} cannot be found", program.display()))?;
    let libraries = folder.join("root").join(LIBRARIES);
    let mut command = match driver.source().libraries {
        Libraries::System => {
            let others = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
            let paths = std::iter::once(libraries).chain(std::env::split_paths(&others));
            let mut command = Command::new(program);
            command.env("LD_LIBRARY_PATH", std::env::join_paths(paths).context("a path to libraries holds a colon")?);
            command
        }
        // A program uses the C library of the loader that starts it.
        Libraries::Own => {
            let mut command = Command::new(folder.join("root/usr/lib64/ld-linux-x86-64.so.2"));
            command.arg("--library-path").arg(libraries).arg(program);
            command
        }
    };
    // The second is what loaders before 1.3.207 read.
    for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
        command.env(variable, manifest(&folder));
    }
    // Versions of Mesa would share one cache, whose keys also leave out the width of vectors.
    let width = std::env::var("LP_NATIVE_VECTOR_WIDTH").unwrap_or("default".into());
    command.env("MESA_SHADER_CACHE_DIR", folder.join("shaders").join(width));
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    }
    Ok(command)
}
