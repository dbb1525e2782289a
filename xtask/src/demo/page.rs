//! The page about a run of the demo.

use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};
use wgr::gpu::AdapterSummary;
use wgr::report;
use wgr::report::chart::{Series, Style, line_chart, loss_chart};
use wgr::report::html::Page;

use super::policy::Policy;
use super::rows::{CONVERSATIONS, Scored, exchange, is_english};

/// Writes the page; `scored` are test rows by rising score.
pub(super) fn write(
    path: &Path,
    adapter: &AdapterSummary,
    reward: &Path,
    scored: &[Scored],
    auc: f64,
    policy: &Policy,
) -> Result<()> {
    let losses: Vec<(f64, f64)> = report::metrics::read(&reward.join("metrics.jsonl"))?
        .iter()
        .filter_map(|row: &Map<String, Value>| Some((row["step"].as_f64()?, row.get("loss")?.as_f64()?)))
        .collect();
    let mut page = Page::new("A reward model and a better policy in minutes");
    page.paragraph(&format!(
        "Trained from scratch on rows that lexical rules extracted from {CONVERSATIONS} chats, on {}. On held-out chats \
         the reward model's scores separate what users liked from what they did not with a ROC-AUC of {auc:.3}; chance \
         is 0.5. A small policy that imitates the chats then improved against it: the mean reward of fresh samples for \
         test prompts went from {:.2} to {:.2}, on a scale of 1 to 4.",
        adapter.name, policy.before, policy.after
    ));
    page.section("Loss of the reward model").svg("Training loss, step by step", &loss_chart(&losses, &[])?);
    page.section("English test rows with the lowest and the highest scores");
    for Scored { row, label, score } in lowest_and_highest(scored) {
        let mut messages: Vec<(&str, &str)> = ["query", "response"].into_iter().zip(exchange(row)).collect();
        messages.extend(row["user_feedback"]["content"].as_str().map(|feedback| ("feedback", feedback)));
        page.conversation(&format!("score {score:.2}, label {label}"), &messages);
    }
    let rewards = Series::new("mean reward of the rollouts", policy.rewards.clone(), Style::Points);
    let rewards = line_chart("step of online DPO", "reward", &[rewards])?;
    page.section("Reward of the policy").svg("Mean reward of the rollouts of each step", &rewards);
    page.section("Completions of the policy before and after online DPO");
    for [query, before, after] in &policy.samples {
        page.conversation(query, &[("before", before), ("after", after)]);
    }
    Ok(page.write(path)?)
}

/// The English rows at both ends.
fn lowest_and_highest(sorted: &[Scored]) -> Vec<&Scored> {
    let english: Vec<&Scored> = sorted.iter().filter(|scored| is_english(&scored.row)).collect();
    let count = 3.min(english.len() / 2);
    [&english[..count], &english[english.len() - count..]].concat()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_page_shows_english_rows_of_both_ends() {
        let languages = ["Chinese", "English", "English", "Chinese", "English", "Chinese"];
        let row = |(place, language)| Scored { row: json!({"language": language}), label: 1, score: f64::from(place) };
        let scored: Vec<Scored> = (0..).zip(languages).map(row).collect();
        let shown: Vec<f64> = lowest_and_highest(&scored).iter().map(|scored| scored.score).collect();
        assert_eq!(shown, [1.0, 4.0]);
        assert!(lowest_and_highest(&[]).is_empty());
    }
}
