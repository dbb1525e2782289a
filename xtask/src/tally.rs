//! The numbers of tests passed, failed and skipped, read from their runners' output with `--show-output`.

use std::fmt;

/// How a test begins a line that says why it did nothing, as `tests/support/fetched.rs` does.
const SKIPPED: &str = "skipped: ";

/// Tests of all runners so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    section: Section,
    /// Tests of the present runner that passed and said that they did nothing.
    said: u64,
}

/// The part of a runner's output a line is in.
#[derive(Debug, Default)]
enum Section {
    /// One line a test, and what closes the run.
    #[default]
    Verdicts,
    /// The output of passed tests, and then their names once more.
    Passed {
        /// The test, until it says that it was skipped.
        test: Option<String>,
    },
}

impl Tally {
    /// Takes the next line; returns what of it to show. Tests that passed are shown once, and of what they have printed
    /// only why they did nothing.
    pub(crate) fn read(&mut self, line: &str) -> Option<String> {
        match (&mut self.section, line) {
            (_, "successes:") => {
                self.section = Section::Passed { test: None };
                return None;
            }
            (_, "failures:") => self.section = Section::Verdicts,
            (_, line) if line.starts_with("test result: ") => self.close(line),
            (Section::Verdicts, _) => {}
            (Section::Passed { test }, line) => {
                if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
                    *test = Some(name.to_owned());
                } else if line.starts_with(SKIPPED)
                    && let Some(name) = test.take()
                {
                    self.said += 1;
                    return Some(format!("test {name} {line}"));
                }
                return None;
            }
        }
        Some(line.to_owned())
    }

    /// Counts a runner by its closing line, `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out`.
    fn close(&mut self, line: &str) {
        let counts = line.split_once(". ").map_or("", |(_, counts)| counts);
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" | "filtered out" => self.skipped += number,
                _ => {}
            }
        }
        let said = std::mem::take(&mut self.said);
        self.passed = self.passed.saturating_sub(said);
        self.skipped += said;
        self.section = Section::Verdicts;
    }

    /// Tests that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    /// Adds the tests of another runner.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Counts a failure that has no closing line: a lint, a program that does not compile, a runner that died.
    pub(crate) fn fail(&mut self) {
        self.failed += 1;
    }

    /// Counts tests that were not even started, whose number nobody knows, as one.
    pub(crate) fn skip(&mut self) {
        self.skipped += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tally: &mut Tally, text: &str) -> String {
        text.lines().filter_map(|line| tally.read(line)).map(|line| line + "\n").collect()
    }

    const PASSED: &str = "
running 4 tests
test a ... ok
test b::c ... ok
test d ... ok
test e ... ignored

successes:

---- a stdout ----
loss 0.5

---- b::c stdout ----
skipped: no /assets/minilm
skipped: no /assets/smollm2


successes:
    a
    b::c
    d

test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.12s
";

    #[test]
    fn tests_that_say_they_did_nothing_are_skipped_and_each_counts_once() {
        let mut tally = Tally::default();
        let shown = read(&mut tally, PASSED);
        assert_eq!(tally.to_string(), "2 passed, 0 failed, 4 skipped");
        assert!(shown.contains("test b::c skipped: no /assets/minilm\n"), "{shown}");
        assert!(shown.contains("test d ... ok\n") && shown.contains("\ntest result: ok. 3 passed;"), "{shown}");
        assert!(!shown.contains("loss") && !shown.contains("    a\n"), "{shown}");
    }

    #[test]
    fn runners_add_up_and_failures_are_shown_whole() {
        let failed = "
running 2 tests
test f ... FAILED
test g ... ok

successes:

successes:
    g

failures:

---- f stdout ----
skipped: one of two files
thread 'f' panicked at src/f.rs:1:1:
off by one


failures:
    f

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
";
        let mut tally = Tally::default();
        read(&mut tally, PASSED);
        let shown = read(&mut tally, failed);
        // A test that failed was not skipped, whatever it said before.
        assert_eq!(tally.to_string(), "3 passed, 1 failed, 4 skipped");
        assert!(shown.contains("off by one\n") && shown.contains("    f\n"), "{shown}");
        assert!(shown.contains("\ntest result: FAILED. 1 passed; 1 failed;"), "{shown}");
        tally.fail();
        tally.skip();
        assert_eq!((tally.failed(), tally.to_string().as_str()), (2, "3 passed, 2 failed, 5 skipped"));
    }
}
