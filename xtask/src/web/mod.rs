//! `cargo xtask web`: builds the page and serves it, or runs the tests of kernels and golden models in a browser.
//!
//! In reading order: `bundle` compiles a crate for pages, `server` is a web server on the loopback device, `browser` starts
//! one, and `tests` hears what becomes of the tests in it.

mod browser;
mod bundle;
mod server;
mod tests;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use self::bundle::Profile;
use self::server::{Answer, Request, Server};

/// What `cargo xtask web` is asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Open the page in the browser
    #[arg(long)]
    open: bool,
    /// Port of the page on the loopback device
    #[arg(long, default_value_t = 8731)]
    port: u16,
    /// Run the tests of kernels and golden models in headless Chromium instead
    #[arg(long, conflicts_with_all = ["open", "port"])]
    test: bool,
    /// Run only tests whose names contain one of these
    #[arg(requires = "test")]
    names: Vec<String>,
}

/// Builds and serves.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.test {
        return tests::run(&args.names);
    }
    let folder = bundle::make("wgr-web", Path::new("web/page"), Profile::Release)?;
    let server = Server::bind(args.port)?;
    println!("the page is at {} until this ends (Ctrl+C)", server.url());
    if args.open {
        browser::show(&server.url())?;
    }
    server.serve(|request| match request {
        Request::Get(path) => Answer::file(&folder, path),
        Request::Post(..) => Some(Answer::Missing),
    })?;
    Ok(ExitCode::SUCCESS)
}
