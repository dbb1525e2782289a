//! Counts of kept and dropped turns, stage by stage, and the cost.

use super::parts::part;
use crate::extract::report::Report;
use crate::report::html::{Count, Page};
use crate::report::number::{count, percent, share};

pub(super) fn funnel(page: &mut Page, report: &Report) {
    page.section("From conversations to rows").paragraph(
        "A response counts if the user wrote another message after it: that message is the feedback. Filters drop \
         responses that cannot be trained on, the annotator judges the rest, and those with a label become rows.",
    );
    let longest = report.funnel.iter().map(|stage| stage.count).max().unwrap_or(0);
    let mut before: Option<(bool, u64)> = None;
    let mut rows = vec![];
    for stage in &report.funnel {
        // The first stages count conversations and the others responses; a share of one in the other would say nothing.
        let counts_conversations = stage.name.contains("conversations");
        let kept = before.filter(|before| before.0 == counts_conversations);
        let kept = kept.map_or("–".into(), |before| percent(share(stage.count, before.1)));
        let cells = vec![count(stage.count), kept];
        rows.push(Count { name: stage.name.clone(), share: share(stage.count, longest), cells });
        before = Some((counts_conversations, stage.count));
    }
    page.counts("The count after each stage, and its share of the stage before", &["stage", "count", "kept"], &rows);
}

pub(super) fn left_out(page: &mut Page, report: &Report) {
    page.section("Dropped responses");
    let read = report.funnel.first().map_or(0, |stage| stage.count);
    if report.irregular.is_empty() {
        page.paragraph("Every conversation could be used.");
    } else {
        let rows: Vec<_> = report.irregular.iter().map(|(name, number)| part(name, *number, read)).collect();
        page.counts("Conversations that could not be used", &["reason", "conversations", "share"], &rows);
    }
    page.paragraph(
        "Filters run in the order of the table, and a response is counted under the first that drops it. wgr extract \
         inspect --reason NAME shows the responses under any of these names in this run.",
    );
    let responses = report.funnel.get(2).map_or(0, |stage| stage.count);
    let rows: Vec<_> = report.filters.iter().map(|filter| part(&filter.name, filter.count, responses)).collect();
    page.counts("Responses dropped by each filter", &["filter", "responses", "share"], &rows);
    if report.unparsable > 0 {
        page.paragraph(&format!(
            "{} of the annotator's answers were not verdicts. They are kept in stages/unparsable.jsonl, and never \
             become labels.",
            count(report.unparsable)
        ));
    }
}

/// The usage of the annotator; nothing if it asks nobody.
pub(super) fn usage(page: &mut Page, report: &Report) {
    let usage = &report.usage;
    if *usage == Default::default() {
        return;
    }
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("requests sent, retries included", count(usage.requests)),
        row("requests sent again", count(usage.retries)),
        row("answers stored by an earlier run", count(usage.stored)),
        row("prompt tokens", count(usage.prompt_tokens)),
        row("completion tokens", count(usage.completion_tokens)),
    ];
    if let Some(cost) = usage.cost {
        rows.push(row("cost, in the currency of the given prices", format!("{cost:.2}")));
    }
    page.section("Usage of the annotator").table("Requests and tokens", &["what", "number"], &rows);
}
