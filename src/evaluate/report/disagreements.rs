//! The worst mistakes of a model, with the texts.

use serde::Serialize;

use crate::evaluate::suites::{Item, Suite, query, response};

/// How many are shown.
const SHOWN: usize = 10;
/// Maximum characters of a text that are shown; a longer one is shown with its beginning and end.
const BEGINNING: usize = 300;
const END: usize = 100;

/// A pair whose worse response got the higher score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairDisagreement {
    /// The item.
    pub id: String,
    /// Its source.
    pub source: String,
    /// s(worse) − s(better).
    pub margin: f64,
    /// The query, shortened; empty for plain texts.
    pub prompt: String,
    /// The better response.
    pub better: ScoredText,
    /// The worse response, which the model prefers.
    pub worse: ScoredText,
}

/// A response, shortened, with its score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoredText {
    /// The score.
    pub score: f64,
    /// The text.
    pub text: String,
}

/// A rated response whose score is far from the rating.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RatingDisagreement {
    /// The item.
    pub id: String,
    /// Its source.
    pub source: String,
    /// The rating.
    pub label: u32,
    /// The query, shortened; empty for plain texts.
    pub prompt: String,
    /// The response.
    pub response: ScoredText,
}

/// The pairs with the largest wrong margins, the largest first.
pub fn wrong_pairs(suite: &Suite, pairs: &[(usize, [usize; 2])], scores: &[Vec<f64>]) -> Vec<PairDisagreement> {
    let margin = |&(item, [better, worse]): &(usize, [usize; 2])| scores[item][worse] - scores[item][better];
    let mut wrong: Vec<_> = pairs.iter().map(|pair| (margin(pair), pair)).filter(|(margin, _)| *margin > 0.0).collect();
    wrong.sort_by(|a, b| b.0.total_cmp(&a.0));
    let shown = |(margin, &(index, [better, worse])): (f64, &(usize, [usize; 2]))| {
        let item = &suite.items[index];
        PairDisagreement {
            id: item.id.clone(),
            source: item.source.clone(),
            margin,
            prompt: shortened(query(&item.responses[better])),
            better: scored(item, better, scores[index][better]),
            worse: scored(item, worse, scores[index][worse]),
        }
    };
    wrong.into_iter().take(SHOWN).map(shown).collect()
}

/// The ratings furthest from the score, those that are off by at least one level, the furthest first.
pub fn wrong_ratings(suite: &Suite, labels: &[u32], scores: &[f64]) -> Vec<RatingDisagreement> {
    let distance = |row: usize| (scores[row] - f64::from(labels[row])).abs();
    let mut rows: Vec<usize> = (0..labels.len()).filter(|&row| distance(row) >= 1.0).collect();
    rows.sort_by(|&a, &b| distance(b).total_cmp(&distance(a)));
    let shown = |row: usize| {
        let item = &suite.items[row];
        RatingDisagreement {
            id: item.id.clone(),
            source: item.source.clone(),
            label: labels[row],
            prompt: shortened(query(&item.responses[0])),
            response: scored(item, 0, scores[row]),
        }
    };
    rows.into_iter().take(SHOWN).map(shown).collect()
}

fn scored(item: &Item, place: usize, score: f64) -> ScoredText {
    ScoredText { score, text: shortened(response(&item.responses[place])) }
}

/// The beginning and the end of a long text.
fn shortened(text: &str) -> String {
    let length = text.chars().count();
    if length <= BEGINNING + END {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(BEGINNING).collect();
    let end: String = text.chars().skip(length - END).collect();
    format!("{beginning} […] {end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_keep_both_ends() {
        assert_eq!(shortened("short"), "short");
        let text: String = (0..1000).map(|i| char::from_u32(0x4e00 + i).unwrap()).collect();
        let shown = shortened(&text);
        assert!(shown.starts_with('一') && shown.ends_with(text.chars().last().unwrap()) && shown.contains(" […] "));
        assert_eq!(shown.chars().count(), BEGINNING + END + 5);
    }
}
