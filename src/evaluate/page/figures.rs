//! Shared by all parts of the page: models in their colours, estimates as text, tables of estimates.

use crate::Result;
use crate::evaluate::report::{ModelResult, Report, SuiteReport};
use crate::report::chart::{Axis, Dot, Paint};
use crate::report::html::{Cell, Name, Page, Row};
use crate::report::number::{percent, short};
use crate::statistics::Estimate;

/// The axis of shares, whatever is drawn on it.
pub(super) const fn shares(label: &str) -> Axis<'_> {
    Axis::new(label, whole_percent).within(0.0, 1.0)
}

fn whole_percent(share: f64) -> String {
    format!("{} %", short(100.0 * share))
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In per cent.
    Share,
    /// As it is.
    Number,
}

impl Form {
    /// A value as text; a dash if there is none.
    pub(super) fn text(self, value: Option<f64>) -> String {
        match (self, value.filter(|value| value.is_finite())) {
            (_, None) => "–".to_owned(),
            // Values that round to zero are shown as zero.
            (Self::Share, Some(share)) => percent(if share.abs() < 5e-6 { 0.0 } else { share }),
            (Self::Number, Some(number)) => format!("{number:.3}"),
        }
    }

    /// A value with its interval.
    pub(super) fn cell(self, estimate: Option<Estimate>) -> Cell {
        let Some(Estimate { value: Some(value), interval, .. }) = estimate else { return Cell::new("–") };
        let detail = interval.map_or_else(String::new, |interval| match self {
            Self::Share => format!("{:.1} to {:.1}", 100.0 * interval.low, 100.0 * interval.high),
            Self::Number => format!("{:.3} to {:.3}", interval.low, interval.high),
        });
        Cell { text: self.text(Some(value)), detail }
    }
}

/// The colour of a model; it is the same in every chart and table.
pub(super) fn paint(report: &Report, model: &str) -> Paint {
    Paint::Palette(report.models.iter().position(|info| info.name == model).unwrap_or(0))
}

/// A suite of a report.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// The report.
    pub report: &'a Report,
    /// The suite.
    pub suite: &'a SuiteReport,
}

/// A row of a table of estimates, with one estimate for each result of the suite.
pub(super) struct Line {
    /// The estimated quantity.
    pub name: Name,
    /// How it is written.
    pub form: Form,
    /// One for each result.
    pub values: Vec<Option<Estimate>>,
}

impl<'a> View<'a> {
    /// The colour of a model.
    pub(super) fn paint(&self, model: &str) -> Paint {
        paint(self.report, model)
    }

    /// Something of each model's result.
    pub(super) fn each<T>(&self, of: impl Fn(&'a ModelResult) -> Option<T>) -> Vec<Option<T>> {
        self.suite.results.iter().map(of).collect()
    }

    /// The results that some models have, with the names of these models.
    pub(super) fn having<T>(&self, of: impl Fn(&'a ModelResult) -> Option<T>) -> Vec<(&'a str, T)> {
        self.suite.results.iter().filter_map(|result| Some((result.model.as_str(), of(result)?))).collect()
    }

    /// A row of a table of estimates.
    pub(super) fn line(&self, name: &str, form: Form, of: impl Fn(&'a ModelResult) -> Option<Estimate>) -> Line {
        Line { name: Name::new(name), form, values: self.each(of) }
    }

    /// A column for each model.
    pub(super) fn columns(&self) -> Vec<Name> {
        let column = |result: &ModelResult| Name { paint: Some(self.paint(&result.model)), ..Name::new(&result.model) };
        self.suite.results.iter().map(column).collect()
    }

    /// A table of estimates, one column per model and one for the baseline, where rows have one; it is the same for all
    /// models, or else the first's.
    pub(super) fn table(&self, page: &mut Page, caption: &str, corner: &str, lines: &[Line]) {
        let baseline = |line: &Line| line.values.iter().flatten().find_map(|estimate| estimate.baseline);
        let any = lines.iter().any(|line| baseline(line).is_some());
        let mut columns = self.columns();
        columns.extend(any.then(|| Name::new("baseline")));
        let row = |line: &Line| {
            let mut cells: Vec<Cell> = line.values.iter().map(|value| line.form.cell(*value)).collect();
            cells.extend(any.then(|| Cell::new(line.form.text(baseline(line)))));
            Row { name: line.name.clone(), cells }
        };
        page.comparison(caption, corner, &columns, &lines.iter().map(row).collect::<Vec<_>>());
    }

    /// A mark of a chart of intervals for each model.
    pub(super) fn dots(&self, of: impl Fn(&'a ModelResult) -> Option<Estimate>) -> Vec<Dot> {
        let dot = |result: &'a ModelResult| {
            let estimate = of(result).unwrap_or_default();
            Dot {
                name: result.model.clone(),
                value: estimate.value.unwrap_or(f64::NAN),
                interval: estimate.interval.map(|interval| (interval.low, interval.high)),
                paint: self.paint(&result.model),
            }
        };
        self.suite.results.iter().map(dot).collect()
    }
}

/// Adds a chart. The numbers of one that cannot be drawn are in the table beside it.
pub(super) fn chart(page: &mut Page, caption: &str, svg: Result<String>) {
    if let Ok(svg) = svg {
        page.svg(caption, &svg);
    }
}
