//! The tests of kernels, golden models and the API in headless Chromium, reported as `cargo test` reports tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::browser::Headless;
use super::bundle::{self, Profile};
use super::page_test;
use super::progress::{Choice, Progress, Report};
use super::server::{Answer, Request, Server};
use crate::chromium;

/// The models that tests of the engine read, from the root of the repository.
const GOLDEN: &str = "tests/golden";
/// The model that those of the API read.
const TINY: &str = "/examples/tiny-llama/";
/// The test of the page itself.
const PAGE: &str = "page::it_scores_generates_and_trains_by_keyboard_and_asks_nowhere_else";
/// Where the page of the tests finds the API.
const API: &str = "/api/";

/// How long a page may ask and tell nothing. One that has lost its GPU does so for ever, and no test takes as long.
const SILENCE: Duration = Duration::from_secs(240);
/// How often to look whether the browser is still there.
const LOOK: Duration = Duration::from_secs(5);

/// What the page asks for besides its own files.
struct Pages {
    api: PathBuf,
    tests: PathBuf,
    golden: Vec<String>,
}

impl Pages {
    fn file(&self, path: &str) -> Answer {
        if path == "/files.json" {
            Answer::json(&self.golden)
        } else if path.starts_with(TINY) || self.golden.iter().any(|file| file == path) {
            Answer::file(Path::new("."), path)
        } else if path.starts_with(API) {
            Answer::file(&self.api, &path[API.len() - 1..])
        } else {
            Answer::file(&self.tests, path)
        }
    }
}

/// Builds the tests and runs those that are chosen.
pub(crate) fn run(choice: &Choice) -> Result<ExitCode> {
    if let Some(missing) = chromium::missing() {
        println!("skipped: {missing}");
        return Ok(ExitCode::SUCCESS);
    }
    let program = chromium::installed().context("Chromium is gone")?;
    bundle::compile(&["wgr-web", "wgr-web-tests"], Profile::Development)?;
    let pages = Pages {
        api: bundle::bind("wgr-web", Path::new("web/page"), Profile::Development)?,
        tests: bundle::bind("wgr-web-tests", Path::new("web/tests/page"), Profile::Development)?,
        golden: golden_files()?,
    };
    let server = Server::bind(0)?;
    let mut progress = Progress::new(choice);
    progress.run(PAGE, || page_test::run(&program, &pages.api, Path::new(&TINY[1..])));
    // A test that a browser does not survive has failed, and another browser runs those after it.
    while let Err(problem) = in_browser(&mut Headless::open(&program, &server.url())?, &server, &pages, &mut progress) {
        let was_running = progress.is_running();
        progress.fail(&format!("{problem:#}"));
        if !was_running {
            break;
        }
    }
    Ok(if progress.close() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Answers a browser until no test is left.
///
/// # Errors
/// The browser has ended or says nothing any more, or its page cannot run tests.
fn in_browser(browser: &mut Headless, server: &Server, pages: &Pages, progress: &mut Progress) -> Result<()> {
    let mut heard = Instant::now();
    loop {
        let Some(asked) = server.next(LOOK) else {
            browser.check()?;
            ensure!(heard.elapsed() < SILENCE, "the page has said nothing for {} s", SILENCE.as_secs());
            continue;
        };
        heard = Instant::now();
        match &asked.request {
            Request::Get(path) if path == "/next" => {
                let next = progress.next();
                asked.answer(Answer::json(&next));
                if next.is_none() {
                    return Ok(());
                }
            }
            Request::Get(path) => {
                let file = pages.file(path);
                asked.answer(file);
            }
            Request::Post(report) => {
                let report: Report = serde_json::from_slice(report).context("the page reports what is no report")?;
                asked.answer(Answer::Taken);
                match report {
                    Report::Listed { tests } => progress.list(tests),
                    Report::Printed { line } => progress.print(&line),
                    Report::Passed { seconds } => progress.pass(seconds),
                    Report::Failed { problem } => progress.fail(&problem),
                    Report::Broken { problem } => bail!("{problem}"),
                }
            }
        }
    }
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
