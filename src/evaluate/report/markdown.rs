//! `report.md`: the report for people, in tables with one column per model.

use std::fmt::Write as _;

use super::{ModelResult, Report, SlicesBy, SuiteReport};
use crate::evaluate::benchmarks::Part;
use crate::statistics::Estimate;

/// A row of a table: its name and one estimate per model.
type Row = (String, Vec<Option<Estimate>>);

/// Disagreements that are shown of a model; `report.json` has more.
const EXAMPLES: usize = 3;

/// A number as tables show it.
pub fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"))
}

/// A value with its interval.
fn cell(estimate: Option<Estimate>) -> String {
    let Some(Estimate { value: Some(value), interval, .. }) = estimate else { return "–".to_owned() };
    match interval {
        Some(interval) => format!("{value:.4} [{:.4}, {:.4}]", interval.low, interval.high),
        None => format!("{value:.4}"),
    }
}

/// The results in short, for a terminal: a header, then for each suite its total and the parts right below it, one
/// column a model.
pub fn table(report: &Report) -> Vec<Vec<String>> {
    let mut rows = vec![[vec![String::new()], report.models.iter().map(|model| model.name.clone()).collect()].concat()];
    for suite in &report.suites {
        let headline = suite.results.iter().find_map(ModelResult::headline).map_or("", |(name, _)| name);
        let column = |cell: &dyn Fn(&ModelResult) -> String| {
            let of_model = |name: &str| suite.results.iter().find(|result| result.model == name);
            report.models.iter().map(|m| of_model(&m.name).map_or("failed".into(), cell)).collect::<Vec<_>>()
        };
        let total = column(&|result| cell(result.headline().map(|(_, estimate)| estimate)));
        rows.push([vec![format!("{} {headline}", suite.suite)], total].concat());
        for part in suite.results.first().iter().filter_map(|r| r.benchmark.as_ref()).flat_map(|tree| &tree.parts) {
            let values = column(&|result| {
                number(result.benchmark.as_ref().and_then(|tree| tree.get(&[&part.name])?.estimate.value))
            });
            rows.push([vec![format!("  {}", part.name)], values].concat());
        }
    }
    rows
}

/// The whole report.
pub fn markdown(report: &Report) -> String {
    let mut text = String::from("# Evaluation\n\n");
    if report.partial {
        text.push_str("**Partial**: results are missing.\n\n");
    }
    for failure in &report.failures {
        let suite = failure.suite.map(|suite| format!(" on {suite}")).unwrap_or_default();
        let _ = writeln!(text, "- {}{suite}: {}", failure.model, failure.problem);
    }
    let percent = report.bootstrap.confidence * 100.0;
    let _ = writeln!(
        text,
        "\nShares lie in 0..1. In brackets: {percent:.0} % bootstrap confidence intervals ({} samples, seed {}).\n",
        report.bootstrap.samples, report.bootstrap.seed
    );
    report.suites.iter().for_each(|suite| section(&mut text, suite));
    text
}

fn section(text: &mut String, suite: &SuiteReport) {
    let SuiteReport { suite: name, items, responses, ties, dropped_for, .. } = suite;
    let _ = writeln!(text, "## {name}\n\n{items} items, {responses} responses, from {}.", suite.files.join(", "));
    if *ties > 0 {
        let share = 100.0 * *ties as f64 / *items as f64;
        let _ = writeln!(text, "Ties of people: {ties} items ({share:.1} %).");
    }
    for (reason, rows) in dropped_for {
        let _ = writeln!(text, "{rows} rows are left out: {reason}.");
    }
    let trees = per_model(suite, |result| result.benchmark.as_ref());
    if let Some(tree) = trees.iter().flatten().next() {
        let missing = tree.missing.join(", ");
        if !missing.is_empty() {
            let _ = writeln!(text, "\nMissing, so there is no total: {missing}.");
        }
        let mut rows = vec![];
        part_rows(tree, &mut vec![], &trees, &mut rows);
        estimates(text, suite, "part", &rows);
    }
    if !suite.published.is_empty() {
        let _ = writeln!(text, "\n| published | part | value | source |\n|---|---|---|---|");
        for p in &suite.published {
            let _ = writeln!(text, "| {} | {} | {:.3} | {} |", p.model, p.part, p.value, p.source);
        }
    }
    pair_tables(text, suite);
    rating_tables(text, suite);
    suite.results.iter().for_each(|result| notes(text, result));
    text.push('\n');
}

/// Something of each model's result.
fn per_model<'a, T>(suite: &'a SuiteReport, of: impl Fn(&'a ModelResult) -> Option<T>) -> Vec<Option<T>> {
    suite.results.iter().map(of).collect()
}

/// A tree of parts as rows, indented by depth; all models have the same tree.
fn part_rows<'a>(part: &'a Part, path: &mut Vec<&'a str>, trees: &[Option<&Part>], rows: &mut Vec<Row>) {
    let estimates = trees.iter().map(|tree| Some(tree.as_ref()?.get(path)?.estimate)).collect();
    let name = format!("{}{} ({})", "&emsp;".repeat(path.len()), part.name, part.n);
    rows.push((name, estimates));
    for child in &part.parts {
        path.push(&child.name);
        part_rows(child, path, trees, rows);
        path.pop();
    }
}

/// A table of estimates, with the baseline where rows have one; it is the same for all models, or else the first's.
fn estimates(text: &mut String, suite: &SuiteReport, title: &str, rows: &[Row]) {
    let names: Vec<String> = suite.results.iter().map(|result| escaped(&result.model)).collect();
    let _ = writeln!(text, "\n| {title} | {} | baseline |\n|---|{}---|", names.join(" | "), "---|".repeat(names.len()));
    for (name, values) in rows {
        let cells: Vec<String> = values.iter().map(|value| cell(*value)).collect();
        let baseline = values.iter().flatten().find_map(|estimate| estimate.baseline);
        let _ = writeln!(text, "| {name} | {} | {} |", cells.join(" | "), number(baseline));
    }
}

fn pair_tables(text: &mut String, suite: &SuiteReport) {
    let all = per_model(suite, |result| result.pairs.as_ref());
    let Some(first) = all.iter().flatten().next() else { return };
    let row = |name: &str, of: &dyn Fn(&super::PairReport) -> Option<Estimate>| {
        (name.to_owned(), all.iter().map(|pairs| of(pairs.as_ref()?)).collect::<Vec<_>>())
    };
    let plain = |value: Option<f64>| Some(Estimate { value, ..Estimate::default() });
    let rows = [
        row("accuracy", &|p| Some(p.summary.accuracy)),
        row("ties", &|p| plain(p.summary.ties)),
        row("ECE, calibrated", &|p| Some(p.summary.calibration.as_ref()?.ece)),
        row("ECE, equal mass", &|p| Some(p.summary.calibration.as_ref()?.ece_equal_mass)),
        row("MCE", &|p| Some(p.summary.calibration.as_ref()?.mce)),
        row("Brier score", &|p| Some(p.summary.calibration.as_ref()?.brier)),
        row("NLL", &|p| Some(p.summary.calibration.as_ref()?.nll)),
        row("ECE of σ(Δ)", &|p| Some(p.summary.calibration.as_ref()?.ece_unfitted)),
        row("prefers the longer response", &|p| Some(p.length_bias.prefers_longer)),
        row("accuracy, longer is better", &|p| Some(p.length_bias.accuracy_longer_is_better)),
        row("accuracy, longer is worse", &|p| Some(p.length_bias.accuracy_longer_is_worse)),
    ];
    estimates(text, suite, &format!("{} pairs", first.summary.n), &rows);
    let slices = per_model(suite, |result| result.pairs.as_ref().map(|pairs| &pairs.slices));
    slice_tables(text, suite, "accuracy", &slices, |accuracy| *accuracy);
}

fn rating_tables(text: &mut String, suite: &SuiteReport) {
    let all = per_model(suite, |result| result.ratings.as_ref());
    let Some(first) = all.iter().flatten().next() else { return };
    let counts: Vec<String> = first.labels.iter().map(u64::to_string).collect();
    let _ = writeln!(text, "\n{} ratings, by level from 1: {}.", first.n, counts.join(" / "));
    let mut names: Vec<&str> = vec![];
    for (name, _) in all.iter().flatten().flat_map(|ratings| &ratings.metrics) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let metric = |name: &str| {
        let of = |ratings: &&super::RatingReport| ratings.metrics.iter().find(|(n, _)| *n == name).map(|(_, e)| *e);
        (name.to_owned(), all.iter().map(|ratings| of(ratings.as_ref()?)).collect())
    };
    estimates(text, suite, "metric", &names.into_iter().map(metric).collect::<Vec<Row>>());
    for result in &suite.results {
        let Some(ratings) = result.ratings.as_ref().filter(|ratings| !ratings.calibration.is_empty()) else { continue };
        let _ = writeln!(
            text,
            "\n| {}: P(y > k) | ECE | Brier score | ECE, test half | ECE, test half, calibrated |\n|---|---|---|---|---|",
            escaped(&result.model)
        );
        for t in &ratings.calibration {
            let of_halves = |of: fn(&super::ratings::Halves) -> Estimate| cell(t.halves.as_ref().map(of));
            let _ = writeln!(
                text,
                "| k = {} | {} | {} | {} | {} |",
                t.threshold,
                cell(Some(t.as_given.ece)),
                cell(Some(t.as_given.brier)),
                of_halves(|halves| halves.as_given.ece),
                of_halves(|halves| halves.calibrated.ece)
            );
        }
    }
    let slices = per_model(suite, |result| result.ratings.as_ref().map(|ratings| &ratings.slices));
    slice_tables(text, suite, "ROC-AUC", &slices, |slice| slice.roc_auc);
}

/// One table for each key; all models have the same slices.
fn slice_tables<T>(
    text: &mut String,
    suite: &SuiteReport,
    measure: &str,
    slices: &[Option<&SlicesBy<T>>],
    of: impl Fn(&T) -> Estimate,
) {
    let Some(first) = slices.iter().flatten().next() else { return };
    for (key, listed) in first.iter().filter(|(_, listed)| listed.slices.len() > 1) {
        let row = |(place, slice): (usize, &crate::statistics::slices::Slice<T>)| {
            let small = if slice.small { ", few" } else { "" };
            let values = slices.iter().map(|slices| Some(of(&slices.as_ref()?.get(key)?.slices.get(place)?.measure)));
            (format!("{} ({}{small})", escaped(&slice.name), slice.n), values.collect())
        };
        let rows: Vec<Row> = listed.slices.iter().enumerate().map(row).collect();
        estimates(text, suite, &format!("{measure} by {key}"), &rows);
        if listed.unlisted > 0 {
            let _ = writeln!(text, "\n{} more, with {} rows.", listed.unlisted, listed.unlisted_rows);
        }
    }
}

/// Counts of what was cut, and the model's worst mistakes.
fn notes(text: &mut String, result: &ModelResult) {
    if let Some(truncation) = result.truncation.filter(|truncation| truncation.rows > 0) {
        let _ = writeln!(text, "\n{}: {truncation}.", escaped(&result.model));
    }
    let worst = result.pairs.iter().flat_map(|pairs| pairs.worst.iter().take(EXAMPLES));
    for (place, example) in worst.enumerate() {
        if place == 0 {
            let _ = writeln!(text, "\nThe worst mistakes of {}:", escaped(&result.model));
        }
        let _ = writeln!(text, "\n- {} ({}), margin {:.4}", example.id, example.source, example.margin);
        quote(text, "prompt", &example.prompt);
        quote(text, &format!("better, {:.4}", example.better.score), &example.better.text);
        quote(text, &format!("worse, {:.4}", example.worse.score), &example.worse.text);
    }
    let worst = result.ratings.iter().flat_map(|ratings| ratings.worst.iter().take(EXAMPLES));
    for (place, example) in worst.enumerate() {
        if place == 0 {
            let _ = writeln!(text, "\nThe worst mistakes of {}:", escaped(&result.model));
        }
        let _ = writeln!(text, "\n- {}, rated {}, scored {:.4}", example.id, example.label, example.response.score);
        quote(text, "prompt", &example.prompt);
        quote(text, "response", &example.response.text);
    }
}

/// A text as code, whose own Markdown has no effect.
fn quote(text: &mut String, name: &str, quoted: &str) {
    if !quoted.is_empty() {
        let lines = quoted.replace('\n', "\n      ");
        let _ = writeln!(text, "\n  {name}:\n\n      {lines}");
    }
}

/// A name within a table.
fn escaped(name: &str) -> String {
    name.replace('|', "\\|")
}
