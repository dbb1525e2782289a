//! A model's scores of responses, and of whole suites.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::data::TruncationReport;

/// A model's scores of a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The score; larger is better.
    pub score: f64,
    /// P(y > k) for each threshold k, where the model has thresholds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probs: Vec<f64>,
}

/// The scores of a suite.
pub(crate) struct Scored {
    /// One answer for each response of each item, or why there are none.
    pub answers: Result<Vec<Vec<Answer>>>,
    /// Counts of what was cut to the maximum length, each distinct response counted once, where it comes first; `None`
    /// if nothing was tokenized here.
    pub truncation: Option<TruncationReport>,
}

/// Takes the scores of a suite, by its place, as soon as they are complete.
pub(crate) type Done<'a> = dyn FnMut(usize, Scored) -> Result<()> + 'a;
