//! Results of benchmarks, which are made of results.
//!
//! All values are shares in 0..=1 (papers often print them times 100). A total is shown only if all its parts are
//! present; otherwise the missing ones are named.

use serde::Serialize;

use crate::statistics::{Bootstrap, Estimate, Units};

/// A result of a benchmark and the results it is made of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// The measured part: the benchmark, a section, a subset, a difficulty.
    pub name: String,
    /// Rows it rests on.
    pub n: usize,
    /// The number, its interval, and what random scores get.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Parts of the benchmark that are missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Its parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

impl Part {
    pub(super) fn new(name: &str, n: usize, value: Option<f64>, baseline: Option<f64>) -> Self {
        let estimate = Estimate { value, interval: None, baseline };
        Self { name: name.to_owned(), n, estimate, missing: vec![], parts: vec![] }
    }

    pub(super) fn with_parts(mut self, parts: Vec<Part>) -> Self {
        self.parts = parts;
        self
    }

    pub(super) fn missing<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.missing.extend(names.into_iter().map(Into::into));
        self
    }

    /// Finds a part by the names that lead to it.
    pub fn get(&self, path: &[&str]) -> Option<&Part> {
        match path {
            [] => Some(self),
            [name, rest @ ..] => self.parts.iter().find(|part| part.name == *name)?.get(rest),
        }
    }

    /// All values, each part before its own parts.
    fn values(&self, into: &mut Vec<Option<f64>>) {
        into.push(self.estimate.value);
        self.parts.iter().for_each(|part| part.values(into));
    }

    fn set_intervals(&mut self, estimates: &mut impl Iterator<Item = Estimate>) {
        self.estimate.interval = estimates.next().and_then(|estimate| estimate.interval);
        self.parts.iter_mut().for_each(|part| part.set_intervals(estimates));
    }
}

/// A benchmark with the scores of its rows.
pub(super) trait Benchmark: Sync {
    /// How rows are drawn: prompts together, subsets each on their own.
    fn units(&self) -> Units;

    /// The results when each row counts `weights` times; the tree's shape does not depend on the weights.
    fn score(&self, weights: &[u32]) -> Part;
}

/// The results of a benchmark, with intervals.
pub(super) fn measure(benchmark: &impl Benchmark, bootstrap: &Bootstrap) -> Part {
    let units = benchmark.units();
    let mut tree = benchmark.score(&units.ones());
    let estimates = bootstrap.estimates(&units, |weights| {
        let mut values = vec![];
        benchmark.score(weights).values(&mut values);
        values
    });
    tree.set_intervals(&mut estimates.into_iter());
    tree
}

/// The plain mean; `None` when a value is missing or there is none.
pub(super) fn mean_of_all(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let values: Vec<f64> = values.into_iter().collect::<Option<_>>()?;
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// 1 for true, 0 for false.
pub(super) fn indicator(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One part over the rows, one over nothing.
    struct Plain(Vec<f64>);

    impl Benchmark for Plain {
        fn units(&self) -> Units {
            Units::rows(self.0.len())
        }

        fn score(&self, weights: &[u32]) -> Part {
            let value = crate::statistics::weighted::mean(&self.0, weights);
            let parts = vec![Part::new("rows", self.0.len(), value, Some(0.5)), Part::new("none", 0, None, None)];
            Part::new("plain", self.0.len(), value.map(|v| 2.0 * v), None).with_parts(parts).missing(["none"])
        }
    }

    #[test]
    fn every_part_gets_its_own_interval_and_keeps_its_baseline() {
        let tree = measure(&Plain((0..60).map(|i| f64::from(i % 2)).collect()), &Bootstrap::default());
        let (whole, rows) = (tree.estimate.interval.unwrap(), tree.get(&["rows"]).unwrap().estimate);
        assert_eq!((whole.low, whole.high), (2.0 * rows.interval.unwrap().low, 2.0 * rows.interval.unwrap().high));
        assert_eq!(rows.baseline, Some(0.5));
        assert_eq!(tree.get(&["none"]).unwrap().estimate, Estimate::default());
        assert_eq!(tree.get(&["rows", "deeper"]), None);
    }

    #[test]
    fn a_part_is_flat_in_json() {
        let json = serde_json::to_value(measure(&Plain(vec![1.0, 0.0]), &Bootstrap::default())).unwrap();
        assert_eq!((&json["name"], &json["n"], &json["value"]), (&"plain".into(), &2.into(), &1.0.into()));
        assert_eq!(json["missing"][0], "none");
        assert!(json["parts"][0].get("parts").is_none() && json["parts"][0]["interval"]["low"].is_number());
    }

    #[test]
    fn a_mean_of_all_wants_all() {
        assert_eq!(mean_of_all([Some(1.0), Some(2.0)]), Some(1.5));
        assert_eq!(mean_of_all([Some(1.0), None]), None);
        assert_eq!(mean_of_all([]), None);
    }
}
