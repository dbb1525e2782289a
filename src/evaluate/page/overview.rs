//! The top of the page: what is missing, the models, and their results in one number per suite.

use super::figures::{self, Form, View, chart};
use super::{Page, Report, benchmark};
use crate::evaluate::report::{FailureReport, ModelResult, SuiteReport};
use crate::evaluate::scores::{ModelInfo, Origin};
use crate::evaluate::suites::SuiteName;
use crate::report::chart::{Axis, interval_chart};
use crate::report::html::{Cell, Name, Row};
use crate::report::number::{percent, short};
use crate::statistics::Estimate;

pub(super) fn missing(page: &mut Page, report: &Report) {
    if report.partial && report.failures.is_empty() {
        page.note(
            "Partial: results are missing. The run was in progress when this page was written; if it has ended since, \
             it was stopped. wgr eval --resume continues from here.",
        );
    } else if report.partial {
        page.note("Partial: results are missing, because something failed.");
    }
    if !report.failures.is_empty() {
        let row = |failure: &FailureReport| Row {
            name: Name {
                detail: failure.suite.map_or("all remaining suites", SuiteName::title).into(),
                ..name(report, &failure.model)
            },
            cells: vec![Cell::new(&failure.problem)],
        };
        let rows: Vec<Row> = report.failures.iter().map(row).collect();
        page.comparison("What failed", "model and suite", &[Name::new("problem")], &rows);
    }
}

pub(super) fn results(page: &mut Page, report: &Report) {
    page.section("Results").paragraph(&intervals(report));
    let columns: Vec<Name> = report.models.iter().map(|model| name(report, &model.name)).collect();
    let rows: Vec<Row> = report.suites.iter().map(|suite| row(report, suite)).collect();
    page.comparison("Each suite in one number", "suite", &[columns, vec![Name::new("baseline")]].concat(), &rows);
    page.columns(|page| {
        for suite in &report.suites {
            headline(page, &View { report, suite });
        }
    });
    models(page, report);
}

fn intervals(report: &Report) -> String {
    let bootstrap = &report.bootstrap;
    match bootstrap.samples {
        0 => "There are no confidence intervals: the bootstrap was turned off.".to_owned(),
        samples => format!(
            "Below each number is its {} % bootstrap confidence interval ({samples} samples, seed {}): the range for \
             as many other items of the same kind. The baseline is the value that chance or a constant answer \
             achieves.",
            short(100.0 * bootstrap.confidence),
            bootstrap.seed
        ),
    }
}

/// A suite with the headline of each model; where a model has none, the cell says why.
fn row(report: &Report, suite: &SuiteReport) -> Row {
    let headline = |result: &ModelResult| result.headline().map(|(_, estimate)| estimate);
    let form = suite.results.first().map_or(Form::Share, form);
    let of_model = |model: &ModelInfo| suite.results.iter().find(|result| result.model == model.name);
    let failed = |model: &ModelInfo| {
        report.failures.iter().any(|f| f.model == model.name && f.suite.is_none_or(|name| name == suite.suite))
    };
    let cell = |model: &ModelInfo| match of_model(model) {
        Some(result) => form.cell(headline(result)),
        None => Cell::new(if failed(model) { "failed" } else { "missing" }),
    };
    let baseline = suite.results.iter().filter_map(headline).find_map(|estimate| estimate.baseline);
    let mut cells: Vec<Cell> = report.models.iter().map(cell).collect();
    cells.push(Cell::new(form.text(baseline)));
    let detail = suite.results.iter().find_map(ModelResult::headline).map_or("", |(name, _)| measure(name));
    Row { name: Name { detail: detail.into(), ..Name::new(suite.suite.title()) }, cells }
}

/// Shares in per cent; the ROC-AUC of ratings as it is.
fn form(result: &ModelResult) -> Form {
    if result.benchmark.is_none() && result.pairs.is_none() { Form::Number } else { Form::Share }
}

fn measure(headline: &str) -> &str {
    if headline == "roc_auc" { "ROC-AUC" } else { headline }
}

/// The headlines of a suite as a chart, with what was published.
fn headline(page: &mut Page, view: &View) {
    let Some((name, _)) = view.suite.results.iter().find_map(ModelResult::headline) else { return };
    let form = view.suite.results.first().map_or(Form::Share, form);
    let headline = |result: &ModelResult| result.headline().map(|(_, estimate)| estimate);
    let mut dots = view.dots(headline);
    // A chart of published numbers alone shows none of the models here.
    if dots.iter().all(|dot| !dot.value.is_finite()) {
        return;
    }
    let published = benchmark::published_dots(view, "total");
    let beside = if published.is_empty() { "" } else { ", beside published numbers" };
    dots.extend(published);
    let axis = Axis::new(measure(name), if form == Form::Share { percent } else { |value| format!("{value:.3}") });
    let baseline = view.suite.results.iter().filter_map(headline).find_map(|estimate: Estimate| estimate.baseline);
    let tick = if baseline.is_some() { "; the tick is the baseline" } else { "" };
    let caption = format!("{}: {}{beside}{tick}", view.suite.suite.title(), measure(name));
    chart(page, &caption, interval_chart(axis, baseline, &dots));
}

fn models(page: &mut Page, report: &Report) {
    let or_dash = |text: Option<String>| Cell::new(text.unwrap_or_else(|| "–".into()));
    let row = |model: &ModelInfo| Row {
        name: name(report, &model.name),
        cells: vec![
            Cell::new(match model.origin {
                Origin::Model => "run here",
                Origin::Server => "scored by a server",
                Origin::File => "read from files",
            }),
            Cell::new(&model.source),
            or_dash(model.objective.clone()),
            or_dash(model.levels.map(|levels| levels.to_string())),
        ],
    };
    let columns = ["scores", "source", "objective", "levels"].map(Name::new);
    page.folded("Sources of the scores", |page| {
        let rows: Vec<Row> = report.models.iter().map(row).collect();
        page.comparison("The models and their colours on this page", "model", &columns, &rows);
    });
}

fn name(report: &Report, model: &str) -> Name {
    Name { paint: Some(figures::paint(report, model)), ..Name::new(model) }
}
