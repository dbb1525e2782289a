//! Metrics of scored sets, with confidence intervals: functions of numbers, independent of files and models.
//!
//! In reading order: [`metrics`] are the plain formulas, [`weighted`] and [`ranking`] the same under weights, which
//! [`units`] draws and [`bootstrap`] turns into confidence intervals; [`ordinal`] and [`pairs`] describe a scored set,
//! with [`calibration`], [`platt`], [`coverage`], [`margins`] and [`levels`]; [`slices`] and [`length_bias`] look for
//! weak spots.
//!
//! Everything is in f64, and a metric that a set leaves undefined is `None`, never NaN.

pub mod bootstrap;
pub mod calibration;
pub mod coverage;
pub mod length_bias;
pub mod levels;
pub mod margins;
pub mod metrics;
pub mod ordinal;
pub mod pairs;
pub mod platt;
pub mod ranking;
pub mod slices;
pub mod units;
pub mod weighted;

pub use bootstrap::{Bootstrap, Estimate, Interval};
pub use units::Units;

/// Numbers that scikit-learn, SciPy and NumPy gave, for comparison; `tests/golden/metrics.py` writes them.
#[cfg(test)]
mod golden {
    use serde_json::Value;

    /// The cases of one kind.
    pub(super) fn cases(kind: &str) -> Vec<Value> {
        let all: Value = serde_json::from_str(include_str!("../../tests/golden/metrics.json")).unwrap();
        let cases = all[kind].as_array().unwrap().clone();
        assert!(cases.len() >= 4);
        cases
    }

    /// A field of a case.
    pub(super) fn field<T: serde::de::DeserializeOwned>(case: &Value, name: &str) -> T {
        serde_json::from_value(case[name].clone()).unwrap()
    }

    /// Compares a metric with what a case expects of it; null stands for undefined.
    pub(super) fn check(case: &Value, metric: &str, ours: Option<f64>, tolerance: f64) {
        let what = format!("{}: {metric}", case["name"]);
        let expected = case["expected"].get(metric).unwrap_or_else(|| panic!("{what} is not in the file"));
        match (ours, expected.as_f64()) {
            (Some(ours), Some(expected)) => {
                assert!((ours - expected).abs() <= tolerance, "{what}: {ours} ≠ {expected}");
            }
            (ours, expected) => assert_eq!(ours, expected, "{what}"),
        }
    }
}
