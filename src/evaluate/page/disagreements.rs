//! The worst mistakes of models, to read.

use super::Page;
use super::figures::View;
use crate::evaluate::report::disagreements::{PairDisagreement, RatingDisagreement};
use crate::report::number::short;

pub(super) fn disagreements(page: &mut Page, view: &View) {
    let pairs = view.having(|result| Some(&result.pairs.as_ref()?.worst).filter(|worst| !worst.is_empty()));
    let ratings = view.having(|result| Some(&result.ratings.as_ref()?.worst).filter(|worst| !worst.is_empty()));
    if pairs.is_empty() && ratings.is_empty() {
        return;
    }
    page.heading("The worst mistakes")
        .paragraph("The worst first, with the texts. Such rows show what a model misses, or that the label is wrong.");
    for (model, worst) in pairs {
        page.folded(&format!("{model}: {} pairs", worst.len()), |page| worst.iter().for_each(|one| pair(page, one)));
    }
    for (model, worst) in ratings {
        let summary = format!("{model}: {} responses", worst.len());
        page.folded(&summary, |page| worst.iter().for_each(|one| rating(page, one)));
    }
}

fn pair(page: &mut Page, one: &PairDisagreement) {
    let heading = format!("{}, {}: {} in the wrong direction", one.id, one.source, short(one.margin));
    let better = format!("better: {}", short(one.better.score));
    let worse = format!("worse: {}", short(one.worse.score));
    let responses = [(better.as_str(), one.better.text.as_str()), (&worse, &one.worse.text)];
    article(page, &heading, &one.prompt, &responses);
}

fn rating(page: &mut Page, one: &RatingDisagreement) {
    let heading = format!("{}, {}: rated {}, scored {:.2}", one.id, one.source, one.label, one.response.score);
    article(page, &heading, &one.prompt, &[("response", &one.response.text)]);
}

/// Plain texts have no prompt.
fn article(page: &mut Page, heading: &str, prompt: &str, responses: &[(&str, &str)]) {
    let prompt = (!prompt.is_empty()).then_some(("prompt", prompt));
    let messages: Vec<(&str, &str)> = prompt.into_iter().chain(responses.iter().copied()).collect();
    page.conversation(heading, &messages);
}
