//! The tokens of a packed batch whose log-probabilities are computed, on the device: those of the completions.

use crate::Result;
use crate::data::PackedCompletions;
use crate::gpu::{Dtype, Gpu, Tensor};
use crate::kernels::gather::Uses;

/// Buffers for the tables, rewritten for every batch.
pub(super) struct Predictions {
    /// Predicted tokens of the batch it holds now.
    pub count: usize,
    /// Of each: the token before it, whose row of the residual stream predicts it.
    pub sources: Tensor,
    /// Of each: its id, and its sequence.
    pub targets: Tensor,
    /// The starts of each sequence's tokens, and the end of the last one's.
    pub offsets: Tensor,
    /// For the gradient of that stream: what each of its rows predicts.
    pub starts: Tensor,
    /// See `starts`.
    pub uses: Tensor,
}

impl Predictions {
    /// Room for batches of up to this many tokens, sequences and predicted tokens.
    ///
    /// # Errors
    /// The device has no room.
    pub(super) fn new(gpu: &Gpu, tokens: usize, sequences: usize, predictions: usize) -> Result<Self> {
        let list = |label, len| Tensor::workspace(gpu, label, len, Dtype::U32);
        Ok(Self {
            count: 0,
            sources: list("predicting tokens", predictions)?,
            targets: list("predicted tokens", 2 * predictions)?,
            offsets: list("predictions of sequences", sequences + 1)?,
            starts: list("predictions of tokens", tokens + 1)?,
            uses: list("predictions by token", predictions)?,
        })
    }

    /// Bytes of the lists, for the plan.
    pub(super) fn bytes(tokens: usize, sequences: usize, predictions: usize) -> u64 {
        4 * (4 * predictions + sequences + tokens + 2) as u64
    }

    /// Fills the buffers for a packed batch.
    ///
    /// # Panics
    /// If the batch is larger than the room that was made, which is a fault of whoever packed it.
    pub(super) fn write(&mut self, gpu: &Gpu, batch: &PackedCompletions) {
        let (mut sources, mut targets, mut offsets) = (vec![], vec![], vec![0]);
        for (sequence, placed) in batch.sequences.iter().enumerate() {
            // The last token of the prompt predicts the first of the completion, which need not follow it.
            let first = std::iter::once(placed.prompt.end - 1);
            sources.extend(first.chain(placed.completion.clone()).take(placed.completion.len()).map(|row| row as u32));
            targets.extend(batch.tokens[placed.completion.clone()].iter().flat_map(|id| [*id, sequence as u32]));
            offsets.push(sources.len() as u32);
        }
        let room = self.sources.columns().len();
        assert!(sources.len() <= room, "{} completion tokens exceed the plan of {room}", sources.len());
        let uses = Uses::of(&sources, batch.tokens.len());
        self.sources.write_u32(gpu, &sources);
        self.targets.write_u32(gpu, &targets);
        self.offsets.write_u32(gpu, &offsets);
        self.starts.write_u32(gpu, &uses.starts);
        self.uses.write_u32(gpu, &uses.uses);
        self.count = sources.len();
    }
}
