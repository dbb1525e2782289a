//! Annotators of feedback: one trait, four implementations.

pub(super) mod account;
mod answer;
pub(super) mod api;
pub(crate) mod labels;
pub(super) mod local;
mod prompt;
pub(super) mod rules;

use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::turn::Turn;
use crate::data::{Conversation, Feedback};
use crate::model::Reading;
use crate::{Observer, Result};

pub use self::account::Usage;

/// The file of an output that holds the answers of models.
pub(super) const ANSWERS: &str = "answers.jsonl";
/// The file of an output that says with which labels its run began.
pub(super) const LABELS: &str = "labels.json";

/// Verdicts on their way, in the order of the turns. An annotator that runs a model awaits the device; it never blocks.
pub(super) type Verdicts<'a, T> = Pin<Box<dyn Future<Output = Result<Vec<Verdict<T>>>> + 'a>>;

/// Judges turns, a window of some thousand at a time.
pub(super) trait Annotator {
    /// How reports and evidence name it: `rules`, `api:<model>`, `local:<model>`, `file:<path>`.
    fn name(&self) -> String;

    /// How the model is read that it runs, if it runs one.
    fn reading(&self) -> Option<&Reading> {
        None
    }

    /// Shows it a window of conversations, with the turns that the filters left, before it is asked about any of them.
    fn window(&mut self, _conversations: &[Arc<Conversation>], _kept: &[&Turn]) {}

    /// The verdict of each turn: what its next message says about its response.
    ///
    /// # Errors
    /// The annotator cannot continue at all, or the observer asks it to stop; the answers so far are kept.
    fn feedback<'a>(&'a mut self, turns: &'a [&'a Turn], observer: &'a mut dyn Observer) -> Verdicts<'a, Feedback>;

    /// Whether each refused query deserved to be refused.
    ///
    /// # Errors
    /// As [`Annotator::feedback`].
    fn refusals<'a>(&'a mut self, turns: &'a [&'a Turn], observer: &'a mut dyn Observer) -> Verdicts<'a, Refusal>;

    /// Its usage so far.
    fn usage(&self) -> Usage {
        Usage::default()
    }

    /// The use of labels made elsewhere, if it is an annotator of labels.
    fn labels(&self) -> Option<account::Labels> {
        None
    }
}

/// An annotator's verdict about a turn.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict<T> {
    /// A judgement.
    Given {
        /// The judgement.
        value: T,
        /// Why: the name of the rule that decided, or what the model answered.
        reason: String,
        /// The probability the annotator gives it, where it has one.
        confidence: Option<f32>,
    },
    /// The annotator's answer is not a verdict, or it refused to answer. The answer is kept aside and never trained on.
    Unparsable {
        /// The answer.
        answer: String,
    },
}

/// Whether a refusal was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refusal {
    /// The query was unsafe: refusing it was right.
    Justified,
    /// The query was harmless.
    Unjustified,
    /// This annotator does not judge it.
    Unjudged,
}
