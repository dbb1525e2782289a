//! A glossary of the page.

use super::{Page, Report};

/// Words and their meanings, in the order of the page.
const WORDS: [(&str, &str); 14] = [
    (
        "accuracy",
        "The share of pairs in which the better response scores higher; a tie is wrong, unless the benchmark has its \
         own rule.",
    ),
    ("BoN", "Best of N: the share of prompts whose best response scores above every other; chance is 1/N."),
    (
        "with ties",
        "The share of votes, including ties, that the model agrees with if score differences up to a threshold count \
         as ties. The threshold is the one that agrees with the most of these votes, so another data set may get less.",
    ),
    ("margin, Δ", "The score of the better response minus that of the worse one."),
    ("coverage", "The share of pairs whose margin is at least as wide as the threshold."),
    (
        "Platt scaling",
        "A logistic curve through the margins, or through the logits of a probability, fitted on one half of the \
         data; it turns them into confidences.",
    ),
    (
        "ECE, MCE",
        "Expected and maximum calibration error: the mean and the maximum distance between confidence and observed \
         frequency, over bins of equal width.",
    ),
    (
        "Brier score, NLL",
        "The mean squared error and the mean negative logarithm of confidences; lower is better. Unlike the ECE they \
         also reward telling cases apart.",
    ),
    (
        "reliability diagram",
        "Observed frequency against the model's confidence, bin by bin. Below the diagonal the model is \
         overconfident, above it underconfident. The bars are the shares of rows in each bin.",
    ),
    (
        "ROC-AUC",
        "The probability that a response of the two top levels scores above one of the others; 0.5 is chance, 1 is \
         perfect.",
    ),
    (
        "P(y > k)",
        "The probability that a response is rated above level k; a model with K levels gives K − 1 of them, and its \
         score is 1 plus their sum.",
    ),
    ("κ", "Agreement of the rounded score with the rating beyond chance, with differences weighted by their square."),
    (
        "prefers the longer response",
        "The share of pairs of unequal length whose longer response scores higher. Its baseline is how often the \
         longer one is the better.",
    ),
    (
        "interval",
        "The range of the number over samples of the items with replacement; items of one prompt, conversation or \
         user are resampled together.",
    ),
];

pub(super) fn guide(page: &mut Page, report: &Report) {
    page.section("Glossary");
    let rows: Vec<_> = WORDS.iter().map(|(word, meaning)| vec![(*word).to_owned(), (*meaning).to_owned()]).collect();
    page.table("Words on this page", &["word", "meaning"], &rows);
    page.paragraph(&format!(
        "The same numbers and more are in report.json, for programs. Written by wgr {}; diagrams have {} bins.",
        report.wgr_version, report.bins
    ));
}
