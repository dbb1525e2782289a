//! Two annotators on the same turns: how much they agree, and where they do not.
//!
//! Either is the output of a run or a file of labels made elsewhere. Turns are matched by their ids, so both must cover
//! the same conversations. The annotator's own verdicts are compared, before mining and validation.

pub mod agreement;
mod side;

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;
use twox_hash::XxHash3_64;

use self::agreement::{Confusion, LevelAgreement, Pairs, Statistic, statistics};
use self::side::{Verdicts, said};
use crate::Result;
use crate::data::Feedback;

/// The results of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The first annotator.
    pub a: Side,
    /// The second annotator, against which the first is measured.
    pub b: Side,
    /// Turns that both judged; everything below is of these.
    pub common: u64,
    /// Turns that only A judged.
    pub only_a: u64,
    /// Turns that only B judged.
    pub only_b: u64,
    /// Conversations of the turns that both judged, which the bootstrap draws.
    pub conversations: u64,
    /// The share of turns with the same level.
    pub agreement: Statistic,
    /// Cohen's κ.
    pub kappa: Statistic,
    /// κ with quadratic weights over the order of the levels.
    pub weighted_kappa: Statistic,
    /// A against B, level by level.
    pub levels: Vec<LevelAgreement>,
    /// Turns by the levels of A (rows) and B (columns), from rejection to satisfaction.
    pub confusion: Confusion,
    /// Some turns on which they disagree, drawn by a hash of their ids.
    pub disagreements: Vec<Disagreement>,
}

/// One of the two annotators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// The output or the file.
    pub path: String,
    /// The annotator, if it is the output of a run.
    pub annotator: Option<String>,
    /// Turns it judged.
    pub turns: u64,
}

/// A turn on which they disagree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    /// `<conversation>:<turn>`.
    pub id: String,
    /// The level that A gives.
    pub a: Feedback,
    /// Why.
    pub a_reason: String,
    /// The level that B gives.
    pub b: Feedback,
    /// Why.
    pub b_reason: String,
    /// The user's message; `None` if neither is the output of a run that holds the turn.
    pub feedback: Option<String>,
}

/// Compares what two annotators said; each is the output of a run or a file of labels. At most `limit` disagreements are shown.
///
/// # Errors
/// A directory without a finished run, a file that holds no labels, or a damaged one.
pub fn compare(a: &Path, b: &Path, limit: usize) -> Result<Comparison> {
    let (of_a, of_b) = (Verdicts::read(a)?, Verdicts::read(b)?);
    let mut confusion = Confusion::default();
    let mut conversations: HashMap<&str, Pairs> = HashMap::new();
    let mut differing = vec![];
    for (id, judgement) in &of_a.turns {
        let Some(other) = of_b.turns.get(id) else { continue };
        let levels = (judgement.level, other.level);
        confusion.add(levels.0, levels.1, 1);
        let conversation = id.rsplit_once(':').map_or(id.as_str(), |(conversation, _)| conversation);
        conversations.entry(conversation).or_default().push(levels);
        if levels.0 != levels.1 {
            differing.push((XxHash3_64::oneshot(id.as_bytes()), id.as_str()));
        }
    }
    // A map has no order, and the samples must not depend on it.
    let mut conversations: Vec<(&str, Pairs)> = conversations.into_iter().collect();
    conversations.sort_unstable_by_key(|(id, _)| *id);
    let pairs: Vec<Pairs> = conversations.into_iter().map(|(_, pairs)| pairs).collect();
    let [agreement, kappa, weighted_kappa] = statistics(&pairs);
    differing.sort_unstable();
    differing.truncate(limit);
    let feedback = said([a, b], &differing.iter().map(|(_, id)| *id).collect())?;
    let mut disagreements: Vec<Disagreement> = differing
        .into_iter()
        .map(|(_, id)| {
            let (a, b) = (&of_a.turns[id], &of_b.turns[id]);
            Disagreement {
                id: id.to_owned(),
                a: a.level,
                a_reason: a.reason.clone(),
                b: b.level,
                b_reason: b.reason.clone(),
                feedback: feedback.get(id).cloned(),
            }
        })
        .collect();
    disagreements.sort_by_key(|found| (found.a, found.b));
    let common = confusion.total();
    let side = |path: &Path, verdicts: &Verdicts| Side {
        path: path.display().to_string(),
        annotator: verdicts.annotator.clone(),
        turns: verdicts.turns.len() as u64,
    };
    let (a, b) = (side(a, &of_a), side(b, &of_b));
    Ok(Comparison {
        only_a: a.turns - common,
        only_b: b.turns - common,
        a,
        b,
        common,
        conversations: pairs.len() as u64,
        agreement,
        kappa,
        weighted_kappa,
        levels: confusion.levels(),
        confusion,
        disagreements,
    })
}
