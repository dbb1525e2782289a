//! The tests of kernels and golden models in headless Chromium, reported as `cargo test` reports tests.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use anyhow::Result;
use serde::Deserialize;

use super::browser::{self, Headless};
use super::bundle::{self, Profile};
use super::server::{Answer, Request, Server};

/// The models that tests of the engine read, from the root of the repository.
const GOLDEN: &str = "tests/golden";
/// The model that those of the API read.
const TINY: &str = "/examples/tiny-llama/";
/// Where the page finds the API.
const API: &str = "/api/";

/// Something that the page tells.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Report {
    Begins {
        begins: String,
    },
    Ended {
        test: String,
        passed: bool,
        problem: Option<String>,
        seconds: f64,
    },
    Printed {
        print: String,
    },
    Done {
        #[allow(dead_code, reason = "it tells this report from others")]
        done: bool,
        problem: Option<String>,
    },
}

/// Builds the tests and runs those whose names contain one of `names`, or all.
pub(crate) fn run(names: &[String]) -> Result<ExitCode> {
    let Some(chromium) = browser::chromium() else {
        println!("skipped: there is no Chromium; install it, or name one with CHROMIUM");
        return Ok(ExitCode::SUCCESS);
    };
    let api = bundle::make("wgr-web", Path::new("web/page"), Profile::Development)?;
    let folder = bundle::make("wgr-web-tests", Path::new("web/tests/page"), Profile::Development)?;
    let files = golden_files()?;
    let server = Server::bind(0)?;
    let only: String = names.iter().map(|name| format!("&only={name}")).collect();
    let profile = tempfile::tempdir()?;
    let mut browser = Headless::open(&chromium, profile.path(), &format!("{}?from=0{only}", server.url()))?;
    let (mut passed, mut failed, mut failure) = (0, 0, None);
    let mut hear = |report: Report| {
        match report {
            Report::Begins { begins } => print!("test {begins} ... "),
            Report::Ended { passed: true, seconds, .. } => {
                passed += 1;
                println!("ok ({seconds:.1} s)");
            }
            Report::Ended { test, problem, seconds, .. } => {
                failed += 1;
                println!("FAILED ({seconds:.1} s)\n{test}: {}", problem.unwrap_or_default());
            }
            Report::Printed { print } => println!("{print}"),
            Report::Done { problem, .. } => {
                failure = problem;
                return false;
            }
        }
        // What has begun is to be seen while it takes its time.
        let _ = io::Write::flush(&mut io::stdout());
        true
    };
    server.serve(|request| match request {
        Request::Get("/files.json") => {
            Some(Answer::Content("application/json", serde_json::to_vec(&files).expect("a list of texts")))
        }
        Request::Get(path) if path.starts_with(TINY) || files.iter().any(|file| file == path) => {
            Answer::file(Path::new("."), path)
        }
        Request::Get(path) if path.starts_with(API) => Answer::file(&api, &path[API.len() - 1..]),
        Request::Get(path) => Answer::file(&folder, path),
        Request::Post(_, report) => match serde_json::from_slice(report) {
            Ok(report) => hear(report).then_some(Answer::Taken),
            Err(error) => {
                println!("the page reports what is no report: {error}");
                None
            }
        },
    })?;
    browser.check()?;
    if let Some(problem) = failure {
        anyhow::bail!("the page failed: {problem}");
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The files of the models, as the page asks for them.
fn golden_files() -> Result<Vec<String>> {
    let (mut files, mut folders) = (vec![], vec![PathBuf::from(GOLDEN)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match path.extension().and_then(|ending| ending.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("json" | "safetensors") => files.push(format!("/{}", path.display())),
                _ => {}
            }
        }
    }
    Ok(files)
}
