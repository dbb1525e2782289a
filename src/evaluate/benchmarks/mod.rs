//! The suites, one file each: the format of its rows, its scoring rule, and published numbers to compare with.
//!
//! `definition` is what each file declares, `part` the shape of all results, and `published` that of tables in papers.
//! Several benchmarks share `groups`, `sections`, `best_of_k` and `tie_calibration`. `pairs` and `wildfb` are a user's own
//! data.

mod arena;
mod best_of_k;
mod definition;
mod groups;
mod judgebench;
mod mrewardbench;
mod pairs;
mod part;
mod ppe_correctness;
mod ppe_human;
mod published;
mod rewardbench;
mod rewardbench2;
mod rmb;
mod rmbench;
mod sections;
mod tie_calibration;
mod wildfb;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use self::definition::Definition;

pub use part::Part;
pub use published::Published;

/// The suites of `wgr eval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuiteName {
    /// RewardBench (arXiv 2403.13787).
    Rewardbench,
    /// RewardBench 2 (arXiv 2506.01937).
    Rewardbench2,
    /// M-RewardBench (arXiv 2410.15522).
    MRewardbench,
    /// RM-Bench (arXiv 2410.16184).
    Rmbench,
    /// RMB (arXiv 2410.09893).
    Rmb,
    /// JudgeBench (arXiv 2410.12784).
    Judgebench,
    /// PPE, human preference (arXiv 2410.14872).
    PpeHuman,
    /// PPE, correctness (arXiv 2410.14872).
    PpeCorrectness,
    /// Votes of Chatbot Arena (arXiv 2403.04132).
    Arena,
    /// Preference pairs of one's own.
    Pairs,
    /// Rated responses: WildFB, or rows of `wgr extract`.
    Wildfb,
}

impl SuiteName {
    /// All suites, in the order they are described.
    pub const ALL: [Self; 11] = [
        Self::Rewardbench,
        Self::Rewardbench2,
        Self::MRewardbench,
        Self::Rmbench,
        Self::Rmb,
        Self::Judgebench,
        Self::PpeHuman,
        Self::PpeCorrectness,
        Self::Arena,
        Self::Pairs,
        Self::Wildfb,
    ];

    /// The file that knows it.
    pub(super) fn definition(self) -> &'static Definition {
        match self {
            Self::Rewardbench => &rewardbench::SUITE,
            Self::Rewardbench2 => &rewardbench2::SUITE,
            Self::MRewardbench => &mrewardbench::SUITE,
            Self::Rmbench => &rmbench::SUITE,
            Self::Rmb => &rmb::SUITE,
            Self::Judgebench => &judgebench::SUITE,
            Self::PpeHuman => &ppe_human::SUITE,
            Self::PpeCorrectness => &ppe_correctness::SUITE,
            Self::Arena => &arena::SUITE,
            Self::Pairs => &pairs::SUITE,
            Self::Wildfb => &wildfb::SUITE,
        }
    }

    /// The name on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        self.definition().name
    }

    /// The name in headings.
    pub fn title(self) -> &'static str {
        self.definition().title
    }
}

impl fmt::Display for SuiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SuiteName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|suite| suite.as_str() == name).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|suite| suite.as_str()).collect();
            format!("there is no suite {name:?}; there are {}", known.join(", "))
        })
    }
}
