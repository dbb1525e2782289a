//! What an annotator reports of itself: its consumption, and the use of labels made elsewhere.

use serde::Serialize;

/// The usage of an annotator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Requests sent, retries included.
    pub requests: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Answers found in the store of an earlier run.
    pub stored: u64,
    /// Tokens of prompts, as the server counts them.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub completion_tokens: u64,
    /// Cost in the currency of the given prices, where prices were given.
    pub cost: Option<f64>,
}

/// The use of labels made elsewhere. `turns` is the sum of `unknown`, `misplaced`, `filtered` and `judged`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Labels {
    /// The file.
    pub file: String,
    /// Its rows.
    pub rows: u64,
    /// Rows whose turn an earlier row labels too.
    pub repeated: u64,
    /// Turns to which rows give different levels: the lowest stands.
    pub contradicted: Named,
    /// Turns with a label.
    pub turns: u64,
    /// Labelled turns of conversations that are not in the input, or cannot be used.
    pub unknown: Named,
    /// Labelled turns where the conversation has no response with a next user message.
    pub misplaced: Named,
    /// Labelled turns that a filter dropped.
    pub filtered: u64,
    /// Labelled turns that the filters left.
    pub judged: u64,
    /// Turns that the filters left and nobody labelled: they count as neutral.
    pub unlabelled: u64,
}

impl Labels {
    /// Caveats about the labels, one sentence each.
    pub fn doubts(&self) -> Vec<String> {
        let of = |named: &Named, what: &str| {
            let examples = named.examples.join(", ");
            (named.count > 0).then(|| format!("{}: {what}: {}, such as {examples}", self.file, named.count))
        };
        let unlabelled = (self.unlabelled > 0).then(|| {
            let judged = self.judged.saturating_add(self.unlabelled);
            format!("{}: turns without a label, which count as neutral: {} of {judged}", self.file, self.unlabelled)
        });
        let doubts = [
            of(&self.contradicted, "turns with labels of different levels, of which the lowest counts"),
            of(&self.unknown, "labels for conversations that are not in the input or cannot be used"),
            of(&self.misplaced, "labels for turns that are not a response with a user message after it"),
            unlabelled,
        ];
        doubts.into_iter().flatten().collect()
    }
}

/// A count, with some of what is counted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Named {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<String>,
}

impl Named {
    /// How many are named.
    pub const EXAMPLES: usize = 5;

    /// Counts others too.
    pub fn extend(&mut self, others: Self) {
        self.count += others.count;
        self.examples.extend(others.examples);
        self.examples.truncate(Self::EXAMPLES);
    }
}
