//! A sequence classifier: decoder, last-token pooling by position, final norm, score head.

use crate::Result;
use crate::data::Packed;
use crate::gpu::{Gpu, Layout, Recorder, Recording, Tensor};
use crate::kernels::pooling::{self, Pooling};
use crate::kernels::rms_norm;

use super::activations::{AdapterRoom, Checkpointing, Keeping, Rows, Slot};
use super::batch::{Batch, Capacity};
use super::config::{ModelConfig, TensorSpec};
use super::decoder::{Decoder, norm_backward};
use super::linear::Linear;
use super::lora::{DropoutKey, Lora, LoraConfig};
use super::parameter::{Holding, Parameter, draw_parameters, load_parameters};
use super::plan::MemoryPlan;
use super::weights::Checkpoint;
use super::workspace::{Room, Workspace};

/// Name of the head's weight in a checkpoint.
pub const HEAD: &str = "score.weight";
/// Name of the head's bias, which few checkpoints have.
pub const HEAD_BIAS: &str = "score.bias";
/// Name of CORAL's biases among the parameters.
const HEAD_BIASES: &str = "score.biases";

/// How a model is loaded.
#[derive(Debug, Clone)]
pub struct Loading {
    /// The tensors held for each parameter.
    pub holding: Holding,
    /// The activations that the backward pass recomputes.
    pub checkpointing: Checkpointing,
    /// Rows of the head.
    pub logits: usize,
    /// Whether the head is initialized anew, even if the checkpoint has one that fits.
    pub new_head: bool,
    /// CORAL's biases, one a threshold; empty for other heads.
    pub biases: Vec<f32>,
    /// Adapters to train instead of the weights; those of the checkpoint are there for inference anyway.
    pub lora: Option<Lora>,
    /// Seed of what the checkpoint does not have.
    pub seed: u64,
    /// Largest batch.
    pub capacity: Capacity,
}

impl Loading {
    fn keeping(&self, checkpoint: &Checkpoint) -> Keeping {
        let adapters = self.adapters(checkpoint).map(AdapterRoom::of);
        Keeping { adapters, ..Keeping::of(self.holding, self.checkpointing) }
    }

    /// The adapters, trained or not.
    fn adapters<'a>(&'a self, checkpoint: &'a Checkpoint) -> Option<&'a LoraConfig> {
        let trained = self.lora.as_ref().map(|lora| &lora.config);
        trained.or_else(|| checkpoint.adapter().map(|adapter| &adapter.config))
    }

    /// How the weights under adapters are held.
    fn base(&self) -> Holding {
        match &self.lora {
            Some(lora) if self.holding.trains() => Holding::Frozen(lora.base),
            _ => self.holding,
        }
    }

    /// How the head is held, which is trained with adapters, too: in f32, as it is small.
    fn head(&self) -> Holding {
        if self.lora.is_some() && self.holding.trains() { Holding::Training } else { self.holding }
    }

    /// Whether the head of a checkpoint is kept.
    fn keeps_head(&self, checkpoint: &Checkpoint) -> bool {
        let expected = [self.logits, checkpoint.config().hidden_size];
        !self.new_head && checkpoint.info(HEAD).is_some_and(|info| info.shape == expected)
    }

    /// Whether the head has a bias: one that is kept and has one.
    fn head_bias(&self, checkpoint: &Checkpoint) -> bool {
        self.keeps_head(checkpoint) && checkpoint.info(HEAD_BIAS).is_some_and(|info| info.shape == [self.logits])
    }

    fn room(&self) -> Room {
        Room { capacity: self.capacity, predictions: 0 }
    }
}

/// The lines of the head in the table of activations.
fn head_slots(config: &ModelConfig, loading: &Loading) -> Vec<Slot> {
    let (hidden, logits) = (Layout::plain(config.hidden_size), Layout::plain(loading.logits));
    let line = |name, columns| Slot::single(name, Rows::Sequences, columns);
    let mut slots = vec![
        line("pooled", hidden),
        line("pooled_norm", hidden),
        line("pooled_rstd", Layout::plain(1)),
        line("logits", logits),
    ];
    if loading.holding.trains() {
        slots.extend([line("d_logits", logits), line("d_pooled_norm", hidden), line("d_pooled", hidden)]);
    }
    slots
}

/// A reward model on the device, with room for its batches.
pub struct Classifier {
    decoder: Decoder,
    /// The same weights as passes before a backward pass use them: with dropout, if there is any.
    trained: Decoder,
    dropout: Option<DropoutKey>,
    lora: Option<LoraConfig>,
    head: Linear,
    biases: Option<Parameter>,
    /// The batch that the next replay works on, and what the passes leave.
    pub workspace: Workspace,
}

/// The device memory of a model, from the same tables as allocation.
pub fn plan(config: &ModelConfig, checkpoint: &Checkpoint, loading: &Loading) -> MemoryPlan {
    let mut plan = MemoryPlan::default();
    let head = TensorSpec { name: HEAD.to_owned(), shape: vec![loading.logits, config.hidden_size] };
    for spec in &config.tensors() {
        plan.add_parameter(checkpoint, spec, loading.base());
    }
    plan.add_parameter(checkpoint, &head, loading.head());
    if loading.head_bias(checkpoint) {
        plan.add_parameter(
            checkpoint,
            &TensorSpec { name: HEAD_BIAS.into(), shape: vec![loading.logits] },
            loading.head(),
        );
    }
    if let Some(adapters) = loading.adapters(checkpoint) {
        plan.add_adapters(config, adapters, loading.holding.trains());
    }
    Workspace::add_to(&mut plan, config, loading.keeping(checkpoint), head_slots(config, loading), loading.room());
    plan
}

impl Classifier {
    /// Loads a checkpoint, or draws new weights where it has none. A head of the right shape is kept unless a new one is
    /// wanted, any other is replaced by a new one.
    ///
    /// # Errors
    /// A tensor is missing, of another shape than the configuration says, or not finite; the device has no room.
    pub fn load(gpu: &Gpu, checkpoint: &Checkpoint, loading: &Loading) -> Result<Self> {
        let config = checkpoint.config();
        let Loading { logits, seed, .. } = *loading;
        let mut decoder = Decoder::new(gpu, config, loading.base(), &|name| loading.base().storage(checkpoint, name))?;
        let adapters = loading.adapters(checkpoint);
        if let Some(adapters) = adapters {
            decoder.adapt(gpu, adapters, loading.holding)?;
        }
        let holding = loading.head();
        let name = HEAD.trim_end_matches(".weight");
        let hidden = Layout::plain(config.hidden_size);
        let head = {
            let with_bias = loading.head_bias(checkpoint);
            let storage = holding.storage(checkpoint, HEAD);
            Linear::new(gpu, name, Layout::plain(logits), hidden, with_bias, holding, storage)?
        };
        let biases = match loading.biases.len() {
            0 => None,
            count => Some(Parameter::vector(gpu, HEAD_BIASES.into(), Layout::plain(count), holding)?),
        };
        load_parameters(gpu, checkpoint, decoder.parameters(), seed)?;
        match loading.new_head {
            true => draw_parameters(gpu, checkpoint.config(), head.parameters(), seed)?,
            false => load_parameters(gpu, checkpoint, head.parameters(), seed)?,
        }
        if let Some(biases) = &biases {
            biases.write(gpu, &loading.biases)?;
        }
        let slots = head_slots(config, loading);
        let workspace = Workspace::new(gpu, config, loading.keeping(checkpoint), slots, loading.room())?;
        let probability = adapters.filter(|_| loading.holding.trains()).map_or(0.0, |adapters| adapters.dropout as f32);
        let dropout = (probability > 0.0).then(|| DropoutKey::new(gpu, seed)).transpose()?;
        let trained = match &dropout {
            Some(key) => decoder.with_dropout(probability, key),
            None => decoder.clone(),
        };
        let lora = loading.lora.as_ref().map(|lora| lora.config.clone());
        Ok(Self { decoder, trained, dropout, lora, head, biases, workspace })
    }

    /// Every parameter, the head last.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.checkpoint_parameters().chain(&self.biases)
    }

    /// Those that are trained.
    pub fn trained_parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters().filter(|parameter| !parameter.frozen)
    }

    /// The parameters that a Hugging Face checkpoint has a place for: all but CORAL's biases.
    pub fn checkpoint_parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.decoder.parameters().chain(self.head.parameters())
    }

    /// The adapters that are trained.
    pub fn lora(&self) -> Option<&LoraConfig> {
        self.lora.as_ref()
    }

    /// CORAL's biases.
    pub fn biases(&self) -> Option<&Parameter> {
        self.biases.as_ref()
    }

    /// `[sequences, logits]` of the last forward pass.
    pub fn logits(&self) -> &Tensor {
        self.workspace.get("logits")
    }

    /// The buffer for the gradient of the logits.
    pub fn d_logits(&self) -> &Tensor {
        self.workspace.get("d_logits")
    }

    /// Token ids to logits.
    ///
    /// # Errors
    /// The batch exceeds the capacity that the model was loaded for.
    pub fn forward(&self, recorder: &mut Recorder) -> Result<()> {
        self.forward_through(recorder, &self.decoder)
    }

    /// As [`Self::forward`], before a backward pass: with dropout, if there is any.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn training_forward(&self, recorder: &mut Recorder) -> Result<()> {
        self.forward_through(recorder, &self.trained)
    }

    /// Draws the dropout masks of the next pass: those of a micro-batch of a step.
    pub fn draw_dropout(&self, gpu: &Gpu, step: u64, micro_batch: u64) {
        if let Some(key) = &self.dropout {
            key.draw(gpu, step, micro_batch);
        }
    }

    fn forward_through(&self, recorder: &mut Recorder, decoder: &Decoder) -> Result<()> {
        self.workspace.forward(recorder, decoder)?;
        self.pool(recorder)?;
        let get = |name| self.workspace.get(name);
        let (sequences, room) = (self.workspace.batch.sequences, self.workspace.activations());
        self.head.forward(recorder, sequences, get("pooled_norm"), get("logits"), None, room)
    }

    /// Last token of each sequence, normalised. The norm works on rows, so pooling first saves most of it.
    fn pool(&self, recorder: &mut Recorder) -> Result<()> {
        let get = |name| self.workspace.get(name);
        let Batch { tokens, sequences, offsets, .. } = &self.workspace.batch;
        let output = self.workspace.output(&self.decoder);
        pooling::forward(recorder, *tokens, *sequences, Pooling::Last, offsets, output, get("pooled"))?;
        let (norm, eps) = self.decoder.norm();
        rms_norm::forward(recorder, *sequences, get("pooled"), norm.used(), get("pooled_norm"), get("pooled_rstd"), eps)
    }

    /// From the gradient of the logits, after [`Self::training_forward`], to the gradients of all parameters that are
    /// trained, which are added to.
    ///
    /// # Errors
    /// As [`Self::forward`]; the model was loaded for inference.
    pub fn backward(&self, recorder: &mut Recorder) -> Result<()> {
        let get = |name| self.workspace.get(name);
        let Batch { tokens, sequences, offsets, .. } = &self.workspace.batch;
        let d_norm = get("d_pooled_norm");
        self.head.backward(
            recorder,
            *sequences,
            get("d_logits"),
            get("pooled_norm"),
            d_norm,
            false,
            self.workspace.chunks(),
            self.workspace.activations(),
        )?;
        let (norm, _) = self.decoder.norm();
        let (rstd, d_pooled) = (get("pooled_rstd"), get("d_pooled"));
        norm_backward(
            recorder,
            *sequences,
            d_norm,
            get("pooled"),
            norm,
            rstd,
            d_pooled,
            false,
            self.workspace.chunks(),
        )?;
        let d_residual = get("d_residual");
        pooling::backward(recorder, *tokens, *sequences, offsets, d_pooled, d_residual)?;
        self.workspace.backward(recorder, &self.trained)
    }

    /// Sets all gradients to zero.
    pub fn clear_gradients(&self, gpu: &Gpu) {
        gpu.clear(self.parameters().filter_map(|parameter| parameter.gradient.as_ref()));
    }
}

/// Logits of each sequence of a batch.
///
/// # Errors
/// The batch exceeds the capacity that the model was loaded for, or the device fails.
pub async fn logits(
    gpu: &Gpu,
    classifier: &mut Classifier,
    recording: &mut Recording,
    batch: &Packed,
) -> Result<Vec<Vec<f32>>> {
    classifier.workspace.batch.write(gpu, &batch.tokens, &batch.offsets);
    recording.clear();
    classifier.forward(&mut recording.recorder(gpu))?;
    recording.replay(gpu)?;
    let tensor = classifier.logits();
    let width = tensor.columns().len();
    let values = tensor.read(gpu).await?;
    Ok(values.chunks(width).take(batch.sequences()).map(<[f32]>::to_vec).collect())
}
