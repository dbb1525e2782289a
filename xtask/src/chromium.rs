//! What tests in a page need of this machine.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

/// What Rust calls a page.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Names of a browser that runs WebGPU without a GPU.
const CHROMIUMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The one that `CHROMIUM` names, or one that is installed.
pub(crate) fn installed() -> Option<OsString> {
    let works = |program: &OsString| {
        let quiet = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        quiet.is_ok_and(|status| status.success())
    };
    std::env::var_os("CHROMIUM").into_iter().chain(CHROMIUMS.map(OsString::from)).find(works)
}

/// Whether Rust has a standard library for pages.
fn compiles_for_pages() -> bool {
    let folder = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    folder.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

/// What is not there, and how to get it.
pub(crate) fn missing() -> Option<&'static str> {
    if installed().is_none() {
        Some("there is no Chromium; install it, or name one with CHROMIUM")
    } else if !compiles_for_pages() {
        Some("Rust has no standard library for pages; get it with `rustup target add wasm32-unknown-unknown`")
    } else {
        None
    }
}
