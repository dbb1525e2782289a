//! A causal language model: the decoder and the matrix that gives every token of the vocabulary its logit.
//!
//! Weights alone; what runs them (generation, log-probabilities) brings activations and batches of its own. Cloning
//! shares the tensors, so that one model can be trained and sampled from at once.

use crate::Result;
use crate::gpu::{Gpu, Layout};

use super::config::{ModelConfig, TensorSpec};
use super::decoder::Decoder;
use super::parameter::{Holding, Parameter, load_parameters, stored};
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
}

impl Causal {
    /// Loads a checkpoint, or draws new weights where it has none.
    ///
    /// # Errors
    /// A tensor that cannot be read or is not finite; no room on the device.
    pub fn load(gpu: &Gpu, checkpoint: &Checkpoint, holding: Holding, seed: u64) -> Result<Self> {
        let config = checkpoint.config();
        let decoder = Decoder::new(gpu, config, holding, &|name| stored(checkpoint, name))?;
        let (vocabulary, hidden) = (Layout::plain(config.vocab_size), Layout::plain(config.hidden_size));
        let output = match config.tie_word_embeddings {
            true => None,
            false => {
                let dtype = stored(checkpoint, OUTPUT);
                Some(Parameter::matrix(gpu, OUTPUT.into(), vocabulary, hidden, holding, dtype)?)
            }
        };
        let causal = Self { decoder, output };
        load_parameters(gpu, checkpoint, causal.parameters(), seed)?;
        Ok(causal)
    }

    /// Every parameter, the output matrix last where it is one of its own.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.decoder.parameters().chain(&self.output)
    }

    /// `[vocabulary, hidden]`: the output matrix.
    pub fn output(&self) -> &Parameter {
        self.output.as_ref().unwrap_or_else(|| self.decoder.embedding())
    }

    /// Adds the weights, and what training holds for them, to a plan.
    pub fn add_to(plan: &mut MemoryPlan, checkpoint: &Checkpoint, holding: Holding) {
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
