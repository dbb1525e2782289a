//! The rows that extraction writes: WildFB's fields, and the provenance of each row.

use serde::Serialize;

use super::annotator::{Refusal, Verdict};
use super::config::Variant;
use super::filters::Filter;
use super::mining::Mined;
use super::turn::Turn;
use crate::Result;
use crate::data::Feedback;
use crate::data::{Message, Template};

/// A turn with what the stages found.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    /// The turn.
    pub turn: Turn,
    /// The filter that dropped it.
    pub dropped: Option<Filter>,
    /// The pattern by which its response is a refusal.
    pub refusal: Option<&'static str>,
    /// The annotator's verdict; `None` if it was not asked.
    pub verdict: Option<Verdict<Feedback>>,
    /// The later turn whose level it took.
    pub mined: Option<Mined>,
    /// Whether the refusal was right, where that was asked.
    pub validated: Option<Verdict<Refusal>>,
}

impl Judged {
    /// A turn that no stage has seen.
    pub(super) fn new(turn: Turn) -> Self {
        Self { turn, dropped: None, refusal: None, verdict: None, mined: None, validated: None }
    }

    /// The level the annotator gave.
    pub(super) fn annotated(&self) -> Option<Feedback> {
        match self.verdict {
            Some(Verdict::Given { value, .. }) => Some(value),
            _ => None,
        }
    }

    /// The level after mining.
    pub(super) fn after_mining(&self) -> Option<Feedback> {
        self.mined.as_ref().map(|mined| mined.level).or(self.annotated())
    }

    /// The level after refusals were validated: the user was wrong to punish a refusal that was right.
    pub(super) fn feedback(&self) -> Option<Feedback> {
        match self.validated {
            Some(Verdict::Given { value: Refusal::Justified, .. }) => Some(Feedback::Satisfaction),
            _ => self.after_mining(),
        }
    }

    /// The label to train on; `None` for a turn that makes no row.
    pub(super) fn label(&self, keep_neutral: bool) -> Option<u32> {
        self.feedback().filter(|_| self.dropped.is_none())?.label(keep_neutral)
    }

    /// Whether the refusal is to be validated.
    pub(super) fn asks_for_validation(&self, variant: Variant) -> bool {
        let level = self.after_mining();
        self.dropped.is_none()
            && self.refusal.is_some()
            && level.is_some_and(|level| level.is_negative() || variant == Variant::PublicCode)
    }
}

/// A row of `train` or `test`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Instance<'a> {
    /// `<conversation>:<turn>`.
    pub id: String,
    /// Everything said before the query.
    pub history: &'a [Message],
    /// The built-in template's prompt for history, query and response.
    pub text: String,
    /// The query and the response to judge.
    pub messages: [&'a Message; 2],
    /// The user's next message.
    pub user_feedback: &'a Message,
    /// The label to train on.
    pub label: u32,
    /// The (hashed) user.
    pub user: Option<&'a str>,
    /// The conversation.
    pub conversation: &'a str,
    /// The number of the response in it, from 1.
    pub turn: u64,
    /// The conversation's language.
    pub language: Option<&'a str>,
    /// The model that answered.
    pub model: Option<&'a str>,
    /// When the conversation took place.
    pub timestamp: Option<&'a str>,
    /// Why the row has its label.
    pub evidence: Evidence<'a>,
}

/// Why a row has its label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Evidence<'a> {
    /// The annotator of the feedback.
    pub annotator: &'a str,
    /// The level it gave, before mining and validation.
    pub level: Option<&'static str>,
    /// The rule, or the model's answer.
    pub reason: &'a str,
    /// The probability the annotator gives its verdict, where it has one.
    pub confidence: Option<f32>,
    /// The number of the later response whose level this one took.
    pub mined_from: Option<u64>,
    /// The cosine of the two queries.
    pub cosine: Option<f32>,
    /// The pattern by which the response is a refusal.
    pub refusal: Option<&'static str>,
    /// Whether the refusal was right, where that was asked.
    pub refusal_verdict: Option<Refusal>,
    /// Why.
    pub refusal_reason: Option<&'a str>,
}

impl<'a> Instance<'a> {
    /// The row of a turn with this label.
    ///
    /// # Errors
    /// The template fails.
    pub(super) fn of(judged: &'a Judged, label: u32, annotator: &'a str, template: &Template) -> Result<Self> {
        let turn = &judged.turn;
        let conversation = &*turn.conversation;
        let [query, response, user_feedback] = turn.messages();
        Ok(Self {
            id: turn.id(),
            history: turn.history(),
            text: template.render_parts(turn.history(), turn.query(), turn.response())?,
            messages: [query, response],
            user_feedback,
            label,
            user: conversation.user.as_deref(),
            conversation: &conversation.id,
            turn: turn.number as u64,
            language: conversation.language.as_deref(),
            model: conversation.model.as_deref(),
            timestamp: conversation.timestamp.as_deref(),
            evidence: Evidence::of(judged, annotator),
        })
    }
}

impl<'a> Evidence<'a> {
    /// The evidence for the level of a turn.
    pub(super) fn of(judged: &'a Judged, annotator: &'a str) -> Self {
        let (level, reason, confidence) = match &judged.verdict {
            Some(Verdict::Given { value, reason, confidence }) => (Some(value.name()), reason.as_str(), *confidence),
            Some(Verdict::Unparsable { answer }) => (None, answer.as_str(), None),
            None => (None, "", None),
        };
        let (refusal_verdict, refusal_reason) = match &judged.validated {
            Some(Verdict::Given { value, reason, .. }) => (Some(*value), Some(reason.as_str())),
            _ => (None, None),
        };
        Self {
            annotator,
            level,
            reason,
            confidence,
            mined_from: judged.mined.as_ref().map(|mined| mined.from as u64),
            cosine: judged.mined.as_ref().map(|mined| mined.cosine),
            refusal: judged.refusal,
            refusal_verdict,
            refusal_reason,
        }
    }

    /// The evidence in words.
    pub(super) fn in_words(&self) -> String {
        let mut words = format!("{}: {} ({})", self.annotator, self.level.unwrap_or("no verdict"), self.reason);
        if let Some(confidence) = self.confidence {
            words.push_str(&format!(", {:.0} % sure", 100.0 * confidence));
        }
        if let (Some(from), Some(cosine)) = (self.mined_from, self.cosine) {
            words.push_str(&format!("; mined from response {from}, whose query has cosine similarity {cosine:.2}"));
        }
        match self.refusal_verdict {
            Some(Refusal::Justified) => words.push_str("; a refusal that was right"),
            Some(Refusal::Unjustified) => words.push_str("; a refusal that was wrong"),
            Some(Refusal::Unjudged) => words.push_str("; a refusal that was not judged"),
            None => {}
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::turn::tests::conversation;
    use super::*;

    #[test]
    fn a_row_says_what_the_annotator_gave_before_mining_and_validation() {
        let turn = Turn::of(&Arc::new(conversation(&["user", "assistant", "user"]))).remove(0);
        let given = |value| Some(Verdict::Given { value, reason: "why".into(), confidence: None });
        let mined = Mined { from: 2, level: Feedback::Engagement, cosine: 0.9 };
        let of_mining = Judged { verdict: given(Feedback::Neutral), mined: Some(mined), ..Judged::new(turn.clone()) };
        let justified = Some(Verdict::Given { value: Refusal::Justified, reason: "unsafe".into(), confidence: None });
        let of_validation = Judged {
            verdict: given(Feedback::Rejection),
            validated: justified,
            refusal: Some("cannot"),
            ..Judged::new(turn)
        };
        for (judged, label, level) in [(of_mining, 3, "neutral"), (of_validation, 4, "rejection")] {
            assert_eq!(judged.label(false), Some(label));
            let row = Instance::of(&judged, label, "rules", &Template::builtin()).unwrap();
            let row = serde_json::to_value(row).unwrap();
            assert_eq!((&row["label"], &row["evidence"]["level"]), (&label.into(), &level.into()));
            assert_eq!(row["evidence"]["mined_from"].is_null(), label == 4);
            assert_eq!(row["evidence"]["refusal_verdict"] == "justified", label == 4);
        }
    }
}
