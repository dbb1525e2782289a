//! The page of a run: its curves, and completions of the policy.

use std::path::Path;

use super::metrics::Sampled;
use super::records::EVALUATION;
use super::rollouts::{ROLLOUTS, Rollout, Side, read};
use super::summary::OnlineSummary;
use crate::Result;
use crate::report::chart::{Series, Style, line_chart, smooth};
use crate::report::html::Page;
use crate::report::metrics::{FILE_NAME, read as read_metrics};
use crate::report::number::short;

/// The page, within the output.
pub(super) const PAGE: &str = "report.html";
/// Largest weight of the past in smoothed lines.
const SMOOTHING: f64 = 0.9;
/// Steps that a smoothed line of a short run looks back, as a share of all.
const WINDOW: f64 = 0.2;
/// Pairs shown of the first and of the last step.
const SHOWN: usize = 3;

/// Writes the page from what is on record.
///
/// # Errors
/// The records cannot be read, or the page not written.
pub(super) fn write(directory: &Path, summary: &OnlineSummary) -> Result<()> {
    let history = read_metrics(&directory.join(FILE_NAME))?;
    let points = |name: &str| -> Vec<(f64, f64)> {
        history.iter().filter_map(|row| Some((row.get("step")?.as_f64()?, row.get(name)?.as_f64()?))).collect()
    };
    let mut page = Page::new("Online DPO");
    page.paragraph(&describe(summary));
    for warning in &summary.warnings {
        page.note(warning);
    }
    page.section("Curves");
    let smoothing = (1.0 - 1.0 / (WINDOW * summary.steps as f64)).clamp(0.0, SMOOTHING);
    let curve = |page: &mut Page, caption: &str, axis: &str, name: &str| {
        let held_out = points(&format!("{EVALUATION}{name}"));
        let mut series = vec![
            Series::new("each step", points(name), Style::Faint),
            Series::new("smoothed", smooth(&points(name), smoothing), Style::Line),
        ];
        if !held_out.is_empty() {
            series.push(Series::new("held out", held_out, Style::Points));
        }
        // A run that ended before its first step has nothing to draw.
        if let Ok(svg) = line_chart("step", axis, &series) {
            page.svg(caption, &svg);
        }
    };
    page.columns(|page| {
        curve(page, "Mean reward of the completions per step", "reward", "objective/scores");
        curve(page, "KL divergence from the reference model, in nats per completion", "KL", "objective/kl");
        curve(page, "Mean length of a completion", "tokens", "completions/mean_length");
        curve(page, "Share of four-token phrases that repeat earlier ones", "share", "completions/repetition");
        curve(page, "Share of completions that end by themselves", "share", "val/contain_eos_token");
    });
    numbers(&mut page, &history.iter().filter_map(Sampled::from_row).collect::<Vec<_>>());
    rollouts(&mut page, &read(directory, ROLLOUTS)?);
    page.write(&directory.join(PAGE))
}

fn describe(summary: &OnlineSummary) -> String {
    let OnlineSummary { steps, updates, pairs, skipped, .. } = summary;
    let mut text = format!(
        "{steps} steps, {updates} of them with an update, on {pairs} pairs. Prompts without a pair: {} whose rewards are all \
         equal, {} whose best and worst are too close, {} whose best and worst are the same text.",
        skipped.ties, skipped.small_margins, skipped.identical
    );
    if let (Some(before), Some(after)) = (summary.held_out_before, summary.held_out_after) {
        text.push_str(&format!(" Mean reward for held-out prompts: {before:.4} before, {after:.4} after."));
    }
    if summary.interrupted {
        text.push_str(" The run was stopped early.");
    }
    text
}

/// First and last step side by side, for those who cannot see curves.
fn numbers(page: &mut Page, steps: &[Sampled]) {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return };
    let rows: Vec<Vec<String>> = first
        .named()
        .into_iter()
        .zip(last.named())
        .map(|((name, first), (_, last))| vec![name.to_owned(), short(first), short(last)])
        .collect();
    page.table("The first and the last step", &["metric", "first step", "last step"], &rows);
}

/// Best and worst of some prompts, at the beginning and at the end.
fn rollouts(page: &mut Page, rollouts: &[Rollout]) {
    let paired = || rollouts.iter().filter(|rollout| rollout.pair.is_some());
    let (Some(first), Some(last)) = (paired().map(|r| r.step).min(), paired().map(|r| r.step).max()) else { return };
    page.section("Completions of the policy");
    page.paragraph("The best and the worst completion of some prompts; all are in rollouts.jsonl.");
    let mut steps = vec![first, last];
    steps.dedup();
    for step in steps {
        page.heading(&format!("Step {step}"));
        let chosen = paired().filter(|rollout| rollout.step == step && rollout.pair == Some(Side::Chosen));
        for best in chosen.take(SHOWN) {
            let is_other = |other: &&Rollout| {
                other.step == step && other.prompt_id == best.prompt_id && other.pair == Some(Side::Rejected)
            };
            let Some(worst) = paired().find(is_other) else { continue };
            let prompt = prompt_text(best);
            let heading = format!("Rewards {} and {}", short(best.reward), short(worst.reward));
            page.conversation(&heading, &[("prompt", &prompt), ("chosen", &best.text), ("rejected", &worst.text)]);
        }
    }
}

/// The prompt as a text: the last message of a conversation.
fn prompt_text(rollout: &Rollout) -> String {
    let last = || rollout.prompt.as_array()?.last()?["content"].as_str();
    rollout.prompt.as_str().or_else(last).unwrap_or_default().to_owned()
}
