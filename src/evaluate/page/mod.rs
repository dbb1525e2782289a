//! The report as a page: what is missing first, then models side by side, then each suite down to single texts.

mod benchmark;
mod calibration;
mod coverage;
mod disagreements;
mod figures;
mod guide;
mod overview;
mod pairs;
mod ratings;
mod slices;
mod spread;
#[cfg(test)]
mod tests;

use self::figures::View;
use super::report::{Report, SuiteReport};
use crate::report::html::Page;
use crate::report::number::{count, percent};

/// The page of a report.
pub(super) fn page(report: &Report) -> Page {
    let mut page = Page::new("Evaluation of reward models");
    overview::missing(&mut page, report);
    overview::results(&mut page, report);
    for suite in &report.suites {
        section(&mut page, report, suite);
    }
    guide::guide(&mut page, report);
    page
}

fn section(page: &mut Page, report: &Report, suite: &SuiteReport) {
    let mut about = format!("{} items with {} responses.", count(suite.items as u64), count(suite.responses as u64));
    if suite.ties > 0 {
        let share = percent(suite.ties as f64 / suite.items as f64);
        about.push_str(&format!(" In {} of them ({share}) people saw no difference.", count(suite.ties as u64)));
    }
    for (reason, rows) in &suite.dropped_for {
        about.push_str(&format!(" {} rows are left out: {reason}.", count(*rows as u64)));
    }
    page.section(suite.suite.title()).paragraph(&about);
    page.folded("The files read", |page| {
        let files: Vec<_> = suite.files.iter().map(|file| vec![file.clone()]).collect();
        page.table("Files in the order they were read", &["file"], &files);
    });
    if suite.results.is_empty() {
        page.note("No model has a result here.");
    }
    let view = View { report, suite };
    benchmark::published(page, &view);
    benchmark::parts(page, &view);
    pairs::pairs(page, &view);
    ratings::ratings(page, &view);
    disagreements::disagreements(page, &view);
    for result in &suite.results {
        if let Some(truncation) = result.truncation.filter(|truncation| truncation.rows > 0) {
            page.paragraph(&format!("{} had {truncation}.", result.model));
        }
    }
}
