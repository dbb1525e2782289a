//! A packed micro-batch on the device.

use crate::Result;
use crate::data::PackedCompletions;
use crate::gpu::{Dtype, Gpu, Tensor};
use crate::kernels::attention::Spans;
use crate::kernels::embedding::{Groups, TokenGroups};
use crate::kernels::rope;

use super::activations::RowCounts;
use super::config::ModelConfig;

/// Largest batch a model will be given.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// Tokens of a micro-batch.
    pub tokens: usize,
    /// Sequences of a micro-batch.
    pub sequences: usize,
    /// Tokens of a sequence.
    pub length: usize,
}

impl Capacity {
    /// Rows of the activation table.
    pub fn rows(self) -> RowCounts {
        RowCounts { tokens: self.tokens, sequences: self.sequences, predictions: 0 }
    }
}

/// Buffers for the tables of a packed batch, rewritten for every batch.
pub struct Batch {
    /// Tokens of the batch it holds now.
    pub tokens: usize,
    /// Sequences of the batch it holds now.
    pub sequences: usize,
    /// Token ids.
    pub ids: Tensor,
    /// First token of the sequence of each token, and one past its last; see [`Spans`] for sequences that branch.
    spans: Tensor,
    branching: bool,
    /// If sequences branch, two values per token: the place from which its position is counted, and another.
    origins: Tensor,
    /// The starts of sequences, and the number of tokens last.
    pub offsets: Tensor,
    /// Cosines and sines of every position.
    pub angles: Tensor,
    unique: Tensor,
    starts: Tensor,
    rows: Tensor,
    /// transformers builds its embedding with the pad id as `padding_idx`, whose row gets no gradient. Pads never
    /// enter the engine, but chat formats use the same id as text; the losses of both agree only if both leave it.
    frozen: Option<u32>,
    max_tokens: usize,
    max_sequences: usize,
}

impl Batch {
    /// Room for batches of up to `tokens` tokens and `sequences` sequences, none longer than `max_length`.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(
        gpu: &Gpu,
        config: &ModelConfig,
        max_tokens: usize,
        max_sequences: usize,
        max_length: usize,
    ) -> Result<Self> {
        let list = |label, len| Tensor::workspace(gpu, label, len, Dtype::U32);
        let (frequencies, factor) = config.rope.inverse_frequencies(config.head_dim);
        Ok(Self {
            tokens: 0,
            sequences: 0,
            frozen: config.pad_token_id,
            ids: list("token ids", max_tokens)?,
            spans: list("spans", 4 * max_tokens)?,
            branching: false,
            origins: list("origins of positions", 2 * max_tokens)?,
            offsets: list("offsets", max_sequences + 1)?,
            angles: rope::table(gpu, max_length, &frequencies, factor)?,
            unique: list("distinct ids", max_tokens)?,
            starts: list("group starts", max_tokens + 1)?,
            rows: list("group rows", max_tokens)?,
            max_tokens,
            max_sequences,
        })
    }

    /// Fills the buffers with a packed batch. `offsets` are where sequences start, and the number of tokens last.
    ///
    /// # Panics
    /// If the batch is larger than the room that was made, which is a fault of whoever packed it.
    pub fn write(&mut self, gpu: &Gpu, ids: &[u32], offsets: &[u32]) {
        self.write_ids(gpu, ids, offsets.len() - 1);
        self.spans.write_u32(gpu, &spans(offsets));
        self.offsets.write_u32(gpu, offsets);
        self.branching = false;
    }

    /// Fills the buffers with completions that may share their prompts, and returns whether any do. There are no
    /// `offsets` then.
    ///
    /// # Panics
    /// As [`Self::write`].
    pub fn write_completions(&mut self, gpu: &Gpu, batch: &PackedCompletions) -> bool {
        self.branching = batch.branches();
        if self.branching {
            let (spans, origins) = branching_spans(batch);
            self.write_ids(gpu, &batch.tokens, batch.sequences.len());
            self.spans.write_u32(gpu, &spans);
            self.origins.write_u32(gpu, &origins);
        } else {
            self.write(gpu, &batch.tokens, &batch.offsets());
        }
        self.branching
    }

    fn write_ids(&mut self, gpu: &Gpu, ids: &[u32], sequences: usize) {
        assert!(ids.len() <= self.max_tokens && sequences <= self.max_sequences, "the batch exceeds the plan");
        let groups = TokenGroups::of(ids, self.frozen).padded_to(ids.len());
        self.ids.write_u32(gpu, ids);
        self.unique.write_u32(gpu, &groups.unique);
        self.starts.write_u32(gpu, &groups.starts);
        self.rows.write_u32(gpu, &groups.rows);
        (self.tokens, self.sequences) = (ids.len(), sequences);
    }

    /// Fills the buffers with tokens that continue sequences whose earlier tokens are elsewhere, for a forward pass alone.
    /// `positions` are their places in their sequences. `ends` takes the place of offsets: one past each token that is
    /// pooled as a last one, in the order of the batch.
    ///
    /// # Panics
    /// As [`Self::write`].
    pub fn write_continued(&mut self, gpu: &Gpu, ids: &[u32], positions: &[u32], ends: &[u32]) {
        assert!(ids.len() <= self.max_tokens && ends.len() <= self.max_sequences, "the batch exceeds the plan");
        // Kernels take positions from the first token of a sequence, which lies before the batch: below zero, wrapped.
        let span = |(token, position): (u32, &u32)| [token.wrapping_sub(*position), token + 1];
        self.ids.write_u32(gpu, ids);
        self.spans.write_u32(gpu, &(0..).zip(positions).flat_map(span).collect::<Vec<_>>());
        self.offsets.write_u32(gpu, &[&[0], ends].concat());
        (self.tokens, self.sequences) = (ids.len(), ends.len());
        self.branching = false;
    }

    /// Which tokens see each other.
    pub fn spans(&self) -> Spans<'_> {
        Spans { list: &self.spans, branching: self.branching }
    }

    /// Two values per token, of which the first is the place from which its position is counted.
    pub fn origins(&self) -> &Tensor {
        if self.branching { &self.origins } else { &self.spans }
    }

    /// The tables of the embedding gradient.
    pub fn token_groups(&self) -> Groups<'_> {
        Groups { unique: &self.unique, starts: &self.starts, rows: &self.rows }
    }

    /// Bytes of the lists, for the plan.
    pub fn list_bytes(max_tokens: usize, max_sequences: usize) -> u64 {
        4 * (10 * max_tokens + max_sequences + 2) as u64
    }

    /// Bytes of the table of angles, for the plan.
    pub fn angle_bytes(config: &ModelConfig, max_length: usize) -> u64 {
        4 * (max_length * 2 * (config.head_dim / 2).next_multiple_of(4)) as u64
    }
}

/// The lists of [`Batch::spans`] and [`Batch::origins`] for completions that share their prompts.
fn branching_spans(batch: &PackedCompletions) -> (Vec<u32>, Vec<u32>) {
    let (mut spans, mut gaps, mut origins) = (vec![], vec![], vec![]);
    for shared in batch.sequences.chunk_by(|a, b| a.prompt == b.prompt) {
        let (prompt, end) = (shared[0].prompt.clone(), shared[shared.len() - 1].completion.end);
        let own = shared.iter().map(|placed| (placed.completion.clone(), placed.completion.end));
        for (tokens, end) in std::iter::once((prompt.clone(), end)).chain(own) {
            // A completion sees its prompt and itself, and its positions continue from the prompt.
            let gap = [prompt.end.min(tokens.start), tokens.start];
            for _ in tokens {
                spans.extend([prompt.start, end]);
                gaps.extend(gap);
                origins.extend([prompt.start + gap[1] - gap[0], end]);
            }
        }
    }
    let words = |values: Vec<usize>| values.into_iter().map(|value| value as u32).collect::<Vec<_>>();
    (words([spans, gaps].concat()), words(origins))
}

/// First token and one past the last of the sequence of each token, two values per token; `offsets` are where sequences
/// start, and the number of tokens last.
pub(super) fn spans(offsets: &[u32]) -> Vec<u32> {
    let of_sequence = |pair: &[u32]| std::iter::repeat_n([pair[0], pair[1]], (pair[1] - pair[0]) as usize);
    offsets.windows(2).flat_map(of_sequence).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Completion;

    #[test]
    fn completions_that_share_a_prompt_see_it_and_themselves() {
        let of = |completion: &[u32]| Completion { tokens: [&[5, 6, 7], completion].concat(), prompt: 3 };
        let alone = Completion { tokens: vec![9, 9], prompt: 1 };
        let batch = PackedCompletions::sharing_prompts(&[of(&[1, 2]), of(&[3]), alone]).unwrap();
        assert_eq!(batch.tokens, [5, 6, 7, 1, 2, 3, 9, 9]);
        let (lists, origins) = branching_spans(&batch);
        let pairs = |list: &[u32]| list.chunks(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>();
        let (spans, gaps) = lists.split_at(16);
        assert_eq!(pairs(spans), [(0, 6), (0, 6), (0, 6), (0, 5), (0, 5), (0, 6), (6, 8), (6, 8)]);
        assert_eq!(pairs(gaps)[3..6], [(3, 3), (3, 3), (3, 5)]);
        assert!(pairs(gaps).iter().enumerate().all(|(token, (from, to))| from == to || token == 5));
        let positions: Vec<u32> = (0..).zip(pairs(&origins)).map(|(token, (origin, _))| token - origin).collect();
        assert_eq!(positions, [0, 1, 2, 3, 4, 3, 0, 1]);
    }
}
