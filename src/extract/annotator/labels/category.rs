//! The categories of labels made elsewhere, as the five levels.

use crate::data::Feedback;

/// A category of a published set.
struct Category {
    /// Its code in the set.
    code: &'static str,
    /// Its name in the set's guidelines.
    name: &'static str,
    /// The level it stands for.
    level: Feedback,
}

/// The categories of the naturally occurring feedback of LMSYS-Chat-1M (arXiv 2407.10944, `shachardon/naturally_occurring_feedback`),
/// and what its prompts call a message without feedback. docs/METHOD.md says why each has its level. The set knows neither
/// rejection nor engagement.
const CATEGORIES: [Category; 6] = [
    Category { code: "ur1", name: "repeat or rephrase", level: Feedback::Correction },
    Category { code: "ur2", name: "make aware with correction", level: Feedback::Correction },
    Category { code: "ur3", name: "make aware without correction", level: Feedback::Correction },
    Category { code: "ur4", name: "ask for clarification", level: Feedback::Correction },
    Category { code: "ur5", name: "positive feedback", level: Feedback::Satisfaction },
    Category { code: "no feedback", name: "no feedback", level: Feedback::Neutral },
];

/// The accepted names of levels, for error messages.
pub(super) const KNOWN: &str = "use rejection, correction, neutral, engagement or satisfaction, their numbers 1 to 5, or UR1 \
    to UR5 or their names";

/// The level that a text stands for, whatever the case: a level's name or number, or a category's code, name, or name
/// with code, as in `Positive Feedback (UR5)`.
pub(crate) fn level_named(text: &str) -> Option<Feedback> {
    let text = text.trim().to_lowercase();
    let own = |level: &Feedback| level.name() == text || level.level().to_string() == text;
    let of_set = |category: &&Category| {
        let Category { code, name, .. } = category;
        text == *code || text == *name || text == format!("{name} ({code})")
    };
    let level = Feedback::ALL.into_iter().find(own);
    level.or_else(|| CATEGORIES.iter().find(of_set).map(|category| category.level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_stand_for_levels() {
        for (text, level) in [
            ("UR1", Feedback::Correction),
            ("ur2", Feedback::Correction),
            ("UR3", Feedback::Correction),
            ("UR4", Feedback::Correction),
            ("UR5", Feedback::Satisfaction),
            ("Repeat or Rephrase", Feedback::Correction),
            ("Make Aware Without Correction (UR3)", Feedback::Correction),
            (" Positive Feedback (UR5) ", Feedback::Satisfaction),
            ("No Feedback", Feedback::Neutral),
        ] {
            assert_eq!(level_named(text), Some(level), "{text}");
        }
    }

    #[test]
    fn the_five_levels_are_known_by_name_and_number() {
        for level in Feedback::ALL {
            assert_eq!(level_named(level.name()), Some(level));
            assert_eq!(level_named(&level.level().to_string()), Some(level));
        }
    }

    #[test]
    fn anything_else_is_no_level() {
        for text in
            ["", "UR6", "UR", "0", "6", "-1", "good", "rejections", "UR1 UR2", "Positive Feedback (UR1)", "none"]
        {
            assert_eq!(level_named(text), None, "{text}");
        }
    }
}
