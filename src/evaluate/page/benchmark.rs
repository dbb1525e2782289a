//! A benchmark's own results, part by part, beside published results.

use super::figures::{Form, Line, View, chart};
use super::{Page, count};
use crate::evaluate::benchmarks::{Part, Published};
use crate::evaluate::report::ModelResult;
use crate::report::chart::{Axis, Dot, Paint, interval_chart};
use crate::report::html::{Cell, Name, Row};
use crate::report::number::percent;
use crate::statistics::Estimate;

/// Models beside published results, in one table; a chart for each part but the total, which the top of the page has.
pub(super) fn published(page: &mut Page, view: &View) {
    let all = &view.suite.published;
    let Some(first) = all.first() else { return };
    page.heading("Beside published numbers");
    let parts: Vec<&str> = unique(all.iter().map(|published| published.part));
    let ours = view.suite.results.iter().map(|result| Row {
        name: Name { paint: Some(view.paint(&result.model)), ..Name::new(&result.model) },
        cells: parts.iter().map(|part| Form::Share.cell(value(result, part))).collect(),
    });
    let theirs = unique(all.iter().map(|published| published.model)).into_iter().map(|model| Row {
        name: Name { paint: Some(Paint::Ink), detail: "published".into(), ..Name::new(model) },
        cells: parts.iter().map(|part| Cell::new(Form::Share.text(of(all, model, part)))).collect(),
    });
    let columns: Vec<Name> = parts.iter().map(|part| Name::new(*part)).collect();
    page.comparison(
        "Models of this run and published results",
        "model",
        &columns,
        &ours.chain(theirs).collect::<Vec<_>>(),
    );
    page.linked("Published by", first.source, first.address);
    page.columns(|page| {
        for part in parts.iter().filter(|part| **part != "total") {
            let ours = view.dots(|result| value(result, part));
            if ours.iter().any(|dot| dot.value.is_finite()) {
                let dots = [ours, published_dots(view, part)].concat();
                chart(page, &format!("{part}: models of this run and published results"), share_chart(&dots));
            }
        }
    });
}

fn share_chart(dots: &[Dot]) -> crate::Result<String> {
    interval_chart(Axis::new("share", percent), Some(0.5), dots)
}

/// The published results of a part, as marks of a chart.
pub(super) fn published_dots(view: &View, part: &str) -> Vec<Dot> {
    let of_part = view.suite.published.iter().filter(|published| published.part == part);
    let dot = |published: &Published| Dot {
        name: format!("{} (published)", published.model),
        value: published.value,
        interval: None,
        paint: Paint::Ink,
    };
    of_part.map(dot).collect()
}

/// The benchmark's own parts.
pub(super) fn parts(page: &mut Page, view: &View) {
    let trees = view.each(|result| result.benchmark.as_ref());
    // All models have the same tree.
    let Some(tree) = trees.iter().copied().flatten().next() else { return };
    page.heading("Results of the benchmark");
    if !tree.missing.is_empty() {
        page.note(&format!("Missing, so there is no total: {}.", tree.missing.join(", ")));
    }
    let mut lines = vec![];
    part_lines(tree, &mut vec![], &trees, &mut lines);
    view.table(page, "Shares of right answers, part by part", "part", &lines);
}

/// A tree of parts as rows, indented by depth.
fn part_lines<'a>(part: &'a Part, path: &mut Vec<&'a str>, trees: &[Option<&Part>], lines: &mut Vec<Line>) {
    let values = trees.iter().map(|tree| Some(tree.as_ref()?.get(path)?.estimate)).collect();
    let detail = format!("{} items", count(part.n as u64));
    let name = Name { depth: path.len(), detail, ..Name::new(&part.name) };
    lines.push(Line { name, form: Form::Share, values });
    for child in &part.parts {
        path.push(&child.name);
        part_lines(child, path, trees, lines);
        path.pop();
    }
}

/// The results of a model of this run on parts with published results.
fn value(result: &ModelResult, part: &str) -> Option<Estimate> {
    let tree = result.benchmark.as_ref()?;
    let path: &[&str] = if part == "total" { &[] } else { &[part] };
    Some(tree.get(path)?.estimate)
}

fn of(published: &[Published], model: &str, part: &str) -> Option<f64> {
    published.iter().find(|one| one.model == model && one.part == part).map(|one| one.value)
}

/// Names in the order in which they first come.
fn unique(names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut found = vec![];
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}
