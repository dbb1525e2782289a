//! `wgr eval study`: the effect of a choice of data or head. Trains one model for each cell of a grid and each seed,
//! evaluates all of them on the same suites, and compares.
//!
//! In reading order: `config` are the settings, `rows` the rated rows, `variants` the rows and labels that a cell
//! is trained on, `pairs` turns ratings into pairs, `grid` are the cells of each study, `cell` is one training run
//! with its evaluation, `results` its results, `run` the grid with all seeds, `report` the comparison, which
//! `markdown` and `page` write for people.

mod cell;
mod config;
mod grid;
mod markdown;
mod page;
mod pairs;
mod report;
mod results;
mod rows;
mod run;
mod variants;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use config::{GridConfig, StudyConfig};
pub use report::{CellReport, DataReport, Failure, Spread, StudyReport, StudySection, Summary, table};
pub use results::{Measure, RunResult};
pub use run::{StudyRun, study};
pub use variants::Variant;

/// The studies (arXiv 2602.08829, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StudyName {
    /// Rows of few users against as many rows of many.
    Users,
    /// With and without rows whose level was mined from a later turn.
    Mining,
    /// With and without the levels that the validation of refusals changed.
    Refusals,
    /// Heads: independent thresholds, CORAL, CORN, pairs, regression.
    Heads,
}

impl StudyName {
    /// All studies.
    pub const ALL: [Self; 4] = [Self::Users, Self::Mining, Self::Refusals, Self::Heads];

    /// The name on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Mining => "mining",
            Self::Refusals => "refusals",
            Self::Heads => "heads",
        }
    }
}

impl fmt::Display for StudyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for StudyName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|study| study.as_str() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("there is no study {name:?}; known studies are {known}")
        })
    }
}
