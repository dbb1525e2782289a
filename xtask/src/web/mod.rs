//! `cargo xtask web`: builds the page and serves it, or runs the tests of kernels and golden models in a browser.
//!
//! In reading order: `bundle` compiles a crate for pages, `demo` puts a model beside it, `server` is a web server on the
//! loopback device, `browser` starts one, `tests` answers it, `progress` keeps what becomes of the tests in it, and
//! `page_test` uses the page through `devtools`.

mod browser;
mod bundle;
mod demo;
mod devtools;
mod page_test;
mod progress;
mod server;
mod tests;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use self::bundle::Profile;
use self::progress::Choice;
use self::server::Server;
use crate::cargo::root;

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
    #[command(flatten)]
    choice: Choice,
}

/// Builds and serves.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    // All paths are from there.
    std::env::set_current_dir(root())?;
    if args.test {
        return tests::run(&args.choice);
    }
    bundle::compile(&["wgr-web"], Profile::Page)?;
    let folder = bundle::bind("wgr-web", Path::new("web/page"), Profile::Page)?;
    bundle::print_sizes(&folder)?;
    demo::add(&folder)?;
    let server = Server::bind(args.port)?;
    println!("the page is at {} until this ends (Ctrl+C)", server.url());
    if args.open {
        browser::show(&server.url())?;
    }
    server.serve(&folder);
    Ok(ExitCode::SUCCESS)
}
