//! Prompts with completions as token ids, laid end to end for the models that rate or learn from completions.

use std::ops::Range;

use crate::{Error, Result};

/// A prompt and one completion of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Token ids of the prompt, then of the completion.
    pub tokens: Vec<u32>,
    /// Tokens of the prompt.
    pub prompt: usize,
}

/// The place of one sequence in a packed batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Tokens of the prompt.
    pub prompt: Range<usize>,
    /// Tokens of the completion.
    pub completion: Range<usize>,
}

/// Sequences end to end, without padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackedCompletions {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// The place of each sequence, in the order given.
    pub sequences: Vec<Placed>,
}

impl PackedCompletions {
    /// Packs completions in order.
    ///
    /// # Errors
    /// A prompt or a completion is empty: there is nothing that would predict the first token, or nothing to predict.
    pub fn new<'a>(completions: impl IntoIterator<Item = &'a Completion>) -> Result<Self> {
        Self::pack(completions, |_, _| false)
    }

    /// Packs completions in order; those that follow one with the same prompt share its tokens, and nothing is computed
    /// twice. Models with sliding windows cannot run such a batch.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn sharing_prompts<'a>(completions: impl IntoIterator<Item = &'a Completion>) -> Result<Self> {
        Self::pack(completions, |before, prompt| before == prompt)
    }

    fn pack<'a>(
        completions: impl IntoIterator<Item = &'a Completion>,
        shares: impl Fn(&[u32], &[u32]) -> bool,
    ) -> Result<Self> {
        let mut packed = Self::default();
        for Completion { tokens, prompt } in completions {
            if *prompt == 0 || tokens.len() <= *prompt {
                let which = if *prompt == 0 { "prompt" } else { "completion" };
                return Err(Error::run(format!("a sequence without a {which} cannot be rated"), "drop its row"));
            }
            let shared = packed.sequences.last().map(|placed| placed.prompt.clone());
            let shared = shared.filter(|before| shares(&packed.tokens[before.clone()], &tokens[..*prompt]));
            let first = packed.tokens.len();
            let prompt = match shared {
                Some(before) => before,
                None => {
                    packed.tokens.extend_from_slice(&tokens[..*prompt]);
                    first..first + prompt
                }
            };
            let start = packed.tokens.len();
            packed.tokens.extend_from_slice(&tokens[prompt.len()..]);
            packed.sequences.push(Placed { prompt, completion: start..packed.tokens.len() });
        }
        Ok(packed)
    }

    /// Tokens of all completions.
    pub fn predictions(&self) -> usize {
        self.sequences.iter().map(|placed| placed.completion.len()).sum()
    }

    /// Whether any sequences share a prompt.
    pub fn branches(&self) -> bool {
        self.sequences.windows(2).any(|pair| pair[0].prompt == pair[1].prompt)
    }

    /// The starts of sequences, and the number of tokens last, if none share a prompt.
    pub fn offsets(&self) -> Vec<u32> {
        let starts = self.sequences.iter().map(|placed| placed.prompt.start as u32);
        starts.chain(std::iter::once(self.tokens.len() as u32)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion(tokens: &[u32], prompt: usize) -> Completion {
        Completion { tokens: tokens.to_vec(), prompt }
    }

    #[test]
    fn sequences_follow_each_other() {
        let packed = PackedCompletions::new(&[completion(&[7, 8, 9], 2), completion(&[7, 5], 1)]).unwrap();
        assert_eq!(packed.tokens, [7, 8, 9, 7, 5]);
        assert_eq!(packed.sequences[1], Placed { prompt: 3..4, completion: 4..5 });
        assert_eq!((packed.offsets(), packed.predictions()), (vec![0, 3, 5], 2));
    }

    #[test]
    fn neighbours_with_the_same_prompt_share_it() {
        let all = [completion(&[7, 8, 9], 2), completion(&[7, 8, 5, 4], 2), completion(&[7, 9], 1)];
        let packed = PackedCompletions::sharing_prompts(&all).unwrap();
        assert_eq!(packed.tokens, [7, 8, 9, 5, 4, 7, 9]);
        assert_eq!(packed.sequences[1], Placed { prompt: 0..2, completion: 3..5 });
        assert_eq!((packed.predictions(), packed.branches()), (4, true));
        assert!(!PackedCompletions::new(&all).unwrap().branches());
        assert!(!PackedCompletions::sharing_prompts(&all[1..]).unwrap().branches());
    }

    #[test]
    fn empty_parts_are_refused() {
        for (tokens, prompt, part) in [(vec![1, 2], 0, "prompt"), (vec![1, 2], 2, "completion")] {
            let error = PackedCompletions::new(&[completion(&tokens, prompt)]).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
