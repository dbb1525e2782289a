//! Browsers that are installed.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// Names of a browser that runs WebGPU without a GPU.
const CHROMIUMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Shows a page to whoever sits here.
pub(crate) fn show(url: &str) -> Result<()> {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let command = if cfg!(windows) { ("explorer", url) } else { (program, url) };
    Command::new(command.0).arg(command.1).status().with_context(|| format!("{} could not be started", command.0))?;
    Ok(())
}

/// A Chromium: the one that `CHROMIUM` names, or one that is installed.
pub(crate) fn chromium() -> Option<OsString> {
    let works = |program: &OsString| {
        let quiet = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        quiet.is_ok_and(|status| status.success())
    };
    std::env::var_os("CHROMIUM").into_iter().chain(CHROMIUMS.map(OsString::from)).find(works)
}

/// A browser without a window, on the software GPU that it brings; it ends with this.
pub(crate) struct Headless(Child);

impl Headless {
    /// Opens a page, with what the browser keeps in `profile`.
    pub(crate) fn open(program: &OsString, profile: &Path, url: &str) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["--headless=new", "--no-sandbox", "--no-first-run", "--disable-extensions"]);
        command.args(["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]);
        command.arg(format!("--user-data-dir={}", profile.display())).arg(url);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| format!("{} could not be started", program.display()))?))
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.0.try_wait()? {
            Some(status) => bail!("the browser ended with {status}"),
            None => Ok(()),
        }
    }
}

impl Drop for Headless {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
