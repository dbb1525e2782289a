//! The levels of feedback, and their changes by mining and by the validation of refusals.

use super::parts::{SHARES, chart, part};
use crate::data::Feedback;
use crate::extract::report::{Levels, PAPER_SHARES, Report};
use crate::report::chart::{Bars, Series, Style, bar_chart, line_chart, outline};
use crate::report::html::{Count, Page};
use crate::report::number::{count, percent, share};

pub(super) fn levels(page: &mut Page, report: &Report) {
    page.section("Levels of feedback");
    let mut stages: Vec<(&str, &Levels)> = vec![("judged", &report.annotated)];
    if report.embedder.is_some() {
        stages.push(("mined", &report.mined));
    }
    stages.push(("validated", &report.validated));
    if stages.iter().all(|(_, levels)| levels.shares() == [0.0; 5]) {
        page.paragraph("No response was judged.");
        return;
    }
    page.paragraph(
        "The users' feedback on the responses after filtering: as judged by the annotator, after mining if there was \
         any, and after the validation of refusals. Beside it are the shares that WildReward reports for WildChat \
         before mining (arXiv 2602.08829).",
    );
    let mut series: Vec<Bars> = stages.iter().map(|(name, levels)| Bars::new(*name, levels.shares())).collect();
    series.push(Bars::new("WildReward", PAPER_SHARES));
    let names = Feedback::ALL.map(Feedback::name);
    chart(page, "Shares of the five levels", bar_chart(&names, &series, percent));

    let mut headers = vec!["level"];
    stages.iter().for_each(|(name, _)| headers.extend([*name, "share"]));
    headers.push("WildReward");
    let rows: Vec<Vec<String>> = (0..names.len())
        .map(|level| {
            let of_stage = |(_, levels): &(&str, &Levels)| [count(levels.0[level]), percent(levels.shares()[level])];
            let name = std::iter::once(names[level].to_owned());
            name.chain(stages.iter().flat_map(of_stage)).chain([percent(PAPER_SHARES[level])]).collect()
        })
        .collect();
    page.table("Responses by level after each stage", &headers, &rows);
}

/// Nothing where no embedder is named.
pub(super) fn mining(page: &mut Page, report: &Report) {
    let Some(embedder) = &report.embedder else { return };
    let mining = &report.mining;
    page.section("Implicit feedback").paragraph(&format!(
        "A neutral response takes the level of a positive one among the next two if {embedder} finds that both \
         queries are about the same topic. A refusal is never mined.",
    ));
    let rows = [
        ("neutral responses with a positive one shortly after", mining.candidates),
        ("of these, refusals", mining.refusals),
        ("mined", mining.mined),
    ];
    let rows = rows.map(|(name, number)| part(name, number, mining.candidates));
    page.counts("Results of mining", &["what", "responses", "share"], &rows);

    let cosines = outline(-1.0, 1.0, &mining.cosines);
    if !cosines.is_empty() {
        let top = cosines.iter().map(|point| point.1).fold(0.0, f64::max);
        let mut series = vec![Series::new("pairs of queries", cosines, Style::Bars)];
        let mut caption = "Cosine similarities of the compared pairs of queries".to_owned();
        if let Some(similarity) = report.similarity.map(f64::from) {
            series.push(Series::new("threshold", vec![(similarity, 0.0), (similarity, top)], Style::Line));
            caption += &format!("; a pair is about the same topic above {similarity:.2}");
        }
        chart(page, &caption, line_chart("cosine", SHARES, &series));
        page.folded("The cosine similarities in numbers", |page| {
            let total: f64 = mining.cosines.iter().map(|&pairs| pairs as f64).sum();
            let row = |(bin, &pairs): (usize, &u64)| {
                let edge = |bin: usize| -1.0 + bin as f64 / 10.0;
                let share = pairs as f64 / total;
                let cells = vec![count(pairs), percent(share)];
                Count { name: format!("{:.1} to {:.1}", edge(bin), edge(bin + 1)), share, cells }
            };
            let rows: Vec<_> = mining.cosines.iter().enumerate().map(row).collect();
            page.counts("Pairs of queries by cosine similarity", &["cosine", "pairs", "share"], &rows);
        });
    }
    let queries = mining.embedded.saturating_add(mining.cached);
    page.paragraph(&format!(
        "{} queries were embedded, and {} more ({}) were found in the cache.",
        count(mining.embedded),
        count(mining.cached),
        percent(share(mining.cached, queries)),
    ));
}

pub(super) fn refusals(page: &mut Page, report: &Report) {
    let refusals = &report.refusals;
    page.section("Refusals").paragraph(
        "Users may punish a refusal that was right. If the annotator finds that it was, the response takes the top \
         level; other refusals keep their level.",
    );
    let rows = [
        ("responses that refuse", refusals.found),
        ("right to refuse: now the top level", refusals.justified),
        ("wrong to refuse: unchanged", refusals.unjustified),
        ("not judged: unchanged", refusals.unjudged),
    ];
    let rows = rows.map(|(name, number)| part(name, number, refusals.found));
    page.counts("Validation of refusals", &["what", "responses", "share"], &rows);
    if refusals.unjudged > 0 {
        page.note(&format!(
            "{} refusals were punished and not judged, so some correct refusals may have a low label. A language \
             model as annotator judges them.",
            count(refusals.unjudged)
        ));
    }
}
