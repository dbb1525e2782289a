//! What the completions of a request have gained.

use wgr::generate::{Finish, Grown, TokenLogProb};

use super::queue::Answers;
use crate::failure::Failure;

/// A completion, or what it has gained since it was looked at last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Completion {
    pub(crate) text: String,
    pub(crate) tokens: Vec<u32>,
    /// One a token, if they were asked for.
    pub(crate) log_probs: Vec<TokenLogProb>,
    /// Why it ended.
    pub(crate) finish: Option<Finish>,
}

impl Completion {
    /// Adds what it gained.
    pub(crate) fn add(&mut self, grown: Grown) {
        let Grown { token, log_prob, piece, ended } = grown;
        self.text.push_str(&piece);
        self.tokens.push(token);
        self.log_probs.extend(log_prob);
        self.finish = ended.map(|completion| completion.finish);
    }

    /// Waits until all completions of a request have ended.
    ///
    /// # Errors
    /// One of them cannot be drawn.
    pub(crate) async fn all(count: usize, mut answers: Answers) -> Result<Vec<Self>, Failure> {
        let mut completions = vec![Self::default(); count];
        while let Some((number, grown)) = answers.recv().await {
            completions[number].add(grown?);
        }
        match completions.iter().all(|completion| completion.finish.is_some()) {
            true => Ok(completions),
            false => Err(Failure::Device("the thread of the device has ended".into())),
        }
    }
}
