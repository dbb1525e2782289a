//! Everything that passes over a decoder need besides its weights: a batch, activations, scratch.

use crate::Result;
use crate::gpu::{Dtype, Gpu, Layout, Recorder, Tensor};
use crate::kernels::{loops, rms_norm};

use super::activations::{self, Activations, Checkpointing, Keeping, RowCounts, Slot};
use super::batch::{Batch, Capacity};
use super::config::ModelConfig;
use super::decoder::{self, Decoder, Pass};
use super::plan::MemoryPlan;

/// Room for the passes of one model.
pub struct Workspace {
    /// The batch that the next replay works on.
    pub batch: Batch,
    activations: Activations,
    chunks: Tensor,
    checkpointing: Checkpointing,
}

impl Workspace {
    /// Room for a decoder and for the lines that its head adds to the table of activations.
    ///
    /// # Errors
    /// The device has no room, or its driver would end the loops over sequences of that length.
    pub fn new(gpu: &Gpu, config: &ModelConfig, keeping: Keeping, head: Vec<Slot>, room: Room) -> Result<Self> {
        let Capacity { tokens, sequences, length } = room.capacity;
        let longest = decoder::longest(gpu, config, keeping.training);
        loops::check_length(gpu, length, longest, "a smaller `.max_length`")?;
        let table = [activations::table(config, keeping), head].concat();
        Ok(Self {
            batch: Batch::new(gpu, config, tokens, sequences, length)?,
            activations: Activations::allocate(gpu, &table, room.counts())?,
            chunks: Tensor::workspace(gpu, "row sums", chunk_values(config, tokens), Dtype::F32)?,
            checkpointing: keeping.checkpointing,
        })
    }

    /// Adds what [`Self::new`] allocates to a plan.
    pub fn add_to(plan: &mut MemoryPlan, config: &ModelConfig, keeping: Keeping, head: Vec<Slot>, room: Room) {
        let Capacity { tokens, sequences, length } = room.capacity;
        let table = [activations::table(config, keeping), head].concat();
        plan.activations += activations::bytes(&table, room.counts()) + Batch::angle_bytes(config, length);
        plan.workspace += Batch::list_bytes(tokens, sequences) + 4 * chunk_values(config, tokens) as u64;
        plan.tokens = tokens;
    }

    /// The buffer of a line of the table that does not belong to a layer.
    pub fn get(&self, name: &str) -> &Tensor {
        self.activations.get(name)
    }

    /// Every buffer of the table.
    pub fn activations(&self) -> &Activations {
        &self.activations
    }

    /// Scratch for sums over rows.
    pub fn chunks(&self) -> &Tensor {
        &self.chunks
    }

    /// The residual stream after the last layer.
    pub fn output(&self, decoder: &Decoder) -> &Tensor {
        decoder.output(&self.activations)
    }

    /// Token ids to the residual stream after the last layer.
    ///
    /// # Errors
    /// The batch exceeds the room that was made.
    pub fn forward(&self, recorder: &mut Recorder, decoder: &Decoder) -> Result<()> {
        decoder.forward(recorder, self.pass())
    }

    /// From the gradient of that stream, in `d_residual`, to the gradients of all parameters of the decoder but its norm.
    ///
    /// # Errors
    /// As [`Self::forward`]; a parameter that is trained was loaded without room for a gradient.
    pub fn backward(&self, recorder: &mut Recorder, decoder: &Decoder) -> Result<()> {
        decoder.backward(recorder, self.pass(), self.checkpointing)
    }

    fn pass(&self) -> Pass<'_> {
        Pass { batch: &self.batch, activations: &self.activations, chunks: &self.chunks }
    }
}

/// How large the batches of a model may be.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Tokens and sequences.
    pub capacity: Capacity,
    /// Tokens whose log-probabilities are asked for.
    pub predictions: usize,
}

impl Room {
    fn counts(self) -> RowCounts {
        RowCounts { predictions: self.predictions, ..self.capacity.rows() }
    }
}

/// Scratch for sums over rows: chunks of 32 rows of the widest bias, or of the heads of a q/k norm.
fn chunk_values(config: &ModelConfig, tokens: usize) -> usize {
    let rows = |rows: usize| rows.div_ceil(rms_norm::CHUNK);
    let queries = Layout::heads(config.num_attention_heads, config.head_dim).padded();
    let widest = queries.max(config.hidden_size.max(config.intermediate_size).next_multiple_of(4));
    let heads = rows(tokens * config.num_attention_heads) * Layout::heads(1, config.head_dim).padded();
    (rows(tokens) * widest).max(heads)
}
