//! Scoring on the device, batch by batch.

use serde::Serialize;

use crate::data::{Content, EncodingReport, Example, Packed, Purpose, Row, scoring_batches};
use crate::gpu::{Gpu, Recording};
use crate::model::activations::Checkpointing;
use crate::model::batch::Capacity;
use crate::model::classifier::{self, Classifier, Loading, logits};
use crate::model::parameter::Holding;
use crate::objective;
use crate::{Error, Event, Observer, Result};

use super::head::Head;
use super::reward_model::RewardModel;

/// Tokens of a typical row; a batch never holds more than a full one of these, or one longer row.
const TYPICAL_TOKENS: usize = 256;

/// Rows per batch where the caller does not say.
const BATCH: usize = 16;

/// A reward model's scores of a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The expected level, 1 to the number of levels; the logit itself for heads without thresholds.
    pub score: f64,
    /// One logit a threshold.
    pub logits: Vec<f32>,
    /// P(y > k) for each threshold k.
    pub probs: Vec<f64>,
}

impl Score {
    /// All of it, for other ranks.
    fn numbers(&self) -> Vec<f64> {
        let logits = self.logits.iter().copied().map(f64::from);
        std::iter::once(self.score).chain(logits).chain(self.probs.iter().copied()).collect()
    }

    fn of(numbers: &[f64], logits: usize) -> Self {
        Self {
            score: numbers[0],
            logits: numbers[1..=logits].iter().map(|logit| *logit as f32).collect(),
            probs: numbers[1 + logits..].to_vec(),
        }
    }
}

/// The largest batch of rows of at most `longest` tokens, whatever their lengths.
pub(super) fn largest(batch_size: usize, longest: usize) -> Capacity {
    let tokens = longest.max(batch_size.saturating_mul(TYPICAL_TOKENS));
    Capacity { tokens, sequences: batch_size, length: longest }
}

/// How a reward model is loaded that only scores.
pub(super) fn loading(logits: usize, biases: Vec<f32>, capacity: Capacity) -> Loading {
    Loading {
        holding: Holding::Inference,
        checkpointing: Checkpointing::None,
        logits,
        new_head: false,
        biases,
        lora: None,
        seed: 0,
        capacity,
    }
}

/// The weights of a reward model on the device, with room for batches of tokenized rows.
pub struct BatchScorer {
    classifier: Classifier,
    recording: Recording,
    head: Head,
    capacity: Capacity,
}

impl BatchScorer {
    /// Loads the weights, with room for batches of this size.
    ///
    /// # Errors
    /// The model does not fit the adapter, or the device fails.
    pub fn load(gpu: &Gpu, model: &RewardModel, capacity: Capacity, observer: &mut dyn Observer) -> Result<Self> {
        let loading = loading(model.outputs, model.head.biases.clone(), capacity);
        let plan = classifier::plan(model.source.config(), &model.source, &loading);
        observer.on(Event::Planned(&plan));
        plan.check(gpu)?;
        let classifier = Classifier::load(gpu, &model.source, &loading)?;
        Ok(Self { classifier, recording: Recording::new(), head: model.head.clone(), capacity })
    }

    /// The largest batch.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Scores a batch; a row whose logits are not finite has an error in the place of its score. A score does not depend
    /// on the rows beside it.
    ///
    /// # Errors
    /// The device fails.
    ///
    /// # Panics
    /// If the batch is larger than [`BatchScorer::capacity`].
    pub async fn score(&mut self, gpu: &Gpu, examples: &[&Example]) -> Result<Vec<Result<Score>>> {
        let mut scored = self.logits(gpu, examples).await?;
        for (example, logits) in examples.iter().zip(&mut scored) {
            // Zero times what is not finite is not finite, so that a row can spoil those beside it: each is tried alone.
            if examples.len() > 1 && !is_finite(logits) {
                *logits = self.logits(gpu, &[*example]).await?.concat();
            }
        }
        let score = |(example, logits): (&&Example, Vec<f32>)| {
            if !is_finite(&logits) {
                let problem = format!("row {:?}: the logits are {logits:?}", example.id);
                return Err(Error::run(problem, "the model's weights are damaged"));
            }
            let Head { objective, biases, .. } = &self.head;
            Ok(Score {
                score: objective::score(*objective, &logits, biases),
                probs: objective::probabilities(*objective, &logits, biases),
                logits,
            })
        };
        Ok(examples.iter().zip(scored).map(score).collect())
    }

    /// The logits of each row of a batch.
    async fn logits(&mut self, gpu: &Gpu, examples: &[&Example]) -> Result<Vec<Vec<f32>>> {
        let packed = Packed::new(examples.iter().copied())?;
        logits(gpu, &mut self.classifier, &mut self.recording, &packed).await
    }
}

fn is_finite(logits: &[f32]) -> bool {
    logits.iter().all(|value| value.is_finite())
}

impl RewardModel {
    /// Loads the weights, with room for any rows: they are scored in batches of at most 16, which together hold no more
    /// tokens than the longest sequence.
    ///
    /// # Errors
    /// The model does not fit the adapter, or the device fails.
    pub fn load<'a>(&'a self, gpu: &'a Gpu, observer: &mut dyn Observer) -> Result<Scorer<'a>> {
        let longest = self.encoder.max_length();
        let capacity = Capacity { tokens: longest, sequences: BATCH, length: longest };
        Ok(Scorer::new(gpu, self, BatchScorer::load(gpu, self, capacity, observer)?, vec![]))
    }

    /// Loads the weights, with room for batches of rows of these lengths in tokens, given set by set: a batch holds rows
    /// of one set, and the sets come one after the other.
    ///
    /// # Errors
    /// As [`RewardModel::load`].
    pub(crate) fn load_for_sets<'a>(
        &'a self,
        gpu: &'a Gpu,
        sets: &[Vec<usize>],
        batch_size: usize,
        observer: &mut dyn Observer,
    ) -> Result<Scorer<'a>> {
        let lengths = sets.concat();
        let longest = lengths.iter().copied().max().unwrap_or(1);
        let most_tokens = largest(batch_size, longest).tokens;
        let mut batches = vec![];
        let mut first = 0;
        for set in sets {
            let of_set = scoring_batches(set, batch_size, most_tokens);
            batches
                .extend(of_set.into_iter().map(|batch| batch.into_iter().map(|row| first + row).collect::<Vec<_>>()));
            first += set.len();
        }
        let tokens = |batch: &Vec<usize>| batch.iter().map(|index| lengths[*index]).sum::<usize>();
        let capacity = Capacity {
            tokens: batches.iter().map(tokens).max().unwrap_or(1),
            sequences: batch_size.min(lengths.len()),
            length: longest,
        };
        Ok(Scorer::new(gpu, self, BatchScorer::load(gpu, self, capacity, observer)?, batches))
    }
}

/// A reward model on the device.
pub struct Scorer<'a> {
    gpu: &'a Gpu,
    model: &'a RewardModel,
    scorer: BatchScorer,
    /// Batches of the rows that it was loaded for, where these are known.
    batches: Vec<Vec<usize>>,
    report: EncodingReport,
}

impl<'a> Scorer<'a> {
    /// A scorer of a loaded model. `batches` are those of the rows that it was loaded for, where these are known.
    fn new(gpu: &'a Gpu, model: &'a RewardModel, scorer: BatchScorer, batches: Vec<Vec<usize>>) -> Self {
        Self { gpu, model, scorer, batches, report: EncodingReport::default() }
    }

    /// Scores texts or chats, in their order. A score does not depend on what is scored beside it.
    ///
    /// # Errors
    /// As [`Scorer::score_rows`]; errors count the rows from 0.
    pub async fn score<C: Into<Content>>(&mut self, contents: impl IntoIterator<Item = C>) -> Result<Vec<Score>> {
        let row = |(place, content): (usize, C)| Row::new(place.to_string(), content);
        let rows: Vec<Row> = contents.into_iter().enumerate().map(row).collect();
        self.score_rows(&rows, &|| Ok(())).await
    }

    /// Scores rows, in their order. `go_on` is asked before each batch; its error ends the call.
    ///
    /// # Errors
    /// A row is empty or a preference pair, or cannot be rendered or tokenized; the device fails; a logit is not finite.
    pub async fn score_rows(&mut self, rows: &[Row], go_on: &dyn Fn() -> Result<()>) -> Result<Vec<Score>> {
        rows.iter().try_for_each(|row| row.check(Purpose::Score))?;
        let (examples, report) = self.model.encoder.encode(rows)?;
        self.report += report;
        let lengths: Vec<usize> = examples.iter().map(Example::tokens).collect();
        let mut scores = vec![None; rows.len()];
        let Capacity { sequences, tokens, .. } = self.scorer.capacity();
        for batch in scoring_batches(&lengths, sequences, tokens) {
            go_on()?;
            let of_batch: Vec<&Example> = batch.iter().map(|&place| &examples[place]).collect();
            for (place, score) in batch.iter().zip(self.score_batch(&of_batch).await?) {
                scores[*place] = Some(score);
            }
        }
        Ok(scores.into_iter().flatten().collect())
    }

    /// What became of the rows scored so far on their way to tokens.
    pub fn report(&self) -> &EncodingReport {
        &self.report
    }

    /// The rows of each batch, by their places among all lengths the model was loaded for; alike lengths together. None
    /// where it was loaded for any rows.
    pub(crate) fn batches(&self) -> &[Vec<usize>] {
        &self.batches
    }

    /// Scores a batch. A score does not depend on the rows beside it.
    ///
    /// # Errors
    /// The device fails, or a logit is not finite.
    pub(crate) async fn score_batch(&mut self, examples: &[&Example]) -> Result<Vec<Score>> {
        self.scorer.score(self.gpu, examples).await?.into_iter().collect()
    }

    /// Scores a batch that is a piece of the work of all ranks; [`Scorer::scores_of_piece`] reads the result.
    ///
    /// # Errors
    /// As [`Scorer::score_batch`].
    pub(crate) async fn score_piece(&mut self, examples: &[&Example]) -> Result<Vec<u8>> {
        let numbers: Vec<f64> = self.score_batch(examples).await?.iter().flat_map(Score::numbers).collect();
        Ok(bytemuck::cast_slice(&numbers).to_vec())
    }

    /// The scores of a batch of so many rows.
    pub(crate) fn scores_of_piece(&self, piece: &[u8], rows: usize) -> Vec<Score> {
        let numbers: Vec<f64> = bytemuck::pod_collect_to_vec(piece);
        let width = (numbers.len() / rows.max(1)).max(1);
        numbers.chunks(width).map(|row| Score::of(row, self.model.outputs)).collect()
    }
}
