//! `wgr extract compare`.

use std::path::PathBuf;

use wgr::Result;
use wgr::data::Feedback;
use wgr::extract::compare::agreement::Statistic;
use wgr::extract::compare::{Comparison, Disagreement, Side, compare};

use crate::print;

/// Flags of `wgr extract compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// First annotator: the output of a run of `wgr extract`, or a file of labels as for --annotator-file
    #[arg(value_name = "A")]
    a: PathBuf,
    /// Second annotator, against which the first is measured; turns are matched by conversation and number
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Show at most N turns on which they disagree
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Prints the agreement of the two.
pub(crate) fn run(args: &Args) -> Result<()> {
    let found = compare(&args.a, &args.b, args.limit)?;
    if found.common == 0 {
        print::note("no turn is judged by both; do they cover the same conversations?");
    }
    if args.json { print::json(&found) } else { text(&found) }
}

/// The comparison for reading.
fn text(found: &Comparison) -> Result<()> {
    for (name, side) in [("A", &found.a), ("B", &found.b)] {
        print::line(&format!("{name}  {}", described(side)))?;
    }
    print::line("")?;
    let counts = [
        (found.common, format!("turns judged by both, of {} conversations", found.conversations)),
        (found.only_a, "only by A".into()),
        (found.only_b, "only by B".into()),
    ];
    counts.iter().try_for_each(|(count, name)| print::line(&format!("{count:>12}  {name}")))?;
    if found.common == 0 {
        return Ok(());
    }
    print::line("")?;
    let statistics = [
        ("same level", &found.agreement),
        ("Cohen's κ", &found.kappa),
        ("quadratic-weighted κ", &found.weighted_kappa),
    ];
    print::columns(&statistics.map(|(name, statistic)| statistic_row(name, statistic)))?;
    print::line("")?;
    print::columns(&level_rows(found))?;
    print::line("\nTurns by the level of A (rows) and of B (columns)")?;
    print::columns(&confusion_rows(found))?;
    if !found.disagreements.is_empty() {
        print::line("\nSome turns on which they disagree")?;
    }
    found.disagreements.iter().flat_map(disagreement).try_for_each(|line| print::line(&line))
}

fn described(side: &Side) -> String {
    match &side.annotator {
        Some(annotator) => format!("{}: {} turns judged by {annotator}", side.path, side.turns),
        None => format!("{}: {} turns with labels", side.path, side.turns),
    }
}

fn statistic_row(name: &str, statistic: &Statistic) -> Vec<String> {
    let value = match statistic.value {
        Some(value) => format!("{value:.3}"),
        None => "undefined: both give the same single level throughout".into(),
    };
    let interval = statistic.interval.map(|[low, high]| format!("95 % confidence interval {low:.3} to {high:.3}"));
    vec![name.to_owned(), value, interval.unwrap_or_default()]
}

fn level_rows(found: &Comparison) -> Vec<Vec<String>> {
    let headers = ["level", "by A", "by B", "by both", "precision", "recall", "F1"].map(str::to_owned).to_vec();
    let share = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.3}"));
    let rows = found.levels.iter().map(|of| {
        let counts = [of.a, of.b, of.both].map(|count| count.to_string());
        let shares = [of.precision, of.recall, of.f1].map(share);
        [&[of.level.name().to_owned()], &counts[..], &shares[..]].concat()
    });
    std::iter::once(headers).chain(rows).collect()
}

fn confusion_rows(found: &Comparison) -> Vec<Vec<String>> {
    let names = Feedback::ALL.map(|level| level.name().to_owned());
    let headers = [&[String::new()], &names[..]].concat();
    let rows = names.iter().zip(&found.confusion.0).map(|(name, row)| {
        let counts: Vec<String> = row.iter().map(u64::to_string).collect();
        [std::slice::from_ref(name), &counts[..]].concat()
    });
    std::iter::once(headers).chain(rows).collect()
}

/// A turn on which they disagree; what the user said is shortened to fit a screen.
fn disagreement(found: &Disagreement) -> Vec<String> {
    const SHOWN: usize = 240;
    let judged = |level: Feedback, reason: &str| format!("{} ({})", level.name(), brief(reason, SHOWN));
    let (a, b) = (judged(found.a, &found.a_reason), judged(found.b, &found.b_reason));
    let mut lines = vec![format!("── {}", found.id), format!("A {a}, B {b}")];
    lines.extend(found.feedback.as_ref().map(|said| format!("[user, next] {}", brief(said, SHOWN))));
    lines
}

/// A text on one line, with an ellipsis where something is cut off.
fn brief(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{} …", line[..end].trim_end()),
        None => line,
    }
}
