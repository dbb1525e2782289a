//! JudgeBench (Tan et al., 2024) for reward models: which of two responses is objectively correct.
//!
//! Rows: `pair_id`, `source`, `question`, `response_A`, `response_B`, `label` (`A>B` or `B>A`).
//!
//! Scores are listed A, B.

use super::definition::Definition;
use super::groups::Groups;
use super::part::{Benchmark, Part, indicator, measure};
use super::published::Table;
use crate::Result;
use crate::evaluate::items::{Fields, Item};
use crate::statistics::{Units, weighted};

pub(super) const SUITE: Definition = Definition {
    measure: Some(|items, scores, bootstrap| measure(&benchmark(items, scores), bootstrap)),
    published: Table::wild_reward(&[("total", &[61.1, 66.0, 62.9, 70.2])]),
    ..Definition::new("judgebench", "JudgeBench", |_, record, _| item(Fields::new(record)).map(Ok))
};

fn item(mut fields: Fields) -> Result<Item> {
    let (id, source) = (fields.id("pair_id")?, fields.text("source")?);
    let question = fields.text("question")?;
    let responses = vec![fields.text("response_A")?, fields.text("response_B")?];
    let better = match fields.text("label")?.as_str() {
        "A>B" => 0,
        "B>A" => 1,
        other => return Err(fields.wrong(format!("`label` is {other:?}"), "it is A>B or B>A")),
    };
    Ok(Item::of_prompt(id, &fields, &question, responses, source).decided_for(better))
}

fn benchmark(items: &[Item], scores: &[Vec<f64>]) -> JudgeBench {
    let pair = |(item, scores): (&Item, &Vec<f64>)| JudgeBenchPair {
        source: item.source.clone(),
        scores: [scores[0], scores[1]],
        a_is_better: item.correct[0],
    };
    JudgeBench::new(&items.iter().zip(scores).map(pair).collect::<Vec<_>>())
}

/// Prefixes of sources that results are shown for.
const SOURCES: [&str; 4] = ["mmlu-pro", "livebench-reasoning", "livebench-math", "livecodebench"];

/// A pair with its scores.
#[derive(Clone, Debug, PartialEq)]
struct JudgeBenchPair {
    /// The source, as the data set names it: `mmlu-pro-law`, `livecodebench`.
    source: String,
    /// Scores of responses A and B.
    scores: [f64; 2],
    /// Whether the label is `A>B`.
    a_is_better: bool,
}

/// JudgeBench with scores: the verdict is A>B if A scores strictly higher and B>A otherwise, so a tie counts as B>A.
///
/// The overall share is over pairs, whatever their source; sources of no known prefix are pooled under `other`.
#[derive(Clone, Debug)]
struct JudgeBench {
    groups: Groups,
    right: Vec<f64>,
}

impl JudgeBench {
    /// Lays out pairs for scoring.
    fn new(pairs: &[JudgeBenchPair]) -> Self {
        let prefix = |source: &str| SOURCES.into_iter().find(|prefix| source.starts_with(prefix)).unwrap_or("other");
        Self {
            groups: Groups::new(pairs.iter().map(|pair| prefix(&pair.source)), &SOURCES),
            right: pairs.iter().map(|pair| indicator((pair.scores[0] > pair.scores[1]) == pair.a_is_better)).collect(),
        }
    }
}

impl Benchmark for JudgeBench {
    fn units(&self) -> Units {
        Units::rows(self.right.len()).stratified(&self.groups.of_row)
    }

    fn score(&self, weights: &[u32]) -> Part {
        let Groups { names, sizes, .. } = &self.groups;
        let means = self.groups.means(&self.right, weights);
        let (at_hand, missing): (Vec<usize>, Vec<usize>) = (0..names.len()).partition(|&group| sizes[group] > 0);
        let part = |group: usize| Part::new(&names[group], sizes[group], means[group], Some(0.5));
        Part::new("JudgeBench", self.right.len(), weighted::mean(&self.right, weights), Some(0.5))
            .missing(missing.into_iter().map(|group| names[group].as_str()))
            .with_parts(at_hand.into_iter().map(part).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Bootstrap;
    use crate::test_files::fetched;
    use std::collections::BTreeMap;

    fn pair(source: &str, scores: [f64; 2], a_is_better: bool) -> JudgeBenchPair {
        JudgeBenchPair { source: source.into(), scores, a_is_better }
    }

    #[test]
    fn a_tie_is_a_verdict_for_b() {
        let bench = JudgeBench::new(&[
            pair("mmlu-pro-law", [1.0, 1.0], false),
            pair("mmlu-pro-math", [1.0, 1.0], true),
            pair("livecodebench", [2.0, 1.0], true),
            pair("elsewhere", [2.0, 1.0], true),
        ]);
        let tree = bench.score(&bench.units().ones());
        let value = |path: &[&str]| tree.get(path).unwrap().estimate.value.unwrap();
        assert_eq!((value(&["mmlu-pro"]), value(&["livecodebench"]), value(&["other"])), (0.5, 1.0, 1.0));
        assert_eq!(value(&[]), 0.75);
        assert_eq!(tree.missing, ["livebench-reasoning", "livebench-math"]);
    }

    /// Scores that reward models were published with must give the accuracies that were published with them.
    #[test]
    fn published_scores_give_published_accuracies() {
        let Some(scores) = fetched("WGR_DATA", "judgebench/published_reward_scores.jsonl") else { return };
        let text = std::fs::read_to_string(scores).unwrap();
        let mut models: BTreeMap<String, Vec<JudgeBenchPair>> = BTreeMap::new();
        for row in text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
            let string = |name: &str| row[name].as_str().unwrap().to_owned();
            let scores = serde_json::from_value(row["scores"].clone()).unwrap();
            models.entry(string("model")).or_default().push(pair(&string("source"), scores, row["label"] == "A>B"));
        }
        for (model, expected) in [
            ("Skywork-Reward-Llama-3.1-8B", 0.6229),
            ("Skywork-Reward-Gemma-2-27B", 0.6429),
            ("internlm2-20b-reward", 0.6343),
            ("internlm2-7b-reward", 0.5943),
            ("GRM-Gemma-2B", 0.5943),
        ] {
            let pairs = models.iter().find(|(name, _)| name.contains(model)).unwrap().1;
            let tree = measure(&JudgeBench::new(pairs), &Bootstrap::default());
            let (value, interval) = (tree.estimate.value.unwrap(), tree.estimate.interval.unwrap());
            assert!((value - expected).abs() < 0.5e-4, "{model}: {value}");
            assert!(interval.low < value - 0.03 && value + 0.03 < interval.high && interval.high < value + 0.07);
            assert_eq!(tree.parts.iter().map(|part| part.n).collect::<Vec<_>>(), [154, 98, 56, 42]);
        }
    }
}
