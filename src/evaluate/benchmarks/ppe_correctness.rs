//! PPE correctness (Frick et al., 2024): verifiable best-of-K sets.
//!
//! Rows: `question_id`, `prompt`, `response_1` … `response_K`, `scores` (which are correct),
//! `sampled_conflict_pairs` (places from 0), and the `model_name` that answered (`lmarena-ai/PPE-…-Best-of-K`).
//!
//! Scores are listed in the order of the responses. A row belongs to the set that its file, or a folder around it, is
//! named after. Several models answered each question, and ids are unique within a set and model, so the id of an item
//! is `math:<question_id>:<model_name>`.

use std::path::Path;

use super::best_of_k;
use super::definition::Definition;
use super::groups::Groups;
use super::part::{Benchmark, Part, indicator, mean_of_all, measure};
use super::published::Table;
use crate::Result;
use crate::evaluate::items::{Fields, Item};
use crate::statistics::ranking::{self, Ranking};
use crate::statistics::{Units, weighted};

pub(super) const SUITE: Definition = Definition {
    measure: Some(|items, scores, bootstrap| measure(&benchmark(items, scores), bootstrap)),
    published: Table::wild_reward(&[("total", &[63.6, 65.6, 62.5, 64.4])]),
    ..Definition::new("ppe-correctness", "PPE, correctness", |file, record, _| item(file, Fields::new(record)).map(Ok))
};

/// The set that the nearest part of a path is named after.
fn set(file: &Path) -> Option<&'static str> {
    file.iter().rev().find_map(|part| {
        let part = part.to_string_lossy().to_lowercase().replace('_', "-");
        SETS.into_iter().find(|set| part.contains(set))
    })
}

fn item(file: &Path, mut fields: Fields) -> Result<Item> {
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

fn benchmark(items: &[Item], scores: &[Vec<f64>]) -> PpeCorrectness {
    let question = |(item, scores): (&Item, &Vec<f64>)| PpeQuestion {
        set: item.source.clone(),
        scores: scores.clone(),
        correct: item.correct.clone(),
        pairs: item.pairs.clone(),
    };
    PpeCorrectness::new(&items.iter().zip(scores).map(question).collect::<Vec<_>>())
}

/// The best-of-K sets.
const SETS: [&str; 5] = ["mmlu-pro", "math", "gpqa", "ifeval", "mbpp-plus"];

/// A question with K responses and their scores.
#[derive(Clone, Debug, PartialEq)]
struct PpeQuestion {
    /// The set: `mmlu-pro`, `math`, `gpqa`, `ifeval` or `mbpp-plus`.
    set: String,
    /// Scores of the responses.
    scores: Vec<f64>,
    /// Which of them are correct.
    correct: Vec<bool>,
    /// The sampled pairs of a correct and an incorrect response, in either order.
    pairs: Vec<[usize; 2]>,
}

impl PpeQuestion {
    /// Sampled pairs in which the correct response scores strictly higher, and all of them.
    ///
    /// A pair that names no response, or two that are equally correct, is not counted.
    fn pairs_right(&self) -> (f64, f64) {
        let side = |index: usize| Some((*self.scores.get(index)?, *self.correct.get(index)?));
        let verdicts = self.pairs.iter().filter_map(|&[i, j]| match (side(i)?, side(j)?) {
            ((right, true), (wrong, false)) | ((wrong, false), (right, true)) => Some(right > wrong),
            _ => None,
        });
        verdicts.fold((0.0, 0.0), |(right, n), verdict| (right + indicator(verdict), n + 1.0))
    }
}

/// One best-of-K set.
#[derive(Clone, Debug)]
struct Set {
    name: String,
    /// Its questions, as indices of all.
    questions: Vec<usize>,
    /// Right and all sampled pairs of each question.
    pairs: Vec<(f64, f64)>,
    /// All responses: the question of each, their scores ranked, and whether they are correct.
    of_response: Vec<usize>,
    ranking: Option<Ranking>,
    correct: Vec<bool>,
    /// k, and for each question the chance that the best of k is correct.
    curve: Vec<(usize, Vec<f64>)>,
}

impl Set {
    fn new(name: &str, all: &[PpeQuestion], questions: Vec<usize>) -> Self {
        let of = || questions.iter().map(|&index| &all[index]);
        let responses = of().map(|question| question.scores.len()).min().unwrap_or_default();
        let curves: Vec<Vec<f64>> =
            of().map(|question| best_of_k::curve(&question.scores, &question.correct)).collect();
        let scores: Vec<f64> = of().flat_map(|question| question.scores.iter().copied()).collect();
        Self {
            name: name.to_owned(),
            pairs: of().map(PpeQuestion::pairs_right).collect(),
            of_response: of().enumerate().flat_map(|(i, q)| std::iter::repeat_n(i, q.scores.len())).collect(),
            ranking: Ranking::new(&scores),
            correct: of().flat_map(|question| question.correct.iter().copied()).collect(),
            curve: best_of_k::shown(responses)
                .into_iter()
                .map(|k| (k, curves.iter().map(|curve| curve[k - 1]).collect()))
                .collect(),
            questions,
        }
    }

    fn score(&self, weights: &[u32]) -> Part {
        let weights: Vec<u32> = self.questions.iter().map(|&question| weights[question]).collect();
        let of_responses: Vec<u32> = self.of_response.iter().map(|&question| weights[question]).collect();
        let area = self.ranking.as_ref().and_then(|ranks| ranking::roc_auc(ranks, &self.correct, &of_responses));
        let n = self.questions.len();
        let mut parts = vec![Part::new("roc_auc", self.correct.len(), area, Some(0.5))];
        // The best of one is a random response, which is what a model without skill would take of any k.
        let chance = self.curve.first().and_then(|(_, of_one)| weighted::mean(of_one, &vec![1; n]));
        parts.extend(
            self.curve
                .iter()
                .map(|(k, values)| Part::new(&format!("best-of-{k}"), n, weighted::mean(values, &weights), chance)),
        );
        let sampled = self.pairs.iter().map(|(_, pairs)| *pairs as usize).sum();
        Part::new(&self.name, sampled, weighted::ratio(&self.pairs, &weights), Some(0.5)).with_parts(parts)
    }
}

/// PPE correctness with scores.
///
/// A set's value is the accuracy over its sampled pairs, the total the plain mean of the five, shown only when none is
/// missing. Beside it: ROC-AUC of all responses of a set, pooled over questions, and the best-of-k curve. Sets that the
/// benchmark does not know are listed and count nowhere.
#[derive(Clone, Debug)]
struct PpeCorrectness {
    groups: Groups,
    sets: Vec<Set>,
}

impl PpeCorrectness {
    /// Lays out questions for scoring. A question whose `scores` and `correct` differ in length is a fault of the
    /// caller and panics.
    fn new(questions: &[PpeQuestion]) -> Self {
        assert!(questions.iter().all(|question| question.scores.len() == question.correct.len()));
        let groups = Groups::new(questions.iter().map(|question| question.set.as_str()), &SETS);
        let of = |group: usize| (0..questions.len()).filter(|&row| groups.of_row[row] == group).collect();
        let sets = (0..groups.names.len()).map(|group| Set::new(&groups.names[group], questions, of(group))).collect();
        Self { groups, sets }
    }
}

impl Benchmark for PpeCorrectness {
    fn units(&self) -> Units {
        Units::rows(self.groups.of_row.len()).stratified(&self.groups.of_row)
    }

    fn score(&self, weights: &[u32]) -> Part {
        let (at_hand, missing): (Vec<&Set>, Vec<&Set>) = self.sets.iter().partition(|set| !set.questions.is_empty());
        let parts: Vec<Part> = at_hand.iter().map(|set| set.score(weights)).collect();
        let known = parts.iter().filter(|part| SETS.contains(&part.name.as_str()));
        let total = mean_of_all(known.map(|part| part.estimate.value)).filter(|_| missing.is_empty());
        let n = parts.iter().map(|part| part.n).sum();
        Part::new("PPE correctness", n, total, Some(0.5))
            .missing(missing.into_iter().map(|set| set.name.as_str()))
            .with_parts(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Bootstrap;

    fn question(set: &str, scores: &[f64], correct: &[bool], pairs: &[[usize; 2]]) -> PpeQuestion {
        PpeQuestion { set: set.into(), scores: scores.to_vec(), correct: correct.to_vec(), pairs: pairs.to_vec() }
    }

    #[test]
    fn pairs_come_in_either_order() {
        let q = question("math", &[3.0, 1.0, 3.0], &[true, false, false], &[[0, 1], [1, 0], [0, 2], [1, 2], [0, 9]]);
        assert_eq!(q.pairs_right(), (2.0, 3.0), "a tie is wrong; equally correct and absent responses do not count");
    }

    #[test]
    fn the_total_is_the_mean_of_five_sets() {
        let mut all: Vec<PpeQuestion> =
            SETS.map(|set| question(set, &[1.0, 0.0], &[true, false], &[[0, 1], [1, 0]])).to_vec();
        all.push(question("math", &[0.0, 1.0], &[true, false], &[[0, 1]]));
        let tree = measure(&PpeCorrectness::new(&all), &Bootstrap::default());
        let value = |path: &[&str]| tree.get(path).unwrap().estimate.value.unwrap();
        assert!((value(&["math"]) - 2.0 / 3.0).abs() < 1e-15 && (value(&[]) - (4.0 + 2.0 / 3.0) / 5.0).abs() < 1e-15);
        assert_eq!((value(&["math", "roc_auc"]), value(&["gpqa", "roc_auc"])), (0.5, 1.0));
        assert_eq!((value(&["gpqa", "best-of-2"]), value(&["math", "best-of-2"])), (1.0, 0.5));
        assert_eq!(tree.get(&["math", "best-of-2"]).unwrap().estimate.baseline, Some(0.5));
        assert_eq!((tree.n, tree.missing.len()), (11, 0));
    }

    #[test]
    fn a_missing_set_is_named() {
        let tree = measure(&PpeCorrectness::new(&[question("math", &[1.0], &[true], &[])]), &Bootstrap::default());
        assert_eq!((tree.estimate.value, tree.missing.join(" ")), (None, "mmlu-pro gpqa ifeval mbpp-plus".to_owned()));
        assert_eq!(tree.get(&["math"]).unwrap().estimate.value, None, "without a pair there is no accuracy");
        assert_eq!(tree.get(&["math", "best-of-1"]).unwrap().estimate.value, Some(1.0));
        assert_eq!(measure(&PpeCorrectness::new(&[]), &Bootstrap::default()).missing.len(), 5);
    }
}
