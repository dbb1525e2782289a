//! PPE correctness: `question_id`, `prompt`, `response_1` … `response_K`, `scores` (which are correct),
//! `sampled_conflict_pairs` (places from 0), and the `model_name` that answered (`lmarena-ai/PPE-…-Best-of-K`).
//!
//! Scores are listed in the order of the responses. A row belongs to the set that its file, or a folder around it, is
//! named after. Several models answered each question, and ids are unique within a set and model, so the id of an item
//! is `math:<question_id>:<model_name>`.

use std::path::Path;

use super::{Fields, Item};
use crate::Result;
use crate::evaluate::benchmarks::PpeCorrectness;
use crate::evaluate::benchmarks::ppe::{PpeQuestion, SETS};

/// The set that the nearest part of a path is named after.
fn set(file: &Path) -> Option<&'static str> {
    file.iter().rev().find_map(|part| {
        let part = part.to_string_lossy().to_lowercase().replace('_', "-");
        SETS.into_iter().find(|set| part.contains(set))
    })
}

pub fn item(file: &Path, mut fields: Fields) -> Result<Item> {
    let Some(set) = set(file) else {
        let hint = format!("name the file, or the folder it is in, after one of {}", SETS.join(", "));
        return Err(fields.wrong("it is unclear which set of PPE this is", &hint));
    };
    let question = fields.id("question_id")?;
    let own_id = match fields.optional("model_name")? {
        Some(model) => format!("{question}:{model}"),
        None => question,
    };
    let prompt = fields.text("prompt")?;
    let correct = fields.booleans("scores")?;
    if correct.is_empty() {
        return Err(fields.wrong("`scores` is empty", "it says for each response whether it is correct"));
    }
    let responses = (1..=correct.len()).map(|k| fields.text(&format!("response_{k}"))).collect::<Result<Vec<_>>>()?;
    let next = format!("response_{}", correct.len() + 1);
    if fields.optional(&next)?.is_some() {
        let problem = format!("`scores` holds {} entries, but there is a `{next}`", correct.len());
        return Err(fields.wrong(problem, "it says for each response whether it is correct"));
    }
    let mut pairs = fields.places("sampled_conflict_pairs")?;
    for pair in &mut pairs {
        if pair.iter().any(|&place| place >= correct.len()) {
            let problem = format!("`sampled_conflict_pairs` holds {pair:?}, but there are {} responses", correct.len());
            return Err(fields.wrong(problem, "positions count from 0"));
        }
        if correct[pair[1]] {
            pair.swap(0, 1);
        }
    }
    // Responses that are equally correct say nothing of a model.
    pairs.retain(|&[better, worse]| correct[better] && !correct[worse]);
    let id = format!("{set}:{own_id}");
    Ok(Item { own_id, correct, pairs, ..Item::of_prompt(id, &fields, &prompt, responses, set.to_owned()) })
}

pub fn benchmark(items: &[Item], scores: &[Vec<f64>]) -> PpeCorrectness {
    let question = |(item, scores): (&Item, &Vec<f64>)| PpeQuestion {
        set: item.source.clone(),
        scores: scores.clone(),
        correct: item.correct.clone(),
        pairs: item.pairs.clone(),
    };
    PpeCorrectness::new(&items.iter().zip(scores).map(question).collect::<Vec<_>>())
}
