//! Rows to read.

use super::parts::{counted, labels};
use crate::extract::report::Report;
use crate::report::html::Page;

pub(super) fn examples(page: &mut Page, report: &Report) {
    if report.examples.is_empty() {
        return;
    }
    page.section("Rows to read").paragraph(
        "Some rows of each label, chosen by the seed: the query, the response, the user's next message, and the \
         provenance of the label.",
    );
    for (label, name) in labels(report) {
        let mut of_label = report.examples.iter().filter(|example| example.label == label).peekable();
        if of_label.peek().is_none() {
            continue;
        }
        page.heading(&format!("Label {name}"));
        for example in of_label {
            let heading = match example.history_turns {
                0 => example.id.clone(),
                turns => format!("{}, after {}", example.id, counted(turns, "earlier turn")),
            };
            let messages = [
                ("query", example.query.as_str()),
                ("response", &example.response),
                ("feedback", &example.feedback),
                ("evidence", &example.evidence),
            ];
            page.conversation(&heading, &messages);
        }
    }
}
