//! A policy: a causal model that computes log-probabilities of completions, and learns from gradients with respect to
//! them.
//!
//! Only the rows of the residual stream that predict a token of a completion go through the last norm and the output
//! matrix, one chunk of the vocabulary at a time. The backward pass recomputes each chunk of logits except the last,
//! which is still there.

use crate::Result;
use crate::data::{Completion, PackedCompletions};
use crate::gpu::{Dtype, Gpu, Layout, Recorder, Recording, Tensor, VIEW_ROWS};
use crate::kernels::log_prob::{self, Rows};
use crate::kernels::product::{self, Epilogue};
use crate::kernels::{gather, rms_norm};

use super::activations::{self, AdapterRoom, Checkpointing, Keeping, Slot};
use super::batch::Capacity;
use super::causal::Causal;
use super::config::ModelConfig;
use super::decoder::norm_backward;
use super::parameter::{Holding, gradient};
use super::plan::MemoryPlan;
use super::predictions::Predictions;
use super::workspace::{Room, Workspace};

/// Default bytes of logits that are held at once: chunks are wide enough for fast products and small compared with the
/// activations.
pub const LOGIT_BYTES: usize = 16 << 20;

/// How a policy is run.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How its parameters are held, which says whether there will be backward passes, and in which precision.
    pub holding: Holding,
    /// The activations that the backward pass recomputes.
    pub checkpointing: Checkpointing,
    /// Room for adapters, where the model has any.
    pub adapters: Option<AdapterRoom>,
    /// Largest batch.
    pub capacity: Capacity,
    /// Maximum completion tokens in a batch.
    pub predictions: usize,
    /// Bytes of logits that are held at once.
    pub logit_bytes: usize,
    /// The temperature of the logits.
    pub temperature: f32,
}

impl Settings {
    fn keeping(&self) -> Keeping {
        Keeping { adapters: self.adapters, ..Keeping::of(self.holding, self.checkpointing) }
    }

    fn room(&self) -> Room {
        Room { capacity: self.capacity, predictions: self.predictions }
    }

    /// The lines of the head in the table of activations.
    fn head_slots(&self, config: &ModelConfig) -> Vec<Slot> {
        let hidden = Layout::plain(config.hidden_size);
        let line = |name, columns| Slot::single(name, activations::Rows::Predictions, columns);
        let mut slots = vec![
            line("predicting", hidden),
            line("predicting_norm", hidden),
            line("predicting_rstd", Layout::plain(1)),
            line("prediction_stats", Layout::plain(4)),
            line("chunk_logits", Layout::plain(self.chunk(config))),
        ];
        if self.keeping().training {
            slots.extend([line("d_predicting_norm", hidden), line("d_predicting", hidden)]);
        }
        slots
    }

    /// Columns of a chunk of the vocabulary: as many as the bytes hold, in whole views of the output matrix.
    fn chunk(&self, config: &ModelConfig) -> usize {
        let columns = self.logit_bytes / 4 / self.predictions.max(1) / VIEW_ROWS * VIEW_ROWS;
        columns.min(log_prob::MAX_COLUMNS).clamp(VIEW_ROWS, config.vocab_size.next_multiple_of(VIEW_ROWS))
    }

    /// Adds what [`Policy::new`] allocates to a plan, beside the weights.
    pub fn add_to(&self, plan: &mut MemoryPlan, config: &ModelConfig) {
        let Capacity { tokens, sequences, .. } = self.capacity;
        Workspace::add_to(plan, config, self.keeping(), self.head_slots(config), self.room());
        plan.workspace += Predictions::bytes(tokens, sequences, self.predictions) + 8 * sequences as u64;
    }
}

/// A policy's log-probability of one completion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogProb {
    /// Sum over its tokens of their log-probabilities.
    pub log_prob: f32,
    /// Sum over its tokens of the entropies of the distributions that they were drawn from.
    pub entropy: f32,
    /// Number of its tokens.
    pub tokens: usize,
}

/// A causal model with room for batches of completions.
pub struct Policy {
    /// The weights.
    pub causal: Causal,
    workspace: Workspace,
    predictions: Predictions,
    chunk: usize,
    scale: f32,
    shares_prompts: bool,
    sums: Tensor,
    evaluation: Recording,
    evaluated: Option<Shape>,
}

/// Everything that a recording depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    tokens: usize,
    sequences: usize,
    predictions: usize,
    branching: bool,
}

/// Tokens of the vocabulary that pass at once: the first of them, their rows of the output matrix, room for their logits.
struct Chunk {
    first: usize,
    weight: Tensor,
    logits: Tensor,
}

impl Policy {
    /// Makes room for the batches of a model.
    ///
    /// # Errors
    /// No room on the device.
    pub fn new(gpu: &Gpu, config: &ModelConfig, causal: Causal, settings: &Settings) -> Result<Self> {
        let Capacity { tokens, sequences, .. } = settings.capacity;
        let (keeping, head) = (settings.keeping(), settings.head_slots(config));
        Ok(Self {
            causal,
            workspace: Workspace::new(gpu, config, keeping, head, settings.room())?,
            predictions: Predictions::new(gpu, tokens, sequences, settings.predictions)?,
            chunk: settings.chunk(config),
            scale: 1.0 / settings.temperature,
            shares_prompts: config.shares_prompts(),
            sums: Tensor::workspace(gpu, "log-probabilities", 2 * sequences, Dtype::F32)?,
            evaluation: Recording::new(),
            evaluated: None,
        })
    }

    /// Packs completions for this model: those that follow one with the same prompt share its tokens, unless the model has
    /// sliding windows.
    ///
    /// # Errors
    /// A prompt or a completion is empty.
    pub fn pack<'a>(&self, completions: impl IntoIterator<Item = &'a Completion>) -> Result<PackedCompletions> {
        match self.shares_prompts {
            true => PackedCompletions::sharing_prompts(completions),
            false => PackedCompletions::new(completions),
        }
    }

    /// Uploads the batch that the next replay works on, and returns its shape: batches of one shape share a recording.
    pub fn write(&mut self, gpu: &Gpu, batch: &PackedCompletions) -> Shape {
        let branching = self.workspace.batch.write_completions(gpu, batch);
        self.predictions.write(gpu, batch);
        let (tokens, sequences) = (batch.tokens.len(), batch.sequences.len());
        Shape { tokens, sequences, predictions: self.predictions.count, branching }
    }

    /// The starts of each sequence's predicted tokens, and the end of the last one's.
    pub fn offsets(&self) -> &Tensor {
        &self.predictions.offsets
    }

    /// Token ids to `sums[sequences, 2]`: the summed log-probabilities of the tokens of each completion, and the summed
    /// entropies of the distributions that they were drawn from.
    ///
    /// # Errors
    /// The batch exceeds the capacity that the policy was loaded for, or `sums` has no room for its sequences.
    pub fn forward(&self, recorder: &mut Recorder, sums: &Tensor) -> Result<()> {
        let get = |name| self.workspace.get(name);
        let (tokens, count) = (self.workspace.batch.tokens, self.predictions.count);
        self.workspace.forward(recorder, &self.causal.decoder)?;
        let output = self.workspace.output(&self.causal.decoder);
        gather::forward(recorder, tokens, count, &self.predictions.sources, output, get("predicting"))?;
        let (norm, eps) = self.causal.decoder.norm();
        let (normed, rstd) = (get("predicting_norm"), get("predicting_rstd"));
        rms_norm::forward(recorder, count, get("predicting"), norm.used(), normed, rstd, eps)?;
        for Chunk { first, weight, logits } in self.chunks(self.causal.output().used())? {
            product::nt(recorder, count, normed, &weight, &logits, Epilogue::default())?;
            log_prob::forward(recorder, &self.rows(), first, &logits)?;
        }
        log_prob::sequences(recorder, &self.rows(), sums)
    }

    /// From `coefficients[sequences]`, the gradient of a loss by the summed log-probability of each completion, to the
    /// gradients of all parameters, which are added to. Follows [`Self::forward`] on the same batch.
    ///
    /// # Errors
    /// As [`Self::forward`]; the policy was loaded for inference.
    pub fn backward(&self, recorder: &mut Recorder, coefficients: &Tensor) -> Result<()> {
        let get = |name| self.workspace.get(name);
        let (tokens, count) = (self.workspace.batch.tokens, self.predictions.count);
        let (normed, d_norm) = (get("predicting_norm"), get("d_predicting_norm"));
        let output = self.causal.output();
        let gradients = match output.frozen {
            true => vec![],
            false => self.chunks(gradient(output)?)?,
        };
        let chunks = self.chunks(self.causal.output().used())?;
        // From the last chunk, whose logits the forward pass has left.
        let last = chunks.len().saturating_sub(1);
        for (index, chunk) in chunks.iter().enumerate().rev() {
            if index < last {
                product::nt(recorder, count, normed, &chunk.weight, &chunk.logits, Epilogue::default())?;
            }
            log_prob::backward(recorder, &self.rows(), chunk.first, coefficients, &chunk.logits)?;
            product::nn(recorder, count, &chunk.logits, &chunk.weight, d_norm, index < last)?;
            if let Some(gradient) = gradients.get(index) {
                product::tn(recorder, count, &chunk.logits, normed, &gradient.weight)?;
            }
        }
        let (norm, _) = self.causal.decoder.norm();
        let (rstd, d_predicting) = (get("predicting_rstd"), get("d_predicting"));
        let scratch = self.workspace.chunks();
        norm_backward(recorder, count, d_norm, get("predicting"), norm, rstd, d_predicting, false, scratch)?;
        let uses = [&self.predictions.starts, &self.predictions.uses];
        gather::backward(recorder, tokens, count, uses, d_predicting, get("d_residual"))?;
        self.workspace.backward(recorder, &self.causal.decoder)
    }

    /// The current policy's log-probability of every completion of a batch.
    ///
    /// # Errors
    /// The batch exceeds the capacity that the policy was loaded for, or the device fails.
    pub async fn log_probs(&mut self, gpu: &Gpu, batch: &PackedCompletions) -> Result<Vec<LogProb>> {
        let shape = self.write(gpu, batch);
        if self.evaluated != Some(shape) {
            let mut recording = std::mem::take(&mut self.evaluation);
            self.evaluated = None;
            recording.clear();
            self.forward(&mut recording.recorder(gpu), &self.sums)?;
            self.evaluation = recording;
            self.evaluated = Some(shape);
        }
        self.evaluation.replay(gpu)?;
        log_probs(gpu, &self.sums, batch).await
    }

    /// Sets all gradients to zero.
    pub fn clear_gradients(&self, gpu: &Gpu) {
        gpu.clear(self.causal.parameters().filter_map(|parameter| parameter.gradient.as_ref()));
    }

    fn rows(&self) -> Rows<'_> {
        Rows {
            rows: self.predictions.count,
            sequences: self.workspace.batch.sequences,
            targets: &self.predictions.targets,
            offsets: &self.predictions.offsets,
            stats: self.workspace.get("prediction_stats"),
            scale: self.scale,
        }
    }

    /// The chunks of a matrix with a row for every token of the vocabulary.
    fn chunks(&self, matrix: &Tensor) -> Result<Vec<Chunk>> {
        let vocabulary = matrix.rows().len();
        let chunk = |first: usize| {
            let end = vocabulary.min(first + self.chunk);
            let logits =
                self.workspace.get("chunk_logits").reshaped(self.predictions.count, Layout::plain(end - first))?;
            Ok(Chunk { first, weight: matrix.rows_view(first, end)?, logits })
        };
        (0..vocabulary).step_by(self.chunk).map(chunk).collect()
    }
}

/// Reads what [`Policy::forward`] has left in `sums` for a batch.
///
/// # Errors
/// The device fails.
pub async fn log_probs(gpu: &Gpu, sums: &Tensor, batch: &PackedCompletions) -> Result<Vec<LogProb>> {
    let values = sums.read(gpu).await?;
    let rows = values.chunks_exact(2).zip(&batch.sequences);
    Ok(rows.map(|(of, placed)| LogProb { log_prob: of[0], entropy: of[1], tokens: placed.completion.len() }).collect())
}
