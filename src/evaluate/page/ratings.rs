//! Results of the models on rated responses.

use super::figures::{Form, Line, View};
use super::slices::slices;
use super::{Page, calibration, count, spread};
use crate::evaluate::report::ratings::{RatingReport, RatingSlice};
use crate::evaluate::report::{ModelResult, SlicesBy};
use crate::report::html::{Count, Matrix};
use crate::report::number::{percent, share};
use crate::statistics::Estimate;

pub(super) fn ratings(page: &mut Page, view: &View) {
    let all = view.having(|result| result.ratings.as_ref());
    let Some((_, first)) = all.first() else { return };
    page.heading("Ratings");
    let level = |(place, &number): (usize, &u64)| {
        let share = share(number, first.n as u64);
        Count { name: format!("level {}", place + 1), share, cells: vec![count(number), percent(share)] }
    };
    let levels: Vec<Count> = first.labels.iter().enumerate().map(level).collect();
    page.counts("How responses were rated", &["rating", "responses", "share"], &levels);
    view.table(page, "Scores against ratings", "metric", &metrics(view));
    spread::levels(page, view);
    confusion(page, view);
    calibration::of_ratings(page, view);

    let line = |name: &str, of: fn(&RatingReport) -> Estimate| {
        view.line(name, Form::Number, |result: &ModelResult| Some(of(result.ratings.as_ref()?)))
    };
    page.heading("Length");
    let lines = [
        line("rank correlation (Spearman)", |ratings| ratings.length.spearman),
        line("linear correlation (Pearson)", |ratings| ratings.length.pearson),
    ];
    let caption = "Correlation of scores with the length of responses; the baseline is that of the ratings themselves";
    view.table(page, caption, "what", &lines);
    slices(page, view, "ROC-AUC", slices_of, Form::Number, |slice| Some(slice.roc_auc));
    slices(page, view, "Mean absolute error", slices_of, Form::Number, |slice| slice.mae);
}

fn slices_of(result: &ModelResult) -> Option<&SlicesBy<RatingSlice>> {
    Some(&result.ratings.as_ref()?.slices)
}

/// Every metric that any model has, in their order.
fn metrics(view: &View) -> Vec<Line> {
    let mut names: Vec<&str> = vec![];
    for (name, _) in view.having(|result| result.ratings.as_ref()).iter().flat_map(|(_, ratings)| &ratings.metrics) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let estimate = |result: &ModelResult, name: &str| {
        let metrics = &result.ratings.as_ref()?.metrics;
        metrics.iter().find(|(metric, _)| *metric == name).map(|(_, estimate)| *estimate)
    };
    let line = |name: &&str| {
        let (shown, form) = shown(name);
        view.line(shown, form, |result| estimate(result, name))
    };
    names.iter().map(line).collect()
}

/// The name of a metric for people, and how it is written.
fn shown(metric: &str) -> (&str, Form) {
    match metric {
        "roc_auc" => ("ROC-AUC, the two top levels against the others", Form::Number),
        "spearman" => ("rank correlation (Spearman)", Form::Number),
        "kendall_tau_b" => ("rank correlation (Kendall τ-b)", Form::Number),
        "quadratic_weighted_kappa" => ("quadratic-weighted κ", Form::Number),
        "accuracy" => ("accuracy of the rounded score", Form::Share),
        "mae" => ("mean absolute error", Form::Number),
        "rmse" => ("root mean squared error", Form::Number),
        "ordinal_bin_acc" => ("thresholds on the right side", Form::Share),
        "rank_violations" => ("P(y > k) rises with k somewhere", Form::Share),
        other => (other, Form::Number),
    }
}

fn confusion(page: &mut Page, view: &View) {
    let all = view.having(|result| result.ratings.as_ref()?.confusion.as_ref());
    if all.is_empty() {
        return;
    }
    page.heading("Ratings and rounded scores");
    page.columns(|page| {
        for (model, counts) in all {
            let names = (1..=counts.len()).map(|level| level.to_string()).collect();
            let caption = format!("{model}: responses by rating and by rounded score, with shares of the rating");
            page.matrix(&caption, &Matrix { rows: "rated", columns: "scored", names, counts });
        }
    });
}
