//! Results of the models on pairs.

use super::figures::{Form, View};
use super::slices::slices;
use super::{Page, calibration, count, coverage, spread};
use crate::evaluate::report::ModelResult;
use crate::evaluate::report::pairs::PairReport;
use crate::statistics::Estimate;
use crate::statistics::pairs::PairCalibration;

pub(super) fn pairs(page: &mut Page, view: &View) {
    let all = view.having(|result| result.pairs.as_ref());
    let Some((_, first)) = all.first() else { return };
    let line = |name: &str, form, of: fn(&PairReport) -> Option<Estimate>| {
        view.line(name, form, |result: &ModelResult| of(result.pairs.as_ref()?))
    };
    page.heading("Pairs");
    let lines = [
        line("accuracy", Form::Share, |pairs| Some(pairs.summary.accuracy)),
        line("ties, which count as wrong", Form::Share, |pairs| {
            Some(Estimate { value: pairs.summary.ties, ..Estimate::default() })
        }),
    ];
    view.table(
        page,
        &format!("How often the better of two responses scores higher, {}", pairs_of(first)),
        "what",
        &lines,
    );
    coverage::coverage(page, view);

    let fitted = |name: &str, form, of: fn(&PairCalibration) -> Estimate| {
        view.line(name, form, |result: &ModelResult| Some(of(result.pairs.as_ref()?.summary.calibration.as_ref()?)))
    };
    if let Some(calibration) = all.iter().find_map(|(_, pairs)| pairs.summary.calibration.as_ref()) {
        page.heading("Calibration").paragraph(&format!(
            "Whether the margin is a measure of confidence. Platt scaling turns it into one, σ(a·Δ + b); it is fitted \
             on the pairs of one half of the prompts ({}) and tested on the others ({}).",
            count(calibration.fit_pairs as u64),
            count(calibration.test_pairs as u64),
        ));
        let lines = [
            fitted("ECE", Form::Share, |c| c.ece),
            fitted("ECE, bins of equal mass", Form::Share, |c| c.ece_equal_mass),
            fitted("MCE", Form::Share, |c| c.mce),
            fitted("Brier score", Form::Number, |c| c.brier),
            fitted("NLL", Form::Number, |c| c.nll),
            fitted("ECE of σ(Δ), without any fit", Form::Share, |c| c.ece_unfitted),
        ];
        view.table(page, "Errors of the confidences; lower is better", "what", &lines);
        calibration::of_pairs(page, view);
    }
    spread::margins(page, view);

    page.heading("Length");
    let bias = &first.length_bias;
    let lines = [
        line("prefers the longer response", Form::Share, |pairs| Some(pairs.length_bias.prefers_longer)),
        line("accuracy where the longer response is better", Form::Share, |pairs| {
            Some(pairs.length_bias.accuracy_longer_is_better)
        }),
        line("accuracy where the longer response is worse", Form::Share, |pairs| {
            Some(pairs.length_bias.accuracy_longer_is_worse)
        }),
    ];
    let caption = format!(
        "Whether length is rewarded: the longer response is the better one in {} pairs and the worse one in {}",
        count(bias.longer_is_better as u64),
        count(bias.longer_is_worse as u64)
    );
    view.table(page, &caption, "what", &lines);
    slices(
        page,
        view,
        "Accuracy",
        |result| Some(&result.pairs.as_ref()?.slices),
        Form::Share,
        |accuracy| Some(*accuracy),
    );
}

fn pairs_of(report: &PairReport) -> String {
    format!("{} pairs", count(report.summary.n as u64))
}
