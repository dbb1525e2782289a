//! Reliability diagrams: whether confidences mean what they say, before and after Platt scaling.

use super::figures::{Form, Line, View, chart, shares};
use super::{Page, count};
use crate::evaluate::report::ModelResult;
use crate::evaluate::report::ratings::{Halves, ThresholdCalibration};
use crate::report::chart::{Paint, Series, Style, line_chart};
use crate::report::html::Name;
use crate::report::number::percent;
use crate::statistics::Estimate;
use crate::statistics::calibration::ReliabilityBin;

/// Models whose diagrams of every P(y > k) are shown at once; those of more unfold.
const SHOWN: usize = 2;

/// A model's diagram before and after scaling; one of them may be absent.
struct Diagram<'a> {
    before: Option<&'a [ReliabilityBin]>,
    after: Option<&'a [ReliabilityBin]>,
}

/// The diagrams of confidences in pairs, one per model.
pub(super) fn of_pairs(page: &mut Page, view: &View) {
    let all = view.having(|result| result.pairs.as_ref()?.summary.calibration.as_ref());
    page.columns(|page| {
        for (model, calibration) in &all {
            let caption = format!(
                "{model}: ECE {} before Platt scaling and {} after",
                Form::Share.text(calibration.ece_unfitted.value),
                Form::Share.text(calibration.ece.value)
            );
            let (before, after) = (&calibration.reliability_unfitted[..], &calibration.reliability[..]);
            draw(page, view.paint(model), &caption, &Diagram { before: Some(before), after: Some(after) });
        }
    });
    page.folded("The reliability diagrams in numbers", |page| {
        for (model, calibration) in &all {
            numbers(page, &format!("{model}, after Platt scaling"), &calibration.reliability);
        }
    });
}

/// The table and the diagrams of every P(y > k).
pub(super) fn of_ratings(page: &mut Page, view: &View) {
    let all = view.having(|result| Some(&result.ratings.as_ref()?.calibration).filter(|all| !all.is_empty()));
    if all.is_empty() {
        return;
    }
    page.heading("Calibration of each P(y > k)").paragraph(
        "Whether responses that a model puts above a level with 80 % probability are above it in 80 % of the cases. \
         Platt scaling is fitted on one half of the conversations or users and tested on the other, where it is \
         compared with the probabilities as given.",
    );
    view.table(page, "Errors of the probabilities; lower is better", "what", &lines(view));
    let folds = all.len() > SHOWN;
    for (model, thresholds) in all {
        let diagrams = |page: &mut Page| {
            page.columns(|page| thresholds.iter().for_each(|threshold| diagram(page, view, model, threshold)));
        };
        match folds {
            true => {
                page.folded(&format!("Reliability diagrams of {model}"), diagrams);
            }
            false => diagrams(page),
        }
        page.folded(&format!("The diagrams of {model} in numbers"), |page| {
            for threshold in thresholds {
                let k = threshold.threshold;
                numbers(page, &format!("{model}: P(y > {k}) as it is"), &threshold.as_given.reliability);
                if let Some(halves) = &threshold.halves {
                    numbers(page, &format!("{model}: P(y > {k}) after Platt scaling"), &halves.calibrated.reliability);
                }
            }
        });
    }
}

fn lines(view: &View) -> Vec<Line> {
    let of = |result: &ModelResult, k: u32| -> Option<ThresholdCalibration> {
        result.ratings.as_ref()?.calibration.iter().find(|one| one.threshold == k).cloned()
    };
    let highest = view.each(|result| result.ratings.as_ref()?.calibration.last().map(|last| last.threshold));
    let highest = highest.into_iter().flatten().max().unwrap_or(0);
    let line =
        |name: String, depth, values| Line { name: Name { depth, ..Name::new(name) }, form: Form::Share, values };
    let halves =
        |k: u32, of_halves: fn(&Halves) -> Estimate| view.each(|result| of(result, k)?.halves.as_ref().map(of_halves));
    (1..=highest)
        .flat_map(|k| {
            let given = |of_given: fn(&ThresholdCalibration) -> Estimate| {
                view.each(|result| of(result, k).as_ref().map(of_given))
            };
            let brier = line(format!("k = {k}: Brier score"), 1, given(|one| one.as_given.brier));
            [
                line(format!("k = {k}: ECE"), 0, given(|one| one.as_given.ece)),
                line(format!("k = {k}: ECE, test half"), 1, halves(k, |halves| halves.as_given.ece)),
                line(format!("k = {k}: ECE, test half, after scaling"), 1, halves(k, |halves| halves.calibrated.ece)),
                Line { form: Form::Number, ..brier },
            ]
        })
        .collect()
}

fn diagram(page: &mut Page, view: &View, model: &str, threshold: &ThresholdCalibration) {
    let ThresholdCalibration { threshold: k, as_given, halves } = threshold;
    let (before, caption) = match halves {
        Some(halves) => {
            let ece = [&halves.as_given, &halves.calibrated].map(|forecast| Form::Share.text(forecast.ece.value));
            let caption = format!("P(y > {k}) on the test half: ECE {} before scaling, {} after", ece[0], ece[1]);
            (&halves.as_given, caption)
        }
        None => (as_given, format!("P(y > {k}): ECE {}", Form::Share.text(as_given.ece.value))),
    };
    let after = halves.as_ref().map(|halves| &halves.calibrated.reliability[..]);
    let diagram = Diagram { before: Some(&before.reliability), after };
    draw(page, view.paint(model), &format!("{model}: {caption}"), &diagram);
}

/// The bins of a diagram against the diagonal, above the shares of rows in them.
fn draw(page: &mut Page, paint: Paint, caption: &str, diagram: &Diagram) {
    let shown = diagram.after.or(diagram.before).unwrap_or_default();
    let series = [
        Series::new("share of rows", shares_of(shown), Style::Bars).paint(Paint::Grid),
        Series::new("perfect", vec![(0.0, 0.0), (1.0, 1.0)], Style::Faint).paint(Paint::Ink),
        Series::new("before", points(diagram.before), Style::Rings).paint(paint),
        Series::new("after", points(diagram.after), Style::Points).paint(paint),
    ];
    let series: Vec<Series> = series.into_iter().filter(|one| !one.points.is_empty()).collect();
    chart(page, caption, line_chart(shares("confidence"), shares("observed frequency"), &series));
}

fn points(bins: Option<&[ReliabilityBin]>) -> Vec<(f64, f64)> {
    bins.unwrap_or_default().iter().filter_map(|bin| Some((bin.confidence?, bin.accuracy?))).collect()
}

/// The bars of the shares of rows in each bin; none for empty ones.
fn shares_of(bins: &[ReliabilityBin]) -> Vec<(f64, f64)> {
    let total: f64 = bins.iter().map(|bin| bin.count as f64).sum();
    let bar = |bin: &ReliabilityBin| [(bin.low, bin.count as f64 / total), (bin.high, bin.count as f64 / total)];
    bins.iter().filter(|bin| bin.count > 0).flat_map(bar).collect()
}

fn numbers(page: &mut Page, caption: &str, bins: &[ReliabilityBin]) {
    let row = |bin: &ReliabilityBin| {
        vec![
            format!("{} to {}", percent(bin.low), percent(bin.high)),
            count(bin.count),
            Form::Share.text(bin.confidence),
            Form::Share.text(bin.accuracy),
        ]
    };
    let rows: Vec<_> = bins.iter().map(row).collect();
    page.table(caption, &["confidence", "rows", "mean confidence", "observed frequency"], &rows);
}
