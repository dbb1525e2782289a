//! Rated pairs, as in UltraFeedback: two responses to one prompt, each with a rating.
//!
//! A pair becomes two rated rows. Ratings run from 1 to a maximum and are mapped to the levels of a run in equal steps:
//! label = 1 + (rating − 1) · (levels − 1) ÷ (highest − 1), rounded to the nearest level, halves upwards. With as many
//! levels as ratings, whole ratings keep their number.

use serde_json::{Map, Value};

use super::json::kind;
use super::message::take;
use crate::{Error, Result};

/// Columns of the ratings of chosen and rejected, as data sets name them.
pub(super) const COLUMNS: [[&str; 2]; 4] = [
    ["score_chosen", "score_rejected"],
    ["chosen_score", "rejected_score"],
    ["chosen_rating", "rejected_rating"],
    ["chosen-rating", "rejected-rating"],
];

/// The names of the sides of a rated pair in the ids of their rows.
pub(super) const SIDES: [&str; 2] = ["chosen", "rejected"];

/// The scale of ratings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatingScale {
    /// The highest rating; the lowest is 1.
    pub highest: f64,
}

impl Default for RatingScale {
    /// UltraFeedback's (arXiv 2310.01377): 1 to 5.
    fn default() -> Self {
        Self { highest: 5.0 }
    }
}

impl RatingScale {
    /// The level, 1 to `levels`, of a rating.
    pub fn level(self, rating: f64, levels: u32) -> f64 {
        (1.0 + (rating - 1.0) * f64::from(levels - 1) / (self.highest - 1.0) + 0.5).floor()
    }

    /// Takes the ratings of both sides out of a row; `None` where it has none.
    ///
    /// # Errors
    /// Only one side has a rating, or one is not a number on the scale.
    pub(super) fn take(self, at: &str, fields: &mut Map<String, Value>) -> Result<Option<[f64; 2]>> {
        let is_given = |name: &&str| fields.get(*name).is_some_and(|value| !value.is_null());
        let Some(names) = COLUMNS.into_iter().find(|names| names.iter().any(is_given)) else {
            return Ok(None);
        };
        let mut rating = |name: &str| match take(fields, name) {
            None => {
                Err(Error::input(at, format!("`{name}` is missing"), "a rated pair has a rating for each response"))
            }
            Some(Value::Number(number)) => match number.as_f64() {
                Some(rating) if (1.0..=self.highest).contains(&rating) => Ok(rating),
                _ => {
                    let problem = format!("`{name}` is {number}, outside 1..{}", self.highest);
                    Err(Error::input(at, problem, "`.max_rating` sets the maximum"))
                }
            },
            Some(other) => Err(Error::input(at, format!("`{name}` is {}, not a number", kind(&other)), "")),
        };
        Ok(Some([rating(names[0])?, rating(names[1])?]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ratings_are_put_on_levels_in_equal_steps() {
        let five = RatingScale::default();
        assert_eq!(
            [1.0, 2.0, 2.5, 3.0, 3.9, 4.0, 4.5, 5.0].map(|rating| five.level(rating, 5)),
            [1.0, 2.0, 3.0, 3.0, 4.0, 4.0, 5.0, 5.0]
        );
        assert_eq!([1.0, 2.0, 3.0, 4.0, 5.0].map(|rating| five.level(rating, 4)), [1.0, 2.0, 3.0, 3.0, 4.0]);
        assert_eq!([1.0, 5.5, 10.0].map(|rating| RatingScale { highest: 10.0 }.level(rating, 4)), [1.0, 3.0, 4.0]);
    }

    #[test]
    fn ratings_are_found_and_checked() {
        let take = |row: Value| RatingScale::default().take("t", &mut row.as_object().unwrap().clone());
        assert_eq!(take(json!({"score_chosen": 4.5, "score_rejected": 1})).unwrap(), Some([4.5, 1.0]));
        assert_eq!(take(json!({"chosen-rating": 5, "rejected-rating": 2})).unwrap(), Some([5.0, 2.0]));
        assert_eq!(take(json!({"score_chosen": null})).unwrap(), None);
        for (row, expected) in [
            (json!({"score_chosen": 8.5, "score_rejected": 1}), "`score_chosen` is 8.5, outside 1..5 (`.max_rating`"),
            (json!({"score_chosen": 5}), "`score_rejected` is missing"),
            (json!({"score_chosen": "5", "score_rejected": 1}), "`score_chosen` is a string, not a number"),
        ] {
            let error = take(row).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
