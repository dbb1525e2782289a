//! Helpers that all parts of the page share.

use crate::Result;
use crate::data::Feedback;
use crate::extract::report::Report;
use crate::report::chart::Axis;
use crate::report::html::{Count, Page};
use crate::report::number::{count, percent, share, short};

/// The axis of shares.
pub(super) const SHARES: Axis = Axis::new("share", |share| format!("{} %", short(100.0 * share)));

/// A count with its noun: `1 row`, `2,000 rows`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// A row of a table of counts: the count, and its share in `whole`, which is also the length of the bar.
pub(super) fn part(name: impl Into<String>, number: u64, whole: u64) -> Count {
    let share = share(number, whole);
    Count { name: name.into(), share, cells: vec![count(number), percent(share)] }
}

/// Adds a chart. The numbers of one that cannot be drawn are in the table beside it.
pub(super) fn chart(page: &mut Page, caption: &str, svg: Result<String>) {
    if let Ok(svg) = svg {
        page.svg(caption, &svg);
    }
}

/// The labels of a run with the levels they stand for; there are five where neutral is kept.
pub(super) fn labels(report: &Report) -> Vec<(u32, String)> {
    let keep_neutral = report.train.labels.len() == Feedback::ALL.len();
    let labelled = Feedback::ALL.into_iter().filter_map(|level| Some((level.label(keep_neutral)?, level.name())));
    labelled.map(|(label, name)| (label, format!("{label} {name}"))).collect()
}
