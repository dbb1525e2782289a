//! RewardBench 2: `id`, `prompt`, `chosen` and `rejected` (lists), `subset` (`allenai/reward-bench-2`).
//!
//! Scores are listed chosen, then rejected. The prompts of the subset `Ties` have the ids `ref:<n>` and `tied:<n>`;
//! they have many correct answers, or none better than another, so they are not part of the pairs.

use std::collections::BTreeMap;

use super::{Fields, Item};
use crate::Result;
use crate::evaluate::benchmarks::RewardBench2;
use crate::evaluate::benchmarks::rewardbench2::{BestOf, TiesAnswers, TiesPrompt};

const TIES: &str = "Ties";

pub fn item(mut fields: Fields) -> Result<Item> {
    let (id, subset) = (fields.id("id")?, fields.text("subset")?);
    let prompt = fields.text("prompt")?;
    let (chosen, rejected) = (fields.texts("chosen")?, fields.texts("rejected")?);
    if chosen.is_empty() || rejected.is_empty() {
        return Err(fields.wrong("`chosen` or `rejected` is empty", "a prompt has responses of both kinds"));
    }
    let is_ties = subset == TIES;
    if is_ties && split_id(&id).is_none() {
        return Err(fields.wrong(format!("`id` is {id:?}"), "prompts of Ties have the ids ref:<n> and tied:<n>"));
    }
    if !is_ties && chosen.len() != 1 {
        let problem = format!("`chosen` holds {} responses", chosen.len());
        return Err(fields.wrong(problem, "outside the subset Ties one response is correct"));
    }
    let correct = [vec![true; chosen.len()], vec![false; rejected.len()]].concat();
    let pairs = if is_ties { vec![] } else { (1..correct.len()).map(|worse| [0, worse]).collect() };
    let responses = [chosen, rejected].concat();
    Ok(Item { correct, pairs, ..Item::of_prompt(id, &fields, &prompt, responses, subset) })
}

/// Kind and number of an id of the subset `Ties`.
fn split_id(id: &str) -> Option<(&str, &str)> {
    id.split_once(':').filter(|(kind, _)| ["ref", "tied"].contains(kind))
}

pub fn benchmark(items: &[Item], scores: &[Vec<f64>]) -> RewardBench2 {
    let mut prompts = vec![];
    let mut ties: BTreeMap<&str, TiesPrompt> = BTreeMap::new();
    for (item, scores) in items.iter().zip(scores) {
        let Some((kind, number)) = split_id(&item.id).filter(|_| item.source == TIES) else {
            prompts.push(BestOf { subset: item.source.clone(), scores: scores.clone() });
            continue;
        };
        let (correct, incorrect) = scores.split_at(item.correct.iter().filter(|correct| **correct).count());
        let answers = TiesAnswers::new(correct, incorrect);
        let prompt = ties.entry(number).or_insert(TiesPrompt { reference: None, tied: None });
        match kind {
            "ref" => prompt.reference = answers,
            _ => prompt.tied = answers,
        }
    }
    RewardBench2::new(&prompts, &ties.into_values().collect::<Vec<_>>())
}
