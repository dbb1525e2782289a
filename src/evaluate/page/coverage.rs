//! Accuracy against coverage: how accuracy grows as the scores of a pair lie further apart.

use super::Page;
use super::figures::{Form, View, chart, shares};
use crate::evaluate::report::pairs::PairReport;
use crate::report::chart::{Axis, Paint, Series, Style, line_chart};
use crate::report::html::{Cell, Name, Row};
use crate::report::number::{percent, short};
use crate::statistics::Estimate;
use crate::statistics::coverage::CoveragePoint;

/// Models whose intervals are drawn as bands; those of more hide one another.
const BANDS: usize = 2;
/// The table shows every seventh threshold: of 50 the eight from 0 to 1 in sevenths.
const STRIDE: usize = 7;

pub(super) fn coverage(page: &mut Page, view: &View) {
    let all = view.having(|result| result.pairs.as_ref());
    if all.iter().all(|(_, pairs)| pairs.summary.coverage_quantiles.is_empty()) {
        return;
    }
    page.heading("Accuracy and coverage").paragraph(
        "If only the pairs with the widest margins are judged, fewer are covered and more of them should be right. A \
         line that does not rise to the left means that the margin is not a measure of confidence.",
    );
    let by_rank = |pairs: &PairReport| curve(&pairs.summary.coverage_quantiles, |point| point.coverage);
    let by_margin = |pairs: &PairReport| curve(&pairs.summary.coverage, |point| Some(point.threshold));
    let kept = |pairs: &PairReport| -> Vec<Spread> {
        let point = |point: &CoveragePoint| Some((point.threshold, point.coverage?, None));
        pairs.summary.coverage.iter().filter_map(point).collect()
    };
    let svg = line_chart(shares("share of the pairs covered, widest margins first"), accuracy_axis(view), &{
        lines(view, &all, by_rank, true)
    });
    chart(page, "Accuracy of the pairs covered, against the share that is covered", svg);
    page.folded("Accuracy and coverage in numbers", |page| ranks(page, view));
    page.folded("Accuracy and coverage at fixed margins", |page| {
        page.paragraph(
            "Margins are in the units of each model, so models on different scales cannot be compared here.",
        );
        let margin = Axis::new("smallest margin", short).within(0.0, 1.0);
        page.columns(|page| {
            let svg = line_chart(margin, accuracy_axis(view), &lines(view, &all, by_margin, true));
            chart(page, "Accuracy of the pairs whose margin is at least this wide", svg);
            chart(
                page,
                "Share of the pairs whose margin is at least this wide",
                line_chart(margin, shares("pairs covered"), &lines(view, &all, kept, false)),
            );
        });
        margins(page, view);
    });
}

/// A point of a line with its interval: x, y, low and high.
type Spread = (f64, f64, Option<(f64, f64)>);

fn curve(points: &[CoveragePoint], x: impl Fn(&CoveragePoint) -> Option<f64>) -> Vec<Spread> {
    let point = |point: &CoveragePoint| {
        let Estimate { value, interval, .. } = point.accuracy;
        Some((x(point)?, value?, interval.map(|interval| (interval.low, interval.high))))
    };
    points.iter().filter_map(point).collect()
}

/// Half of the axis is empty where all are better than chance.
fn accuracy_axis(view: &View) -> Axis<'static> {
    let worst = view
        .having(|result| result.pairs.as_ref())
        .iter()
        .flat_map(|(_, pairs)| pairs.summary.coverage.iter().chain(&pairs.summary.coverage_quantiles))
        .filter_map(|point| point.accuracy.interval.map(|interval| interval.low).or(point.accuracy.value))
        .fold(1.0, f64::min);
    let axis = shares("accuracy");
    if worst >= 0.4 { axis.within(0.4, 1.0) } else { axis }
}

/// A line for each model, with bands where there are few, and chance.
fn lines(
    view: &View,
    all: &[(&str, &PairReport)],
    of: impl Fn(&PairReport) -> Vec<Spread>,
    chance: bool,
) -> Vec<Series> {
    let mut series = vec![];
    if chance {
        series.push(Series::new("chance", vec![(0.0, 0.5), (1.0, 0.5)], Style::Faint).paint(Paint::Ink));
    }
    for (model, pairs) in all {
        let mut points = of(pairs);
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if all.len() <= BANDS {
            let ends = points.iter().filter_map(|(x, _, interval)| interval.map(|(low, high)| (*x, low, high)));
            let ends: Vec<(f64, f64, f64)> = ends.collect();
            let lower = ends.iter().map(|(x, low, _)| (*x, *low));
            let upper = ends.iter().rev().map(|(x, _, high)| (*x, *high));
            series.push(Series::new("", lower.chain(upper).collect(), Style::Band).paint(view.paint(model)));
        }
        let line = points.iter().map(|(x, y, _)| (*x, *y)).collect();
        series.push(Series::new(*model, line, Style::Line).paint(view.paint(model)));
    }
    series
}

/// The curves by the share that is covered; ties may cover more than a row asks for.
fn ranks(page: &mut Page, view: &View) {
    let cell = |pairs: &PairReport, share: f64| {
        let curve = &pairs.summary.coverage_quantiles;
        let point = curve.iter().rev().find(|point| point.coverage.is_some_and(|coverage| coverage >= share - 1e-9));
        point.map_or_else(Cell::default, |point| Form::Share.cell(Some(point.accuracy)))
    };
    let rows: Vec<Row> = (1..=10)
        .rev()
        .map(|step| {
            let share = f64::from(step) / 10.0;
            let cells = view.each(|result| Some(cell(result.pairs.as_ref()?, share)));
            Row { name: Name::new(percent(share)), cells: cells.into_iter().map(Option::unwrap_or_default).collect() }
        })
        .collect();
    page.comparison("Accuracy of the pairs with the widest margins", "pairs covered", &view.columns(), &rows);
}

/// The curves at fixed margins: accuracy, and below it the share that is covered.
fn margins(page: &mut Page, view: &View) {
    let Some((_, first)) = view.having(|result| result.pairs.as_ref()).into_iter().next() else { return };
    let cell = |pairs: &PairReport, place: usize| {
        let point = pairs.summary.coverage.get(place)?;
        let detail = format!("{} covered", Form::Share.text(point.coverage));
        Some(Cell { text: Form::Share.text(point.accuracy.value), detail })
    };
    let rows: Vec<Row> = (0..first.summary.coverage.len())
        .step_by(STRIDE)
        .map(|place| {
            let cells = view.each(|result| cell(result.pairs.as_ref()?, place));
            let name = Name::new(format!("{:.2}", first.summary.coverage[place].threshold));
            Row { name, cells: cells.into_iter().map(Option::unwrap_or_default).collect() }
        })
        .collect();
    page.comparison("Accuracy of the pairs whose margin is at least this wide", "margin", &view.columns(), &rows);
}
