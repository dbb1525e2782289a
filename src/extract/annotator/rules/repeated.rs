//! The same query sent again.

use std::sync::LazyLock;

use crate::data::words::words_up_to;
use crate::extract::duplicates::fingerprint;
use crate::extract::lexical::{Phrases, beginning, normalized};
use crate::extract::turn::Turn;

/// The name of the rule.
pub(super) const NAME: &str = "correction/same-query-again";
/// Fewest words of a query for which it is evidence; `next` and `yes` are said again for their own sake.
const WORDS: usize = 5;

/// How queries begin that are sent again for another piece, not for a better answer.
static FOR_ANOTHER: LazyLock<Phrases> = LazyLock::new(|| {
    Phrases::new([
        "(write|create|generate|make|give|tell|list|suggest|draw|design|compose|invent|continue|go on|keep|another|\
         more|next)",
        "(please|can you|could you|i want you to|i need) [to] (write|create|generate|make|give|tell|list|suggest|\
         continue)",
        "(写|生成|创作|继续|再|给我)",
    ])
});

/// Words in prompts that generate prompts, to which every answer is different.
static GENERATOR: LazyLock<Phrases> =
    LazyLock::new(|| Phrases::new(["(midjourney|prompt|prompts|stable diffusion|act as)", "提示词"]));

/// Whether the next message repeats the query, except for punctuation and case: the response was not what the user
/// wanted.
pub(super) fn is_repeated(turn: &Turn) -> bool {
    let (query, feedback) = (turn.query(), turn.feedback());
    // Texts of very different lengths differ in letters too.
    query.len().abs_diff(feedback.len()) <= 8 + query.len() / 4
        && words_up_to(query, WORDS) == WORDS
        && fingerprint(&[query]) == fingerprint(&[feedback])
        && !is_for_another(&normalized(beginning(query, 200)))
}

fn is_for_another(query: &str) -> bool {
    FOR_ANOTHER.begins(query).is_some() || GENERATOR.is_in(query)
}
