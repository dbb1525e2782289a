//! A causal language model: the decoder and the matrix that gives every token of the vocabulary its logit.
//!
//! Weights only; its users (generation, log-probabilities) have activations and batches of their own. Cloning shares
//! the tensors, so that one model can be trained and sampled from at the same time.

use crate::Result;
use crate::gpu::{Gpu, Layout};

use super::activations::AdapterRoom;
use super::config::{ModelConfig, TensorSpec};
use super::decoder::Decoder;
use super::lora::{DropoutKey, Lora, LoraConfig};
use super::parameter::{Holding, Parameter, load_parameters};
use super::plan::MemoryPlan;
use super::weights::Checkpoint;

/// Name of the output matrix in a checkpoint that does not tie it to the embedding.
pub const OUTPUT: &str = "lm_head.weight";

/// The weights of a causal model on the device.
#[derive(Debug, Clone)]
pub struct Causal {
    /// Token ids to the residual stream after the last layer.
    pub decoder: Decoder,
    /// `None` where it is the token embedding.
    output: Option<Parameter>,
    adapters: Option<AdapterRoom>,
}

impl Causal {
    /// Loads a checkpoint with the adapters it may have, or draws new weights where it has none.
    ///
    /// # Errors
    /// A tensor that cannot be read or is not finite; no room on the device.
    pub fn load(gpu: &Gpu, checkpoint: &Checkpoint, holding: Holding, seed: u64) -> Result<Self> {
        let adapter = checkpoint.adapter().map(|adapter| &adapter.config);
        Self::load_with(gpu, checkpoint, holding, adapter.map(|config| (config, Holding::Inference)), seed)
    }

    /// Loads a checkpoint to train: adapters alone, those of the checkpoint or new ones, on weights that stay as they
    /// are; or all weights, in `holding`, if there is no `lora`.
    ///
    /// # Errors
    /// As for [`Self::load`].
    pub fn load_to_train(
        gpu: &Gpu,
        checkpoint: &Checkpoint,
        lora: Option<&Lora>,
        holding: Holding,
        seed: u64,
    ) -> Result<Self> {
        let Some(lora) = lora else { return Self::load(gpu, checkpoint, holding, seed) };
        Self::load_with(gpu, checkpoint, Holding::Frozen(lora.base), Some((&lora.config, Holding::Training)), seed)
    }

    fn load_with(
        gpu: &Gpu,
        checkpoint: &Checkpoint,
        holding: Holding,
        adapters: Option<(&LoraConfig, Holding)>,
        seed: u64,
    ) -> Result<Self> {
        let config = checkpoint.config();
        let mut decoder = Decoder::new(gpu, config, holding, &|name| holding.storage(checkpoint, name))?;
        if let Some((lora, holding)) = adapters {
            decoder.adapt(gpu, lora, holding)?;
        }
        let (vocabulary, hidden) = (Layout::plain(config.vocab_size), Layout::plain(config.hidden_size));
        let output = match config.tie_word_embeddings {
            true => None,
            false => {
                let dtype = holding.storage(checkpoint, OUTPUT);
                Some(Parameter::matrix(gpu, OUTPUT.into(), vocabulary, hidden, holding, dtype)?)
            }
        };
        let causal = Self { decoder, output, adapters: adapters.map(|(lora, _)| AdapterRoom::of(lora)) };
        load_parameters(gpu, checkpoint, causal.parameters(), seed)?;
        Ok(causal)
    }

    /// Every parameter, the output matrix last where it is one of its own.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.decoder.parameters().chain(&self.output)
    }

    /// Those that are trained.
    pub fn trained(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters().filter(|parameter| !parameter.frozen)
    }

    /// The room that passes need for its adapters, where it has any.
    pub fn adapters(&self) -> Option<AdapterRoom> {
        self.adapters
    }

    /// The same model with its adapters off; the tensors are shared.
    pub fn without_adapters(&self) -> Self {
        Self { decoder: self.decoder.without_adapters(), adapters: None, ..self.clone() }
    }

    /// The same model in passes that drop a share of the adapters' inputs; the tensors are shared.
    pub fn with_dropout(&self, probability: f32, key: &DropoutKey) -> Self {
        Self { decoder: self.decoder.with_dropout(probability, key), ..self.clone() }
    }

    /// `[vocabulary, hidden]`: the output matrix.
    pub fn output(&self) -> &Parameter {
        self.output.as_ref().unwrap_or_else(|| self.decoder.embedding())
    }

    /// Adds what [`Self::load`] holds, and training for it, to a plan.
    pub fn add_to(plan: &mut MemoryPlan, checkpoint: &Checkpoint, holding: Holding) {
        Self::add_weights_to(plan, checkpoint, holding);
        if let Some(adapter) = checkpoint.adapter() {
            plan.add_adapters(checkpoint.config(), &adapter.config, false);
        }
    }

    /// Adds what [`Self::load_to_train`] holds, and training for it, to a plan.
    pub fn add_to_train(plan: &mut MemoryPlan, checkpoint: &Checkpoint, lora: Option<&Lora>, holding: Holding) {
        let Some(lora) = lora else { return Self::add_to(plan, checkpoint, holding) };
        Self::add_weights_to(plan, checkpoint, Holding::Frozen(lora.base));
        plan.add_adapters(checkpoint.config(), &lora.config, true);
    }

    fn add_weights_to(plan: &mut MemoryPlan, checkpoint: &Checkpoint, holding: Holding) {
        for spec in tensors(checkpoint.config()) {
            plan.add_parameter(checkpoint, &spec, holding);
        }
    }
}

/// Every tensor of a causal model.
fn tensors(config: &ModelConfig) -> Vec<TensorSpec> {
    let mut tensors = config.tensors();
    if !config.tie_word_embeddings {
        tensors.push(TensorSpec { name: OUTPUT.into(), shape: vec![config.vocab_size, config.hidden_size] });
    }
    tensors
}
