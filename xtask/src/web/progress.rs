//! Which test of a page is next, and how those before it have ended.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::Instant;

use anyhow::Result;
use serde::Deserialize;

/// How a test begins a line that says why it did nothing, as `tests/support/fetched.rs` does.
const SKIPPED: &str = "skipped: ";

/// Which tests are run.
#[derive(Debug, clap::Args)]
pub(crate) struct Choice {
    /// Run only tests whose names contain one of these
    #[arg(requires = "test")]
    names: Vec<String>,
    /// Leave out tests whose names contain this
    #[arg(long, value_name = "NAME", requires = "test")]
    skip: Vec<String>,
    /// Begin no test after so many minutes; those that are left are named, and counted as ignored
    #[arg(long, value_name = "N", requires = "test")]
    minutes: Option<u64>,
}

/// Something that the page tells.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Report {
    /// The names of all tests, whenever it is loaded.
    Listed { tests: Vec<String> },
    /// The test says something.
    Printed { line: String },
    /// It has passed.
    Passed { seconds: f64 },
    /// It has not, and the page is about to be loaded anew.
    Failed { problem: String },
    /// There are no tests in this page.
    Broken { problem: String },
}

/// Tests that are yet to run, the one that runs, and the numbers of those that ran.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    choice: &'a Choice,
    start: Instant,
    left: Option<VecDeque<String>>,
    present: Option<String>,
    /// Whether the present test has said that it does nothing.
    does_nothing: bool,
    passed: usize,
    failed: usize,
    ignored: usize,
    left_out: usize,
}

impl<'a> Progress<'a> {
    /// No test has begun.
    pub(crate) fn new(choice: &'a Choice) -> Self {
        let (left, present, does_nothing) = (None, None, false);
        let start = Instant::now();
        Self { choice, start, left, present, does_nothing, passed: 0, failed: 0, ignored: 0, left_out: 0 }
    }

    /// Takes the names of all tests; later lists are of the same page, loaded anew.
    pub(crate) fn list(&mut self, tests: Vec<String>) {
        if self.left.is_some() {
            return;
        }
        let all = tests.len();
        let wanted: VecDeque<String> = tests.into_iter().filter(|test| self.wants(test)).collect();
        self.left_out += all - wanted.len();
        println!("\nrunning {} tests", wanted.len());
        self.left = Some(wanted);
    }

    fn wants(&self, test: &str) -> bool {
        let has_one_of = |names: &[String]| names.iter().any(|name| test.contains(name.as_str()));
        (self.choice.names.is_empty() || has_one_of(&self.choice.names)) && !has_one_of(&self.choice.skip)
    }

    /// Runs a test that is not one of the page's, as those are.
    pub(crate) fn run(&mut self, test: &str, run: impl FnOnce() -> Result<()>) {
        if !self.wants(test) {
            self.left_out += 1;
            return;
        }
        self.begin(test);
        let start = Instant::now();
        match run() {
            Ok(()) => self.pass(start.elapsed().as_secs_f64()),
            Err(problem) => self.fail(&format!("{problem:#}")),
        }
    }

    fn begin(&mut self, test: &str) {
        print!("test {test} ... ");
        // What has begun is to be seen while it takes its time.
        let _ = std::io::stdout().flush();
        self.present = Some(test.to_owned());
        self.does_nothing = false;
    }

    /// The test to begin, if there is one and it is not too late for it.
    pub(crate) fn next(&mut self) -> Option<String> {
        let left = self.left.as_mut()?;
        if self.choice.minutes.is_some_and(|minutes| self.start.elapsed().as_secs() >= 60 * minutes) {
            for test in left.drain(..) {
                println!("test {test} ... ignored: the time is over");
                self.ignored += 1;
            }
        }
        let next = left.pop_front()?;
        self.begin(&next);
        Some(next)
    }

    /// Takes what the present test says.
    pub(crate) fn print(&mut self, line: &str) {
        self.does_nothing |= line.starts_with(SKIPPED);
        println!("{line}");
    }

    /// The present test has ended well.
    pub(crate) fn pass(&mut self, seconds: f64) {
        if self.does_nothing {
            self.ignored += 1;
            println!("ignored ({seconds:.1} s)");
        } else {
            self.passed += 1;
            println!("ok ({seconds:.1} s)");
        }
        self.present = None;
    }

    /// The present test has not; without one, something else has failed.
    pub(crate) fn fail(&mut self, problem: &str) {
        self.failed += 1;
        println!("FAILED\n{}: {problem}", self.present.take().as_deref().unwrap_or("the page"));
    }

    /// Whether a test is running.
    pub(crate) fn is_running(&self) -> bool {
        self.present.is_some()
    }

    /// Prints the numbers as `cargo test` does; whether nothing has failed.
    pub(crate) fn close(&self) -> bool {
        let Self { passed, failed, ignored, left_out, .. } = self;
        let verdict = if *failed == 0 { "ok" } else { "FAILED" };
        println!(
            "\ntest result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; {left_out} filtered out"
        );
        *failed == 0
    }
}
