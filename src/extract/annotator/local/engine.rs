//! A causal model as a classifier over a few tokens.

use crate::data::{Packed, scoring_batches};
use crate::extract::pool;
use crate::gpu::{Gpu, Recording};
use crate::model::Checkpoint;
use crate::model::activations::{self, Checkpointing, Keeping, Rows};
use crate::model::batch::Capacity;
use crate::model::classifier::{self, Classifier, HEAD, Loading, logits};
use crate::model::decoder;
use crate::model::parameter::Holding;
use crate::{Error, Ranks, Result};

/// Tokens of a batch, where the adapter's bindings are large enough.
const MAX_TOKENS: usize = 4096;
/// Prompts of a batch.
const MAX_SEQUENCES: usize = 32;

/// A causal model on the device that gives the logits of a few tokens after a prompt.
pub(crate) struct Engine<'a> {
    /// Who share its work.
    pub ranks: Ranks,
    gpu: &'a Gpu,
    classifier: Classifier,
    recording: Recording,
    max_tokens: usize,
}

impl<'a> Engine<'a> {
    /// Loads a model whose head are the rows of these tokens in its output matrix.
    ///
    /// # Errors
    /// The model has no such matrix, is damaged, or does not fit the adapter.
    pub(super) fn load(gpu: &'a Gpu, checkpoint: &Checkpoint, outputs: &[u32]) -> Result<Self> {
        let (max_tokens, length) = (max_tokens(gpu, checkpoint), max_prompt(gpu, checkpoint));
        let loading = Loading {
            holding: Holding::Inference,
            checkpointing: Checkpointing::None,
            logits: outputs.len(),
            new_head: true,
            biases: vec![],
            lora: None,
            seed: 0,
            capacity: Capacity { tokens: max_tokens, sequences: MAX_SEQUENCES, length },
        };
        let plan = classifier::plan(checkpoint.config(), checkpoint, &loading);
        plan.check_or(gpu, "use a smaller model as `.annotator_model`")?;
        let classifier = Classifier::load(gpu, checkpoint, &loading)?;
        let rows = output_rows(checkpoint, outputs)?;
        if let Some(head) = classifier.parameters().find(|parameter| parameter.name == HEAD) {
            head.write(gpu, &rows)?;
        }
        gpu.flush("loading the weights")?;
        Ok(Self { ranks: Ranks::alone(), gpu, classifier, recording: Recording::new(), max_tokens })
    }

    /// The logits after each prompt, none longer than [`max_prompt`], in their order; alike lengths run together. They do
    /// not depend on the prompts beside them. `kept` is given the places and logits of each batch, and may end it.
    ///
    /// # Errors
    /// The device or another rank fails, a logit is not finite, or `kept` ended it.
    pub(super) async fn logits(
        &mut self,
        prompts: &[Vec<u32>],
        mut kept: impl FnMut(&[usize], &[Vec<f32>]) -> Result<()>,
    ) -> Result<()> {
        let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
        let batches = scoring_batches(&lengths, MAX_SEQUENCES, self.max_tokens);
        let kept = |batch: &[usize], rows: Vec<Vec<f32>>| kept(batch, &rows);
        pool::run(&self.ranks.clone(), self, prompts, &batches, kept).await
    }
}

impl pool::Model for Engine<'_> {
    const PART: pool::Part = pool::Part::Annotator;

    async fn rows(&mut self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let mut packed = Packed { offsets: vec![0], ..Packed::default() };
        for sequence in sequences {
            packed.tokens.extend(*sequence);
            packed.offsets.push(packed.tokens.len() as u32);
        }
        let rows = logits(self.gpu, &mut self.classifier, &mut self.recording, &packed).await?;
        match rows.iter().find(|row| row.iter().any(|logit| !logit.is_finite())) {
            Some(row) => Err(Error::run(format!("the annotator's logits are {row:?}"), "its weights are damaged")),
            None => Ok(rows),
        }
    }
}

/// Tokens of the longest prompt that a model reads on an adapter.
pub(super) fn max_prompt(gpu: &Gpu, checkpoint: &Checkpoint) -> usize {
    let config = checkpoint.config();
    max_tokens(gpu, checkpoint).min(config.max_position_embeddings).min(decoder::longest(gpu, config, false))
}

/// Activations are not sharded, so the widest decides how many tokens a batch may have.
fn max_tokens(gpu: &Gpu, checkpoint: &Checkpoint) -> usize {
    let keeping = Keeping::of(Holding::Inference, Checkpointing::None);
    let table = activations::table(checkpoint.config(), keeping);
    let per_token = table.iter().filter(|slot| slot.rows == Rows::Tokens);
    let widest = per_token.map(|slot| slot.columns.padded() as u64 * slot.dtype.bytes()).max().unwrap_or(1);
    usize::try_from(gpu.limits().binding_bytes / widest).unwrap_or(MAX_TOKENS).clamp(1, MAX_TOKENS)
}

/// The rows of some tokens in the output matrix, which is the embedding where the model ties them.
fn output_rows(checkpoint: &Checkpoint, tokens: &[u32]) -> Result<Vec<f32>> {
    let tied = !checkpoint.contains("lm_head.weight");
    let matrix = checkpoint.read_f32(if tied { "model.embed_tokens.weight" } else { "lm_head.weight" })?;
    let width = checkpoint.config().hidden_size;
    Ok(tokens.iter().flat_map(|token| &matrix[*token as usize * width..][..width]).copied().collect())
}
