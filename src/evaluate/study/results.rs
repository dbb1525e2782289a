//! The results of a run of a cell: one row of `results.jsonl`.

use serde::{Deserialize, Serialize};

use super::variants::Variant;
use crate::evaluate::benchmarks::Part;
use crate::evaluate::report::{ModelResult, Report};
use crate::evaluate::suites::SuiteName;
use crate::objective::Objective;
use crate::statistics::{Estimate, Interval};

/// A number that a trained model reached on a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// The suite.
    pub suite: SuiteName,
    /// The measure; parts of benchmarks are paths, such as `total/Safety/xstest-should-refuse`. The first of a suite is
    /// its result in one number.
    pub name: String,
    /// The number; `None` where it is undefined, as the total of an incomplete benchmark is.
    pub value: Option<f64>,
    /// Its bootstrap interval over the rows of the suite.
    pub interval: Option<Interval>,
    /// The value that chance, the majority class or a constant achieves.
    pub baseline: Option<f64>,
}

/// A cell that was trained with a seed and evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The rows it was trained on.
    pub variant: Variant,
    /// The training objective.
    pub objective: Objective,
    /// The seed.
    pub seed: u64,
    /// Rows it was trained on.
    pub rows: usize,
    /// Rows of each level, from 1.
    pub labels: Vec<usize>,
    /// Users whose rows they are.
    pub users: usize,
    /// Pairs made of the rows; absent for heads that learn from ratings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<usize>,
    /// Optimizer steps.
    pub steps: u64,
    /// Loss of the last step.
    pub last_loss: Option<f64>,
    /// Its values.
    pub measures: Vec<Measure>,
}

impl RunResult {
    /// Its value on one measure.
    pub fn value(&self, suite: SuiteName, name: &str) -> Option<f64> {
        self.measures.iter().find(|measure| measure.suite == suite && measure.name == name)?.value
    }
}

/// Everything that an evaluation of one model found, suite by suite.
pub(super) fn measures(report: &Report) -> Vec<Measure> {
    let of_suite = |(suite, result): (SuiteName, &ModelResult)| {
        named(result).into_iter().map(move |(name, estimate)| {
            let Estimate { value, interval, baseline } = estimate;
            Measure { suite, name, value, interval, baseline }
        })
    };
    let results = report.suites.iter().flat_map(|suite| suite.results.iter().map(move |result| (suite.suite, result)));
    results.flat_map(of_suite).collect()
}

fn named(result: &ModelResult) -> Vec<(String, Estimate)> {
    let mut all = vec![];
    if let Some(benchmark) = &result.benchmark {
        parts(benchmark, "total", &mut all);
    }
    if let Some(pairs) = &result.pairs {
        let summary = &pairs.summary;
        // A benchmark has accuracies of its own, by its own rules.
        let accuracy = if all.is_empty() { "accuracy" } else { "accuracy of all pairs" };
        all.push((accuracy.to_owned(), summary.accuracy));
        all.extend(summary.calibration.as_ref().map(|calibration| ("ece".to_owned(), calibration.ece)));
    }
    if let Some(ratings) = &result.ratings {
        all.extend(ratings.metrics.iter().map(|(name, estimate)| ((*name).to_owned(), *estimate)));
    }
    all
}

fn parts(part: &Part, path: &str, all: &mut Vec<(String, Estimate)>) {
    all.push((path.to_owned(), part.estimate));
    part.parts.iter().for_each(|child| parts(child, &format!("{path}/{}", child.name), all));
}
