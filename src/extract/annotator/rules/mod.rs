//! The lexical annotator: named rules for English and Chinese, and neutral where none of them finds strong evidence.
//!
//! Only the opening of the message is searched for evidence. Rules are applied in the order of `RULES`, which settles
//! conflicts: the same query sent again, then rejection, then correction or a request for a repair, then praise with a
//! reservation, which is neutral, then satisfaction, then engagement. So "thanks, but it doesn't work" is a correction,
//! and "great, but use blue" is neutral. The reason of a verdict is the name of the rule.
//!
//! Praise for a refusal does not count: where a rule finds it, the verdict is neutral with the refusal's name.

mod correction;
mod engagement;
mod opening;
mod rejection;
mod repair;
mod repeated;
mod reservation;
mod rule;
mod satisfaction;

use std::future::ready;
use std::sync::LazyLock;

use rayon::prelude::*;

use self::opening::Opening;
use self::rule::Compiled;
pub(crate) use self::rule::{Place, Rule};
use super::{Annotator, Refusal, Verdict, Verdicts};
use crate::data::Feedback;
use crate::extract::refusal::is_refusal;
use crate::extract::turn::Turn;
use crate::{Event, Observer};

/// The reason of a verdict without evidence.
const NO_EVIDENCE: &str = "no evidence";

/// All rules, in the order they are asked.
static RULES: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
    let rules = [
        rejection::RULES,
        correction::RULES,
        repair::RULES,
        reservation::RULES,
        satisfaction::RULES,
        engagement::RULES,
    ];
    rules.into_iter().flatten().map(Compiled::new).collect()
});

/// Lexical rules for English and Chinese.
pub(crate) struct Rules;

impl Annotator for Rules {
    fn name(&self) -> String {
        "rules".into()
    }

    fn feedback<'a>(&'a mut self, turns: &'a [&'a Turn], observer: &'a mut dyn Observer) -> Verdicts<'a, Feedback> {
        let verdicts = turns.par_iter().map(|turn| given(judge(turn))).collect();
        observer.on(Event::Annotated { done: turns.len(), total: turns.len() });
        Box::pin(ready(Ok(verdicts)))
    }

    /// Rules cannot tell what is unsafe.
    fn refusals<'a>(&'a mut self, turns: &'a [&'a Turn], _: &'a mut dyn Observer) -> Verdicts<'a, Refusal> {
        Box::pin(ready(Ok(vec![given((Refusal::Unjudged, "not judged by rules")); turns.len()])))
    }
}

fn given<T>((value, reason): (T, &str)) -> Verdict<T> {
    Verdict::Given { value, reason: reason.into(), confidence: None }
}

/// The level of a turn's feedback, and why.
fn judge(turn: &Turn) -> (Feedback, &'static str) {
    if repeated::is_repeated(turn) {
        return (Feedback::Correction, repeated::NAME);
    }
    let opening = Opening::of(turn.feedback(), turn.response());
    let found = RULES.iter().find(|rule| rule.finds(&opening));
    let (level, name) = found.map_or((Feedback::Neutral, NO_EVIDENCE), |found| (found.rule.level, found.rule.name));
    match level.is_positive().then(|| is_refusal(turn.response())).flatten() {
        Some(refusal) => (Feedback::Neutral, refusal),
        None => (level, name),
    }
}

#[cfg(test)]
mod tests;
