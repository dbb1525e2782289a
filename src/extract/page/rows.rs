//! The rows: their split and their distributions.

use std::collections::BTreeMap;

use super::parts::{SHARES, chart, labels, part};
use crate::extract::report::{Distribution, Report, Split};
use crate::report::chart::{Axis, Bars, Series, Style, bar_chart, line_chart, outline};
use crate::report::html::Page;
use crate::report::number::{count, percent, share, short};

/// Models shown; the rest is summed up.
const MODELS: usize = 20;

pub(super) fn split(page: &mut Page, report: &Report) {
    let (train, test) = (&report.train, &report.test);
    page.section("Training and test rows").paragraph(
        "Rows are split by whole conversations, or by whole users, with a seed. Labels and languages should have \
         about the same shares in both sets.",
    );
    let row = |name: &str, of: fn(&Split) -> u64| vec![name.to_owned(), count(of(train)), count(of(test))];
    let mut rows = vec![
        row("rows", |split| split.rows),
        row("conversations", |split| split.conversations),
        row("users", |split| split.users),
    ];
    page.table("Training and test set", &["what", "train", "test"], &rows);
    if train.rows == 0 && test.rows == 0 {
        page.paragraph("There are no rows.");
        return;
    }

    let labels = labels(report);
    let number = |split: &Split, label: u32| split.labels.get(label as usize - 1).copied().unwrap_or(0);
    let shares = |split: &Split| -> Vec<f64> {
        labels.iter().map(|(label, _)| share(number(split, *label), split.rows)).collect()
    };
    let series = [Bars::new("train", shares(train)), Bars::new("test", shares(test))];
    let names: Vec<&str> = labels.iter().map(|(_, name)| name.as_str()).collect();
    chart(page, "Shares of the labels in both sets", bar_chart(&names, &series, percent));
    let both = |name: &str, train_rows: u64, test_rows: u64| {
        let side = |number: u64, split: &Split| [count(number), percent(share(number, split.rows))];
        let cells = [side(train_rows, train), side(test_rows, test)].concat();
        [vec![name.to_owned()], cells].concat()
    };
    let headers = ["train", "share", "test", "share"];
    rows = labels.iter().map(|(label, name)| both(name, number(train, *label), number(test, *label))).collect();
    page.table("Rows by label", &[&["label"], &headers[..]].concat(), &rows);

    let languages: BTreeMap<&String, ()> =
        train.languages.keys().chain(test.languages.keys()).map(|l| (l, ())).collect();
    let of = |split: &Split, language: &str| split.languages.get(language).copied().unwrap_or(0);
    rows = languages.into_keys().map(|language| both(language, of(train, language), of(test, language))).collect();
    page.table("Rows by language", &[&["language"], &headers[..]].concat(), &rows);
}

pub(super) fn rows(page: &mut Page, report: &Report) {
    if report.query_words.count == 0 {
        return;
    }
    page.section("Distributions");
    models(page, &report.models);
    page.paragraph("Lengths and counts are on a logarithmic scale; each Chinese character counts as a word.");
    let all = [
        ("Words per query", "words", &report.query_words),
        ("Words per response", "words", &report.response_words),
        ("Turns before the query", "turns", &report.history_turns),
        ("Rows per user", "rows", &report.rows_per_user),
    ];
    page.columns(|page| {
        for (name, unit, distribution) in all {
            histogram(page, name, unit, distribution);
        }
    });
    page.folded("The same in numbers", |page| {
        for (name, unit, distribution) in all {
            numbers(page, name, unit, distribution);
        }
    });
}

/// The models with the most rows, and the sum of the others.
fn models(page: &mut Page, models: &BTreeMap<String, u64>) {
    let sum = |models: &[(&String, &u64)]| models.iter().fold(0_u64, |sum, (_, rows)| sum.saturating_add(**rows));
    let mut sorted: Vec<_> = models.iter().collect();
    sorted.sort_by_key(|(_, rows)| std::cmp::Reverse(**rows));
    let total = sum(&sorted);
    let (shown, others) = sorted.split_at(sorted.len().min(MODELS));
    let mut rows: Vec<_> = shown.iter().map(|(name, rows)| part(*name, **rows, total)).collect();
    if !others.is_empty() {
        rows.push(part(format!("{} others", others.len()), sum(others), total));
    }
    page.counts("Rows by the model that answered", &["model", "rows", "share"], &rows);
}

fn histogram(page: &mut Page, name: &str, unit: &str, distribution: &Distribution) {
    let bins = &distribution.bins;
    let first = bins.iter().position(|number| *number > 0).unwrap_or(0);
    let points = outline(first as f64, bins.len() as f64, &bins[first..]);
    if points.is_empty() {
        return;
    }
    let caption = format!("{name}: mean {:.1}, maximum {}", distribution.mean, count(distribution.max));
    let x = Axis::new(unit, power);
    chart(page, &caption, line_chart(x, SHARES, &[Series::new("", points, Style::Bars)]));
}

/// The lowest number of a bin of powers of two, where an axis has a whole bin.
fn power(bin: f64) -> String {
    match (bin - bin.round()).abs() < 1e-6 {
        true => short(lowest(bin.round() as usize) as f64),
        false => String::new(),
    }
}

/// The lowest number with this many significant bits.
fn lowest(bin: usize) -> u64 {
    match bin {
        0 => 0,
        bin => 1 << (bin - 1).min(63),
    }
}

fn numbers(page: &mut Page, name: &str, unit: &str, distribution: &Distribution) {
    let rows: Vec<_> = distribution
        .bins
        .iter()
        .enumerate()
        .skip_while(|(_, number)| **number == 0)
        .map(|(bin, number)| {
            let low = lowest(bin);
            let high = low + low.saturating_sub(1);
            let range = if low == high { count(low) } else { format!("{} to {}", count(low), count(high)) };
            part(range, *number, distribution.count)
        })
        .collect();
    page.counts(name, &[unit, "number", "share"], &rows);
}
