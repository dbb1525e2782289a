//! A sequence classifier: decoder, last-token pooling by position, final norm, score head.

use crate::Result;
use crate::gpu::{Dtype, Gpu, Layout, Recorder, Tensor};
use crate::kernels::pooling::{self, Pooling};
use crate::kernels::product::{self, Epilogue};
use crate::kernels::rms_norm;
use crate::train::Checkpointing;

use super::activations::{self, Activations, Keeping};
use super::batch::Batch;
use super::config::{ModelConfig, TensorSpec};
use super::decoder::{Decoder, Pass, norm_backward};
use super::linear::Linear;
use super::parameter::{Holding, Parameter, load_parameters, stored};
use super::plan::MemoryPlan;
use super::weights::Checkpoint;

/// Name of the head's weight in a checkpoint.
pub const HEAD: &str = "score.weight";
/// Name of CORAL's biases among the parameters.
const HEAD_BIASES: &str = "score.biases";

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

/// How a model is loaded.
#[derive(Debug, Clone)]
pub struct Loading {
    /// What is held for each parameter.
    pub holding: Holding,
    /// What the backward pass computes again.
    pub checkpointing: Checkpointing,
    /// Rows of the head.
    pub logits: usize,
    /// CORAL's biases, one a threshold; empty for other heads.
    pub biases: Vec<f32>,
    /// Seed of what the checkpoint does not have.
    pub seed: u64,
    /// Largest batch.
    pub capacity: Capacity,
}

impl Loading {
    fn keeping(&self) -> Keeping {
        Keeping {
            training: self.holding != Holding::Inference,
            dtype: if self.holding == Holding::MixedTraining { Dtype::Bf16 } else { Dtype::F32 },
            checkpointing: self.checkpointing,
            logits: self.logits,
        }
    }
}

/// A reward model on the device, with room for its batches.
pub struct Classifier {
    decoder: Decoder,
    head: Linear,
    biases: Option<Parameter>,
    checkpointing: Checkpointing,
    chunks: Tensor,
    activations: Activations,
    /// The batch that the next replay works on.
    pub batch: Batch,
}

/// Scratch for sums over rows: chunks of 32 rows of the widest bias, or of the heads of a q/k norm.
fn chunk_values(config: &ModelConfig, capacity: Capacity) -> usize {
    let rows = |rows: usize| rows.div_ceil(rms_norm::CHUNK);
    let queries = Layout::heads(config.num_attention_heads, config.head_dim).padded();
    let widest = queries.max(config.hidden_size.max(config.intermediate_size).next_multiple_of(4));
    let heads = rows(capacity.tokens * config.num_attention_heads) * Layout::heads(1, config.head_dim).padded();
    (rows(capacity.tokens) * widest).max(heads)
}

/// What a model will hold on the device, from the tables that allocation reads too.
pub fn plan(config: &ModelConfig, checkpoint: &Checkpoint, loading: &Loading) -> MemoryPlan {
    let capacity = loading.capacity;
    let mut plan = MemoryPlan { tokens: capacity.tokens, ..Default::default() };
    let head = TensorSpec { name: HEAD.to_owned(), shape: vec![loading.logits, config.hidden_size] };
    for spec in config.tensors().iter().chain([&head]) {
        plan.add_parameter(checkpoint, spec, loading.holding);
    }
    let table = activations::table(config, loading.keeping());
    plan.activations =
        activations::bytes(&table, capacity.tokens, capacity.sequences) + Batch::angle_bytes(config, capacity.length);
    plan.workspace = Batch::list_bytes(capacity.tokens, capacity.sequences) + 4 * chunk_values(config, capacity) as u64;
    plan
}

impl Classifier {
    /// Loads a checkpoint, or draws new weights where it has none. A head of the right shape is kept, any other is
    /// replaced by a new one.
    pub fn load(gpu: &Gpu, checkpoint: &Checkpoint, loading: &Loading) -> Result<Self> {
        let config = checkpoint.config();
        let Loading { holding, logits, seed, capacity, .. } = loading.clone();
        let decoder = Decoder::new(gpu, config, holding, &|name| stored(checkpoint, name))?;
        let name = HEAD.trim_end_matches(".weight");
        let hidden = Layout::plain(config.hidden_size);
        let head = Linear::new(gpu, name, Layout::plain(logits), hidden, false, holding, stored(checkpoint, HEAD))?;
        let biases = match loading.biases.len() {
            0 => None,
            count => Some(Parameter::vector(gpu, HEAD_BIASES.into(), Layout::plain(count), holding)?),
        };
        let parameters = decoder.parameters().chain(head.parameters());
        load_parameters(gpu, checkpoint, parameters, seed)?;
        if let Some(biases) = &biases {
            biases.write(gpu, &loading.biases)?;
        }
        let table = activations::table(config, loading.keeping());
        Ok(Self {
            decoder,
            head,
            biases,
            checkpointing: loading.checkpointing,
            chunks: Tensor::workspace(gpu, "row sums", chunk_values(config, capacity), Dtype::F32)?,
            activations: Activations::allocate(gpu, &table, capacity.tokens, capacity.sequences)?,
            batch: Batch::new(gpu, config, capacity.tokens, capacity.sequences, capacity.length)?,
        })
    }

    /// Every parameter, the head last.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.checkpoint_parameters().chain(&self.biases)
    }

    /// The parameters that a Hugging Face checkpoint has a place for: all but CORAL's biases.
    pub fn checkpoint_parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.decoder.parameters().chain(self.head.parameters())
    }

    /// CORAL's biases.
    pub fn biases(&self) -> Option<&Parameter> {
        self.biases.as_ref()
    }

    /// `[sequences, logits]` of the last forward pass.
    pub fn logits(&self) -> &Tensor {
        self.activations.get("logits")
    }

    /// Where the loss leaves the gradient of the logits.
    pub fn d_logits(&self) -> &Tensor {
        self.activations.get("d_logits")
    }

    fn pass(&self) -> Pass<'_> {
        Pass { batch: &self.batch, activations: &self.activations, chunks: &self.chunks }
    }

    /// Token ids to logits.
    pub fn forward(&self, recorder: &mut Recorder) -> Result<()> {
        self.decoder.forward(recorder, self.pass())?;
        self.pool(recorder)?;
        let get = |name| self.activations.get(name);
        self.head.forward(recorder, self.batch.sequences, get("pooled_norm"), get("logits"), None)
    }

    /// Last token of each sequence, normalised. The norm works on rows, so pooling first saves most of it.
    fn pool(&self, recorder: &mut Recorder) -> Result<()> {
        let get = |name| self.activations.get(name);
        let Batch { tokens, sequences, offsets, .. } = &self.batch;
        let output = self.decoder.output(&self.activations);
        pooling::forward(recorder, *tokens, *sequences, Pooling::Last, offsets, output, get("pooled"))?;
        let (norm, eps) = self.decoder.norm();
        rms_norm::forward(recorder, *sequences, get("pooled"), norm.used(), get("pooled_norm"), get("pooled_rstd"), eps)
    }

    /// Vocabulary logits of the last token of each sequence after a forward pass, with the embedding or a matrix of
    /// its shape as output matrix: `[sequences, vocabulary]`.
    pub fn last_token_logits(&self, recorder: &mut Recorder, output: Option<&Tensor>) -> Result<Tensor> {
        let weight = output.unwrap_or_else(|| self.decoder.embedding().used());
        let logits =
            Tensor::activation(recorder.gpu, "vocabulary logits", self.batch.sequences, weight.rows(), Dtype::F32)?;
        let pooled = self.activations.get("pooled_norm");
        product::nt(recorder, self.batch.sequences, pooled, weight, &logits, Epilogue::default())?;
        Ok(logits)
    }

    /// From the gradient of the logits to the gradients of all parameters, which are added to.
    pub fn backward(&self, recorder: &mut Recorder) -> Result<()> {
        let get = |name| self.activations.get(name);
        let Batch { tokens, sequences, offsets, .. } = &self.batch;
        let d_norm = get("d_pooled_norm");
        self.head.backward(recorder, *sequences, get("d_logits"), get("pooled_norm"), d_norm, false, &self.chunks)?;
        let (norm, _) = self.decoder.norm();
        let (rstd, d_pooled) = (get("pooled_rstd"), get("d_pooled"));
        norm_backward(recorder, *sequences, d_norm, get("pooled"), norm, rstd, d_pooled, false, &self.chunks)?;
        let d_residual = get("d_residual");
        pooling::backward(recorder, *tokens, *sequences, Pooling::Last, offsets, d_pooled, d_residual)?;
        self.decoder.backward(recorder, self.pass(), self.checkpointing)
    }

    /// Sets all gradients to zero.
    pub fn clear_gradients(&self, gpu: &Gpu) {
        gpu.clear(self.parameters().filter_map(|parameter| parameter.gradient.as_ref()));
    }
}
