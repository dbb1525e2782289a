//! The results of a run of extraction: the contents of `report.json`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::annotator::Usage;
use crate::data::Feedback;

pub use super::annotator::account::{Labels, Named};

/// The shares of the five levels that WildReward reports for WildChat (arXiv 2602.08829), before mining.
pub const PAPER_SHARES: [f64; 5] = [0.03, 0.14, 0.76, 0.06, 0.01];

/// Everything a run counted. Maps are sorted by name, lists by the order of the stages.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The files read, in order.
    pub inputs: Vec<String>,
    /// The annotator: `rules`, `api:<model>`, `local:<model>`, `file:<path>`.
    pub annotator: String,
    /// The use of labels made elsewhere, if the annotator is a file of them.
    pub labels: Option<Labels>,
    /// The embedder that compared queries; without one nothing is mined.
    pub embedder: Option<String>,
    /// The cosine above which two queries are about the same topic, where queries are compared.
    pub similarity: Option<f32>,
    /// From conversations read to rows written.
    pub funnel: Vec<Stage>,
    /// Conversations that could not be used, by reason.
    pub irregular: BTreeMap<String, u64>,
    /// Turns dropped by each filter, in the order the filters run; a turn counts for the first that drops it.
    pub filters: Vec<Stage>,
    /// Verdicts of the turns that the filters left, by level.
    pub annotated: Levels,
    /// The same turns after mining.
    pub mined: Levels,
    /// The same turns after refusals were validated.
    pub validated: Levels,
    /// Turns whose verdict was no judgement; they are kept aside in `stages/unparsable.jsonl`.
    pub unparsable: u64,
    /// The counts of mining.
    pub mining: Mining,
    /// The counts of refusals.
    pub refusals: Refusals,
    /// The rows for training and for testing.
    pub train: Split,
    /// See `train`.
    pub test: Split,
    /// Rows by language.
    pub languages: BTreeMap<String, u64>,
    /// Rows by the model that answered.
    pub models: BTreeMap<String, u64>,
    /// Words of queries, with each character of Chinese counted as one.
    pub query_words: Distribution,
    /// Words of responses.
    pub response_words: Distribution,
    /// Turns before the query.
    pub history_turns: Distribution,
    /// Rows of each user; rows without a user are left out.
    pub rows_per_user: Distribution,
    /// The usage of the annotator.
    pub usage: Usage,
    /// Rows to read, some for each label, drawn with the seed.
    pub examples: Vec<Example>,
}

/// A name with a count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// The name of the count in a report.
    pub name: String,
    /// How many.
    pub count: u64,
}

/// Turns by level, from rejection to satisfaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Levels(pub [u64; 5]);

impl Levels {
    /// Counts one more turn of a level.
    pub fn add(&mut self, feedback: Feedback) {
        self.0[feedback as usize] += 1;
    }

    /// All turns.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Shares that sum to 1; all zero if there are no turns.
    pub fn shares(&self) -> [f64; 5] {
        let total: f64 = self.0.iter().map(|&count| count as f64).sum();
        self.0.map(|count| count as f64 / total.max(1.0))
    }
}

/// The counts of implicit feedback mining.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Mining {
    /// Neutral turns with a positive turn among the next two.
    pub candidates: u64,
    /// Of those, turns that are refusals, which are never praised by what came later.
    pub refusals: u64,
    /// Turns that took the level of the later turn.
    pub mined: u64,
    /// Pairs of queries compared, by cosine, in twenty bins from -1 to 1.
    pub cosines: [u64; 20],
    /// Embeddings computed.
    pub embedded: u64,
    /// Embeddings found in the cache.
    pub cached: u64,
}

/// The counts of turns whose response is a refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Refusals {
    /// Responses that refuse.
    pub found: u64,
    /// Negative feedback on a refusal that was right: now the top level.
    pub justified: u64,
    /// Negative feedback on a refusal that was wrong: unchanged.
    pub unjustified: u64,
    /// Negative feedback on a refusal that the annotator does not judge: unchanged, and flagged.
    pub unjudged: u64,
}

/// The rows of one side of the split.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Split {
    /// Rows.
    pub rows: u64,
    /// Conversations they come from.
    pub conversations: u64,
    /// Users they come from, as far as they are known.
    pub users: u64,
    /// Rows by label, from label 1.
    pub labels: Vec<u64>,
    /// Rows by language.
    pub languages: BTreeMap<String, u64>,
}

/// A distribution of whole numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// How many numbers.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The largest.
    pub max: u64,
    /// Bins of powers of two: 0, 1, 2..3, 4..7 and so on; `bins[i]` counts the numbers with `i` significant bits.
    pub bins: Vec<u64>,
}

impl Distribution {
    /// Counts one more number.
    pub fn add(&mut self, value: u64) {
        let bin = (u64::BITS - value.leading_zeros()) as usize;
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, 0);
        }
        self.bins[bin] += 1;
        self.count += 1;
        self.mean += (value as f64 - self.mean) / self.count as f64;
        self.max = self.max.max(value);
    }
}

/// A row to read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Its id.
    pub id: String,
    /// Its label.
    pub label: u32,
    /// Why it has it, in words.
    pub evidence: String,
    /// Turns before the query.
    pub history_turns: u64,
    /// The query, shortened for reading.
    pub query: String,
    /// The response, shortened for reading.
    pub response: String,
    /// The user's next message, shortened for reading.
    pub feedback: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_bins_by_powers_of_two() {
        let mut words = Distribution::default();
        [0, 1, 2, 3, 4, 7, 8].into_iter().for_each(|value| words.add(value));
        assert_eq!(words.bins, [1, 1, 2, 2, 1]);
        assert_eq!((words.count, words.max), (7, 8));
        assert!((words.mean - 25.0 / 7.0).abs() < 1e-12);
    }

    #[test]
    fn shares_of_nothing_are_zero() {
        let mut levels = Levels::default();
        assert_eq!(levels.shares(), [0.0; 5]);
        levels.add(Feedback::Correction);
        assert_eq!((levels.total(), levels.shares()[1]), (1, 1.0));
    }
}
