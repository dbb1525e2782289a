//! The five levels of feedback, and the labels of rows.

use serde::{Deserialize, Serialize};

/// The judgement in a user's next message about the response before it, from worst to best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feedback {
    /// The user rejects the response outright.
    Rejection,
    /// The user points out an error or asks for a repair.
    Correction,
    /// The message says nothing, or nothing certain, about the response.
    Neutral,
    /// The user builds on the response.
    Engagement,
    /// The user says that the response is good.
    Satisfaction,
}

impl Feedback {
    /// All levels, from worst to best.
    pub const ALL: [Self; 5] = [Self::Rejection, Self::Correction, Self::Neutral, Self::Engagement, Self::Satisfaction];

    /// Its place on the scale, 1 to 5.
    pub fn level(self) -> u32 {
        self as u32 + 1
    }

    /// Its name in rows and reports.
    pub fn name(self) -> &'static str {
        ["rejection", "correction", "neutral", "engagement", "satisfaction"][self as usize]
    }

    /// Whether the user was content: engagement or satisfaction.
    pub fn is_positive(self) -> bool {
        self > Self::Neutral
    }

    /// Whether the user was not: rejection or correction.
    pub fn is_negative(self) -> bool {
        self < Self::Neutral
    }

    /// The label to train on: 1..4 without neutral, which has none, or the level itself where neutral is kept.
    pub fn label(self, keep_neutral: bool) -> Option<u32> {
        match self {
            _ if keep_neutral => Some(self.level()),
            Self::Neutral => None,
            _ if self.is_positive() => Some(self.level() - 1),
            _ => Some(self.level()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_close_the_gap_that_neutral_leaves() {
        let labels = |keep| Feedback::ALL.map(|feedback| feedback.label(keep));
        assert_eq!(labels(false), [Some(1), Some(2), None, Some(3), Some(4)]);
        assert_eq!(labels(true), [Some(1), Some(2), Some(3), Some(4), Some(5)]);
    }

    #[test]
    fn levels_count_from_one_and_names_are_those_of_rows() {
        assert_eq!(Feedback::ALL.map(Feedback::level), [1, 2, 3, 4, 5]);
        for feedback in Feedback::ALL {
            assert_eq!(serde_json::to_value(feedback).unwrap(), feedback.name());
        }
    }
}
