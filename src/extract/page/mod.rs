//! The report as a page: from the overview to single rows.

mod counts;
mod examples;
mod labels;
mod levels;
mod rows;
#[cfg(test)]
mod tests;

use super::report::Report;
use crate::Result;
use crate::data::Feedback;
use crate::report::chart::Axis;
use crate::report::html::{Count, Page};
use crate::report::number::{count, percent, share, short};

/// The axis of shares.
const SHARES: Axis = Axis::new("share", |share| format!("{} %", short(100.0 * share)));

/// The page of a report.
pub fn page(report: &Report) -> Page {
    let mut page = Page::new("From chats to rated rows");
    summary(&mut page, report);
    counts::funnel(&mut page, report);
    counts::left_out(&mut page, report);
    labels::labels(&mut page, report);
    levels::levels(&mut page, report);
    levels::mining(&mut page, report);
    levels::refusals(&mut page, report);
    rows::split(&mut page, report);
    rows::rows(&mut page, report);
    counts::usage(&mut page, report);
    examples::examples(&mut page, report);
    page
}

fn summary(page: &mut Page, report: &Report) {
    let read = report.funnel.first().map_or(0, |stage| stage.count);
    let mining = match &report.embedder {
        Some(embedder) => format!("Queries were compared with {embedder}."),
        None => "No embedder was named, so nothing was mined.".into(),
    };
    page.paragraph(&format!(
        "{} for training and {} for testing, from {} in {}. The annotator {} read what users said next. {mining}",
        counted(report.train.rows, "row"),
        count(report.test.rows),
        counted(read, "conversation"),
        counted(report.inputs.len() as u64, "file"),
        report.annotator,
    ));
    if report.annotator == "rules" {
        page.note(
            "Lexical rules are the weak annotator: they know phrases and no meaning, and leave what they do not know \
             neutral. Take a language model (--annotator api or local) for rows that a model of consequence learns from.",
        );
    }
    page.folded("The files read", |page| {
        let files: Vec<_> = report.inputs.iter().map(|input| vec![input.clone()]).collect();
        page.table("Files in the order they were read", &["file"], &files);
    });
}

/// A count with its noun: `1 row`, `2,000 rows`.
fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// A row of a table of counts: the count, and its share in `whole`, which is also the length of the bar.
fn part(name: impl Into<String>, number: u64, whole: u64) -> Count {
    let share = share(number, whole);
    Count { name: name.into(), share, cells: vec![count(number), percent(share)] }
}

/// Adds a chart. The numbers of one that cannot be drawn are in the table beside it.
fn chart(page: &mut Page, caption: &str, svg: Result<String>) {
    if let Ok(svg) = svg {
        page.svg(caption, &svg);
    }
}

/// The labels of a run with the levels they stand for; there are five where neutral is kept.
fn labels(report: &Report) -> Vec<(u32, String)> {
    let keep_neutral = report.train.labels.len() == Feedback::ALL.len();
    let labelled = Feedback::ALL.into_iter().filter_map(|level| Some((level.label(keep_neutral)?, level.name())));
    labelled.map(|(label, name)| (label, format!("{label} {name}"))).collect()
}
