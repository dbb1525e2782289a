//! The results of `wgr eval`, as in `report.json`; `docs/evaluation.md` describes the schema.
//!
//! [`pairs`] and [`ratings`] describe the two kinds of suites, [`disagreements`] holds the worst mistakes of a model, and
//! `markdown` writes it all for people.

pub mod disagreements;
mod markdown;
pub mod pairs;
pub mod ratings;
mod slices;

use std::collections::BTreeMap;

use serde::Serialize;

use self::pairs::PairReport;
use self::ratings::RatingReport;
use super::benchmarks::{Part, Published};
use super::config::EvalConfig;
use super::scores::{Answer, ModelInfo};
use super::suites::{Suite, SuiteName};
use crate::data::TruncationReport;
use crate::statistics::{Bootstrap, Estimate};

pub use markdown::{markdown, number, table};
pub use slices::SlicesBy;

/// The version of the schema of `report.json`; it grows where a field is removed or changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// The results of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The version of wgr that wrote it.
    pub wgr_version: &'static str,
    /// Whether results are missing: a run is under way, was stopped, or failed somewhere (see `failures`).
    pub partial: bool,
    /// How intervals were made.
    pub bootstrap: Bootstrap,
    /// Bins of reliability diagrams and histograms.
    pub bins: usize,
    /// The models, in the order of their columns.
    pub models: Vec<ModelInfo>,
    /// The suites, in the order they were named.
    pub suites: Vec<SuiteReport>,
    /// The missing results, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailureReport>,
}

/// A suite, with one result for each model that scored it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SuiteReport {
    /// Which one.
    pub suite: SuiteName,
    /// The files it was read from.
    pub files: Vec<String>,
    /// Its items: prompts, pairs or rated responses.
    pub items: usize,
    /// Responses that were scored.
    pub responses: usize,
    /// Items in which people saw no difference.
    #[serde(skip_serializing_if = "is_zero")]
    pub ties: usize,
    /// Rows that the suite leaves out.
    pub dropped: usize,
    /// The same by what is the matter with them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped_for: BTreeMap<&'static str, usize>,
    /// One for each model, in the order of the models.
    pub results: Vec<ModelResult>,
    /// Published results of the same benchmark.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Published>,
}

/// The results of a model on a suite.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelResult {
    /// The name of the model.
    pub model: String,
    /// Counts of what was cut to the maximum length; absent if nothing was tokenized here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncation: Option<TruncationReport>,
    /// The benchmark's own results; absent for one's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub benchmark: Option<Part>,
    /// The metrics of its pairs; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairs: Option<PairReport>,
    /// The metrics of its ratings; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratings: Option<RatingReport>,
}

/// A result that is missing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailureReport {
    /// The model.
    pub model: String,
    /// The suite; absent where the model failed as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suite: Option<SuiteName>,
    /// What went wrong.
    pub problem: String,
}

impl Report {
    /// A report without results.
    pub fn new(config: &EvalConfig, models: Vec<ModelInfo>, suites: &[Suite]) -> Self {
        let suite = |suite: &Suite| SuiteReport {
            suite: suite.name,
            files: suite.files.iter().map(|file| file.display().to_string()).collect(),
            items: suite.items.len(),
            responses: suite.items.iter().map(|item| item.responses.len()).sum(),
            ties: suite.ties(),
            dropped: suite.left_out.values().sum(),
            dropped_for: suite.left_out.clone(),
            results: vec![],
            published: suite.name.definition().published.results(),
        };
        Self {
            schema_version: SCHEMA_VERSION,
            wgr_version: env!("CARGO_PKG_VERSION"),
            partial: true,
            bootstrap: config.bootstrap(),
            bins: config.bins,
            models,
            suites: suites.iter().map(suite).collect(),
            failures: vec![],
        }
    }

    /// Whether no suite has a result.
    pub fn is_empty(&self) -> bool {
        self.suites.iter().all(|suite| suite.results.is_empty())
    }
}

impl ModelResult {
    /// Measures a suite, given one answer for each response of each item.
    pub fn new(
        model: &str,
        suite: &Suite,
        answers: &[Vec<Answer>],
        truncation: Option<TruncationReport>,
        config: &EvalConfig,
    ) -> Self {
        let bootstrap = config.bootstrap();
        let scores: Vec<Vec<f64>> =
            answers.iter().map(|answers| answers.iter().map(|answer| answer.score).collect()).collect();
        Self {
            model: model.to_owned(),
            truncation,
            benchmark: suite.benchmark(&scores, &bootstrap),
            pairs: pairs::describe(suite, &scores, config.bins, &bootstrap),
            ratings: ratings::describe(suite, answers, config.bins, &bootstrap),
        }
    }

    /// The result in one number: the benchmark's total, the accuracy on pairs, or the ROC-AUC of ratings.
    pub fn headline(&self) -> Option<(&str, Estimate)> {
        let benchmark = self.benchmark.as_ref().map(|part| ("total", part.estimate));
        let pairs = || self.pairs.as_ref().map(|pairs| ("accuracy", pairs.summary.accuracy));
        let ratings = || self.ratings.as_ref()?.metrics.first().copied();
        benchmark.or_else(pairs).or_else(ratings)
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
