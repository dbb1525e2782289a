//! A packed batch of token ids on the device.

use crate::Result;
use crate::gpu::{Dtype, Gpu, Tensor};
use crate::model::batch::{Capacity, spans};

use super::config::EncoderConfig;

/// Buffers for the lists of a packed batch, rewritten for every batch.
pub struct Batch {
    /// Tokens of the batch it holds now.
    pub tokens: usize,
    /// Sequences of the batch it holds now.
    pub sequences: usize,
    pub(super) ids: Tensor,
    pub(super) positions: Tensor,
    pub(super) types: Tensor,
    pub(super) spans: Tensor,
    pub(super) offsets: Tensor,
    config: EncoderConfig,
    capacity: Capacity,
}

impl Batch {
    /// Room for batches of up to this many tokens and sequences.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(gpu: &Gpu, config: &EncoderConfig, capacity: Capacity) -> Result<Self> {
        let list = |label, len| Tensor::workspace(gpu, label, len, Dtype::U32);
        Ok(Self {
            tokens: 0,
            sequences: 0,
            ids: list("token ids", capacity.tokens)?,
            positions: list("positions", capacity.tokens)?,
            types: list("token types", capacity.tokens)?,
            spans: list("spans", 2 * capacity.tokens)?,
            offsets: list("offsets", capacity.sequences + 1)?,
            config: config.clone(),
            capacity,
        })
    }

    /// Fills the buffers: token ids and token types end to end; `offsets` are where sequences start, and the number of
    /// tokens last.
    ///
    /// # Panics
    /// If the batch exceeds the room that was made, a sequence the positions, or an id its table: a fault of whoever
    /// tokenized or packed it.
    pub fn write(&mut self, gpu: &Gpu, ids: &[u32], types: &[u32], offsets: &[u32]) {
        let (config, sequences) = (&self.config, offsets.len() - 1);
        assert!(
            ids.len() <= self.capacity.tokens && sequences <= self.capacity.sequences,
            "the batch exceeds the plan"
        );
        let below = |list: &[u32], rows: usize| list.iter().all(|id| (*id as usize) < rows);
        assert!(below(ids, config.vocab_size) && below(types, config.type_vocab_size), "ids lie in their tables");
        let sequence = |pair: &[u32]| &ids[pair[0] as usize..pair[1] as usize];
        let lengths = offsets.windows(2).map(|pair| sequence(pair).len());
        assert!(
            lengths.into_iter().all(|length| (1..=config.max_length()).contains(&length)),
            "sequences have positions"
        );
        let positions: Vec<u32> = offsets.windows(2).flat_map(|pair| config.positions(sequence(pair))).collect();
        self.ids.write_u32(gpu, ids);
        self.positions.write_u32(gpu, &positions);
        self.types.write_u32(gpu, types);
        self.spans.write_u32(gpu, &spans(offsets));
        self.offsets.write_u32(gpu, offsets);
        (self.tokens, self.sequences) = (ids.len(), sequences);
    }

    /// Bytes of the lists, for the plan.
    pub(super) fn bytes(capacity: Capacity) -> u64 {
        4 * (5 * capacity.tokens + capacity.sequences + 1) as u64
    }
}
