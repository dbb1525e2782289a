//! The report as a page: from the overview to single rows.

mod counts;
mod examples;
mod labels;
mod levels;
mod parts;
mod rows;
#[cfg(test)]
mod tests;

use self::parts::counted;
use super::report::Report;
use crate::report::html::Page;
use crate::report::number::count;

/// The page of a report.
pub(super) fn page(report: &Report) -> Page {
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
             neutral. Take a language model as the annotator (api or local) for rows that a model of consequence learns from.",
        );
    }
    page.folded("The files read", |page| {
        let files: Vec<_> = report.inputs.iter().map(|input| vec![input.clone()]).collect();
        page.table("Files in the order they were read", &["file"], &files);
    });
}
