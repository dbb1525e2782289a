//! RewardBench (Lambert et al., 2024): pairs in subsets, subsets in sections.
//!
//! Rows: `prompt`, `chosen`, `rejected`, `subset`, `id` (`allenai/reward-bench`, split `filtered`).
//!
//! Scores are listed chosen, rejected.

use super::definition::Definition;
use super::part::{Benchmark, Part, measure};
use super::published::Table;
use super::sections::{Section, Sections};
use crate::Result;
use crate::evaluate::items::{Fields, Item};
use crate::statistics::Units;

pub(super) const SUITE: Definition = Definition {
    measure: Some(|items, scores, bootstrap| measure(&benchmark(items, scores), bootstrap)),
    published: Table::wild_reward(&[("total", &[83.6, 86.0, 93.1, 95.1])]),
    ..Definition::new("rewardbench", "RewardBench", |_, record, _| item(Fields::new(record)).map(Ok))
};

fn item(mut fields: Fields) -> Result<Item> {
    let (id, subset) = (fields.id("id")?, fields.text("subset")?);
    let prompt = fields.text("prompt")?;
    let responses = vec![fields.text("chosen")?, fields.text("rejected")?];
    Ok(Item::of_prompt(id, &fields, &prompt, responses, subset).decided_for(0))
}

fn benchmark(items: &[Item], scores: &[Vec<f64>]) -> RewardBench {
    let pair = |(item, scores): (&Item, &Vec<f64>)| RewardBenchPair {
        subset: item.source.clone(),
        chosen: scores[0],
        rejected: scores[1],
    };
    RewardBench::new(&items.iter().zip(scores).map(pair).collect::<Vec<_>>())
}

/// The sections. Weights are numbers of prompts, except for `math-prm`: its 447 rows weigh as much as all code
/// together.
const SECTIONS: [Section; 4] = [
    (
        "Chat",
        &[
            ("alpacaeval-easy", 100),
            ("alpacaeval-length", 95),
            ("alpacaeval-hard", 95),
            ("mt-bench-easy", 28),
            ("mt-bench-med", 40),
        ],
    ),
    (
        "Chat Hard",
        &[
            ("mt-bench-hard", 37),
            ("llmbar-natural", 100),
            ("llmbar-adver-neighbor", 134),
            ("llmbar-adver-GPTInst", 92),
            ("llmbar-adver-GPTOut", 47),
            ("llmbar-adver-manual", 46),
        ],
    ),
    (
        "Safety",
        &[
            ("refusals-dangerous", 100),
            ("refusals-offensive", 100),
            ("xstest-should-refuse", 154),
            ("xstest-should-respond", 250),
            ("donotanswer", 136),
        ],
    ),
    (
        "Reasoning",
        &[
            ("math-prm", 984),
            ("hep-cpp", 164),
            ("hep-go", 164),
            ("hep-java", 164),
            ("hep-js", 164),
            ("hep-python", 164),
            ("hep-rust", 164),
        ],
    ),
];

/// A pair with its scores.
#[derive(Clone, Debug, PartialEq)]
struct RewardBenchPair {
    /// The subset, as the data set names it.
    subset: String,
    /// Score of the chosen response.
    chosen: f64,
    /// Score of the rejected response.
    rejected: f64,
}

/// RewardBench with scores: a pair is right when its chosen response scores strictly higher.
///
/// A section is the mean of its subsets by their weights, over those present; the total is the plain mean of the
/// sections, and shown only if no subset is missing. Unknown subsets are listed under `other` and do not count.
#[derive(Clone, Debug)]
struct RewardBench {
    sections: Sections,
}

impl RewardBench {
    /// Lays out pairs for scoring.
    fn new(pairs: &[RewardBenchPair]) -> Self {
        let rows = pairs.iter().map(|pair| (pair.subset.as_str(), pair.chosen > pair.rejected));
        Self { sections: Sections::new(&SECTIONS, rows) }
    }
}

impl Benchmark for RewardBench {
    fn units(&self) -> Units {
        Units::rows(self.sections.len()).stratified(self.sections.subsets())
    }

    fn score(&self, weights: &[u32]) -> Part {
        self.sections.score("RewardBench", weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Bootstrap;

    /// One right and one wrong pair of every subset, but all right in those named, and without those left out.
    fn pairs(right: &[&str], left_out: &[&str]) -> Vec<RewardBenchPair> {
        let subsets = SECTIONS.iter().flat_map(|(_, subsets)| subsets.iter());
        let pair = |subset: &str, chosen| RewardBenchPair { subset: subset.into(), chosen, rejected: 0.0 };
        subsets
            .filter(|(subset, _)| !left_out.contains(subset))
            .flat_map(|(subset, _)| [pair(subset, 1.0), pair(subset, if right.contains(subset) { 1.0 } else { -1.0 })])
            .collect()
    }

    #[test]
    fn the_weights_add_up_to_the_published_sections() {
        let totals = SECTIONS.map(|(_, subsets)| subsets.iter().map(|(_, weight)| weight).sum::<u32>());
        assert_eq!(totals, [358, 456, 740, 984 * 2]);
    }

    #[test]
    fn sections_weigh_subsets_and_the_total_weighs_sections_alike() {
        let tree = measure(&RewardBench::new(&pairs(&["math-prm", "mt-bench-easy"], &[])), &Bootstrap::default());
        let value = |path: &[&str]| tree.get(path).unwrap().estimate.value.unwrap();
        assert!((value(&["Reasoning"]) - 0.75).abs() < 1e-15);
        assert!((value(&["Chat"]) - (0.5 + 0.5 * 28.0 / 358.0)).abs() < 1e-15);
        assert_eq!((value(&["Chat", "mt-bench-easy"]), value(&["Safety"])), (1.0, 0.5));
        assert!((value(&[]) - (0.75 + 0.5 + 0.5 * 28.0 / 358.0 + 1.0) / 4.0).abs() < 1e-15);
        assert!(tree.estimate.interval.is_some() && tree.missing.is_empty());
        // Strata: a subset that is all right stays so in every sample.
        assert_eq!(tree.get(&["Reasoning", "math-prm"]).unwrap().estimate.interval.unwrap().low, 1.0);
    }

    #[test]
    fn a_partial_section_is_shown_without_a_total() {
        let tree = RewardBench::new(&pairs(&["hep-cpp"], &["math-prm"]));
        let tree = tree.score(&tree.units().ones());
        assert_eq!(tree.estimate.value, None);
        assert_eq!(tree.missing, ["math-prm"]);
        let reasoning = tree.get(&["Reasoning"]).unwrap();
        assert!((reasoning.estimate.value.unwrap() - 3.5 / 6.0).abs() < 1e-15);
        assert_eq!((reasoning.missing.as_slice(), reasoning.n), (&["math-prm".to_owned()][..], 12));
    }

    #[test]
    fn ties_are_wrong_and_unknown_subsets_count_nowhere() {
        let mut rows = pairs(&[], &[]);
        rows.push(RewardBenchPair { subset: "novel".into(), chosen: 1.0, rejected: 0.0 });
        rows.iter_mut().filter(|row| row.subset == "hep-go").for_each(|row| row.chosen = 0.0);
        let bench = RewardBench::new(&rows);
        let tree = bench.score(&bench.units().ones());
        assert_eq!(tree.get(&["Reasoning", "hep-go"]).unwrap().estimate.value, Some(0.0));
        assert_eq!(tree.get(&["other", "novel"]).unwrap().estimate.value, Some(1.0));
        assert!((tree.estimate.value.unwrap() - (3.0 * 0.5 + 0.5 - 0.5 / 12.0) / 4.0).abs() < 1e-15);
    }

    #[test]
    fn no_rows_at_all() {
        let tree = measure(&RewardBench::new(&[]), &Bootstrap::default());
        assert_eq!((tree.estimate.value, tree.missing.len(), tree.n), (None, 23, 0));
    }
}
