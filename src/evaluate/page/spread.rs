//! Distributions of scores: margins of pairs, and scores by level.

use super::figures::{View, chart, shares};
use super::{Page, count};
use crate::report::chart::{Axis, Paint, Series, Style, line_chart, outline, ridge_chart};
use crate::report::number::short;
use crate::statistics::levels::ScoreHistograms;
use crate::statistics::margins::Margins;

/// The margins of pairs, one chart per model, as each has its own scale.
pub(super) fn margins(page: &mut Page, view: &View) {
    let all = view.having(|result| result.pairs.as_ref()?.summary.margins.as_ref());
    if all.is_empty() {
        return;
    }
    page.heading("Margins").paragraph(
        "How far the better response scores above the worse one, in the units of each model. The pairs left of 0, in \
         grey, are wrong.",
    );
    page.columns(|page| all.iter().for_each(|(model, margins)| histogram(page, view.paint(model), model, margins)));
    page.folded("The margins in numbers", |page| {
        for (model, margins) in &all {
            let row = |(edges, &number): (&[f64], &u64)| {
                vec![format!("{} to {}", short(edges[0]), short(edges[1])), count(number)]
            };
            let rows: Vec<_> = margins.edges.windows(2).zip(&margins.counts).map(row).collect();
            page.table(&format!("{model}: pairs by margin"), &["margin", "pairs"], &rows);
        }
    });
}

fn histogram(page: &mut Page, paint: Paint, model: &str, margins: &Margins) {
    let (Some(&low), Some(&high)) = (margins.edges.first(), margins.edges.last()) else { return };
    let bars = outline(low, high, &margins.counts);
    let (wrong, right) = bars.split_at(bars.len() / 2);
    let number = |points: &[u64]| points.iter().fold(0, |sum: u64, &n| sum.saturating_add(n));
    let (of_wrong, of_right) = margins.counts.split_at(margins.counts.len() / 2);
    let series = [
        Series::new("wrong", wrong.to_vec(), Style::Bars).paint(Paint::Grid),
        Series::new("right", right.to_vec(), Style::Bars).paint(paint),
    ];
    let caption = format!("{model}: {} right, {} wrong", count(number(of_right)), count(number(of_wrong)));
    let share = Axis { range: None, ..shares("share") };
    chart(page, &caption, line_chart("margin", share, &series));
}

/// The scores of the responses of each level, one chart per model.
pub(super) fn levels(page: &mut Page, view: &View) {
    let all = view.having(|result| result.ratings.as_ref()?.histograms.as_ref());
    if all.is_empty() {
        return;
    }
    page.heading("Scores by level").paragraph(
        "The distribution of scores of the responses of each level. The further apart the levels lie, the better the \
         model separates them.",
    );
    page.columns(|page| {
        for (model, histograms) in &all {
            let groups: Vec<(String, Vec<u64>)> =
                histograms.counts.iter().enumerate().map(|(place, counts)| (level(place), counts.clone())).collect();
            let svg = ridge_chart("score", &histograms.edges, &groups, view.paint(model));
            chart(page, &format!("{model}: scores of the responses of each level"), svg);
        }
    });
    page.folded("The scores in numbers", |page| {
        for (model, histograms) in &all {
            numbers(page, model, histograms);
        }
    });
}

fn level(place: usize) -> String {
    format!("level {}", place + 1)
}

fn numbers(page: &mut Page, model: &str, histograms: &ScoreHistograms) {
    let levels: Vec<String> = (0..histograms.counts.len()).map(level).collect();
    let headers: Vec<&str> = std::iter::once("score").chain(levels.iter().map(String::as_str)).collect();
    let row = |(bin, edges): (usize, &[f64])| {
        let range = format!("{} to {}", short(edges[0]), short(edges[1]));
        let counts = histograms.counts.iter().map(|counts| count(counts.get(bin).copied().unwrap_or(0)));
        std::iter::once(range).chain(counts).collect()
    };
    let rows: Vec<Vec<String>> = histograms.edges.windows(2).enumerate().map(row).collect();
    page.table(&format!("{model}: responses by score"), &headers, &rows);
}
