//! The embedder of a run: a BERT-family sentence encoder on the adapter.

use rayon::prelude::*;

use super::Embed;
use crate::data::scoring_batches;
use crate::extract::pool;
use crate::gpu::{Gpu, Recording};
use crate::model::batch::Capacity;
use crate::model::encoder::{self, Encoder, SentenceModel};
use crate::{Error, Ranks, Result};

/// Tokens of a batch. Software adapters gain nothing from more, and the buffers stay below 100 MB for usual widths.
const BATCH_TOKENS: usize = 2048;
/// Texts of a batch.
const BATCH_TEXTS: usize = 256;

/// Embeds texts as sentence-transformers does, with our own kernels.
pub struct Embedder<'a> {
    ranks: Ranks,
    gpu: &'a Gpu,
    model: SentenceModel,
    encoder: Encoder,
    recording: Recording,
    batch_tokens: usize,
}

impl<'a> Embedder<'a> {
    /// Opens a directory or hub name and loads it.
    ///
    /// # Errors
    /// As [`SentenceModel::open`]; the model does not fit the adapter, or the device fails.
    pub fn open(gpu: &'a Gpu, name: &str) -> Result<Self> {
        let model = SentenceModel::open(name)?;
        let batch_tokens = BATCH_TOKENS.max(model.max_length);
        let capacity = Capacity { tokens: batch_tokens, sequences: BATCH_TEXTS, length: model.max_length };
        encoder::plan(&model.checkpoint, capacity).check_or(gpu, "use a smaller embedder")?;
        let encoder = Encoder::load(gpu, &model.checkpoint, capacity)?;
        Ok(Self { ranks: Ranks::alone(), gpu, model, encoder, recording: Recording::new(), batch_tokens })
    }

    /// The same on every rank, which share its work.
    pub(crate) fn over(self, ranks: &Ranks) -> Self {
        Self { ranks: ranks.clone(), ..self }
    }
}

impl pool::Model for Embedder<'_> {
    const PART: pool::Part = pool::Part::Embedder;

    async fn rows(&mut self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let ids = sequences.concat();
        let mut offsets = vec![0];
        offsets.extend(sequences.iter().scan(0, |end, sequence| {
            *end += sequence.len() as u32;
            Some(*end)
        }));
        self.encoder.batch.write(self.gpu, &ids, &vec![0; ids.len()], &offsets);
        self.recording.clear();
        let recorder = &mut self.recording.recorder(self.gpu);
        self.encoder.forward(recorder)?;
        let rows = self.encoder.pool(recorder, self.model.pooling, self.model.normalise)?;
        self.recording.replay(self.gpu)?;
        let values = rows.read(self.gpu).await?;
        Ok(values.chunks(rows.columns().len()).take(sequences.len()).map(<[f32]>::to_vec).collect())
    }
}

impl Embed for Embedder<'_> {
    fn identity(&self) -> u128 {
        self.model.identity()
    }

    async fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let ids: Vec<Vec<u32>> = texts.par_iter().map(|text| self.model.tokenize(text)).collect::<Result<_>>()?;
        let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
        let mut vectors = vec![vec![]; texts.len()];
        // Alike lengths together, so that the lanes of attention have alike work.
        let batches = scoring_batches(&lengths, BATCH_TEXTS, self.batch_tokens);
        let kept = |batch: &[usize], rows: Vec<Vec<f32>>| {
            for (index, vector) in batch.iter().zip(rows) {
                if vector.iter().any(|value| !value.is_finite()) {
                    let problem = format!("the embedding of {:?} is not finite", texts[*index]);
                    return Err(Error::run(problem, "the embedder's weights are damaged"));
                }
                vectors[*index] = vector;
            }
            Ok(())
        };
        pool::run(&self.ranks.clone(), self, &ids, &batches, kept).await?;
        Ok(vectors)
    }
}
