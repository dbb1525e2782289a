//! Browsers that are installed.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::devtools::Page;

/// How long a browser may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often to look whether it has.
const LOOK: Duration = Duration::from_millis(100);

/// Shows a page to whoever sits here.
pub(crate) fn show(url: &str) -> Result<()> {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let command = if cfg!(windows) { ("explorer", url) } else { (program, url) };
    Command::new(command.0).arg(command.1).status().with_context(|| format!("{} could not be started", command.0))?;
    Ok(())
}

/// A browser without a window, on the software GPU that it brings; it ends with this.
pub(crate) struct Headless {
    browser: Child,
    /// What it keeps, which goes when it has ended.
    profile: TempDir,
}

impl Headless {
    /// Opens a page.
    pub(crate) fn open(program: &OsStr, url: &str) -> Result<Self> {
        let profile = tempfile::tempdir().context("no temporary folder")?;
        let mut command = Command::new(program);
        command.args(["--headless=new", "--no-sandbox", "--no-first-run", "--disable-extensions"]);
        command.args(["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--remote-debugging-port=0"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg(url);
        let browser = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let browser = browser.with_context(|| format!("{} could not be started", program.display()))?;
        Ok(Self { browser, profile })
    }

    /// An empty page by its debugging port, whose downloads go to a folder.
    pub(crate) fn page(&mut self, downloads: &Path) -> Result<Page> {
        let (file, start) = (self.profile.path().join("DevToolsActivePort"), Instant::now());
        loop {
            // It is written in two steps.
            match fs::read_to_string(&file) {
                Ok(port) if port.contains("/devtools/") => return Page::open(&port, downloads),
                _ => ensure!(start.elapsed() < PATIENCE, "the browser opens no debugging port"),
            }
            self.check()?;
            thread::sleep(LOOK);
        }
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.browser.try_wait()? {
            Some(status) => bail!("the browser has ended with {status}"),
            None => Ok(()),
        }
    }
}

impl Drop for Headless {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}
