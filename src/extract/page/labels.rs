//! The use of labels made elsewhere.

use super::parts::part;
use crate::extract::report::Report;
use crate::report::html::Page;

/// Nothing where the annotator is another.
pub(super) fn labels(page: &mut Page, report: &Report) {
    let Some(labels) = &report.labels else { return };
    page.section("Labels made elsewhere").paragraph(&format!(
        "{} holds the labels, and nothing was judged again. Turns without a label count as neutral.",
        labels.file
    ));
    let rows = [
        ("labelled turns", labels.turns),
        ("for conversations that are not in the input or cannot be used", labels.unknown.count),
        ("not a response with a user message after it", labels.misplaced.count),
        ("dropped by a filter", labels.filtered),
        ("judged by their label", labels.judged),
        ("with labels of different levels, of which the lowest counts", labels.contradicted.count),
    ];
    let rows = rows.map(|(name, number)| part(name, number, labels.turns));
    page.counts("Use of the labels", &["what", "turns", "share"], &rows);
    let left = labels.judged.saturating_add(labels.unlabelled);
    let rows = [("with a label", labels.judged), ("without a label, so neutral", labels.unlabelled)];
    page.counts(
        "Responses after filtering",
        &["what", "responses", "share"],
        &rows.map(|(name, number)| part(name, number, left)),
    );
    for doubt in labels.doubts() {
        page.paragraph(&format!("{doubt}."));
    }
}
