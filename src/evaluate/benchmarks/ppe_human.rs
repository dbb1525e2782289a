//! PPE human preference (Frick et al., 2024): pairs that people have judged.
//!
//! Rows: `question_id`, `prompt`, `response_1`, `response_2`, `winner` (`model_a`, `model_b` or a tie),
//! `language` (`lmarena-ai/PPE-Human-Preference-V1`).
//!
//! Scores are listed 1, 2. Ties are left out.

use super::definition::Definition;
use super::part::{Benchmark, Part, indicator, measure};
use super::published::Table;
use crate::Result;
use crate::evaluate::items::{Fields, Item, LeftOut, Row};
use crate::statistics::{Units, weighted};

pub(super) const SUITE: Definition = Definition {
    measure: Some(|items, scores, bootstrap| measure(&benchmark(items, scores), bootstrap)),
    published: Table::wild_reward(&[("total", &[61.6, 62.5, 62.2, 64.2])]),
    ..Definition::new("ppe-human", "PPE, human preference", |_, record, _| item(Fields::new(record)))
};

fn item(mut fields: Fields) -> Result<Row> {
    let id = fields.id("question_id")?;
    let better = match fields.text("winner")?.as_str() {
        "model_a" => 0,
        "model_b" => 1,
        "tie" | "tie (bothbad)" => return Ok(Err(LeftOut("ties"))),
        other => return Err(fields.wrong(format!("`winner` is {other:?}"), "it is model_a, model_b or tie")),
    };
    let prompt = fields.text("prompt")?;
    let responses = vec![fields.text("response_1")?, fields.text("response_2")?];
    let language = fields.optional("language")?;
    let item = Item::of_prompt(id, &fields, &prompt, responses, "human".into()).decided_for(better);
    Ok(Ok(Item { language, ..item }))
}

fn benchmark(items: &[Item], scores: &[Vec<f64>]) -> PpeHuman {
    let pair =
        |(item, scores): (&Item, &Vec<f64>)| PpeHumanPair { scores: [scores[0], scores[1]], winner: item.pairs[0][0] };
    PpeHuman::new(&items.iter().zip(scores).map(pair).collect::<Vec<_>>())
}

/// A pair that a person has judged, with its scores.
#[derive(Clone, Copy, Debug, PartialEq)]
struct PpeHumanPair {
    /// Scores of the two responses.
    scores: [f64; 2],
    /// Which of them won, 0 or 1.
    winner: usize,
}

/// PPE human preference with scores: a pair is right when the winner scores strictly higher.
#[derive(Clone, Debug)]
struct PpeHuman {
    right: Vec<f64>,
}

impl PpeHuman {
    /// Lays out pairs for scoring.
    fn new(pairs: &[PpeHumanPair]) -> Self {
        let right = |pair: &PpeHumanPair| indicator(pair.scores[pair.winner] > pair.scores[1 - pair.winner]);
        Self { right: pairs.iter().map(right).collect() }
    }
}

impl Benchmark for PpeHuman {
    fn units(&self) -> Units {
        Units::rows(self.right.len())
    }

    fn score(&self, weights: &[u32]) -> Part {
        Part::new("PPE human", self.right.len(), weighted::mean(&self.right, weights), Some(0.5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Bootstrap;

    #[test]
    fn tied_scores_are_wrong() {
        let pair = |scores, winner| PpeHumanPair { scores, winner };
        let pairs = [pair([2.0, 1.0], 0), pair([2.0, 1.0], 1), pair([1.0, 2.0], 1), pair([1.0, 1.0], 1)];
        let tree = measure(&PpeHuman::new(&pairs), &Bootstrap::default());
        assert_eq!((tree.estimate.value, tree.n, tree.estimate.baseline), (Some(0.5), 4, Some(0.5)));
        assert_eq!(measure(&PpeHuman::new(&[]), &Bootstrap::default()).estimate.value, None);
    }
}
