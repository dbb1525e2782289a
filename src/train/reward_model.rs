//! A trained reward model, opened on the host and loaded for the rows it will score.

use std::path::Path;

use serde::Serialize;

use crate::data::{Content, Encoder, EncodingReport, Example, Packed, Purpose, Row, scoring_batches};
use crate::gpu::{Gpu, Recording};
use crate::model::batch::Capacity;
use crate::model::classifier::{self, Classifier, HEAD, Loading, logits};
use crate::model::parameter::Holding;
use crate::model::{Checkpoint, Reading, reading};
use crate::objective;
use crate::{Error, Event, Observer, Result};

use super::calibration::ModelCalibration;
use super::head::{Head, HeadReading};
use super::inputs;
use crate::model::activations::Checkpointing;

/// Tokens of a typical row; a batch never holds more than a full one of these, or one longer row.
const TYPICAL_TOKENS: usize = 256;

/// Rows per batch where the caller does not say.
const BATCH: usize = 16;

/// How a reward model is opened where its own files do not decide.
#[derive(Debug, Clone, Copy)]
pub struct RewardOptions<'a> {
    /// Prompt template instead of the one saved with the model.
    pub template: Option<&'a Path>,
    /// Longest sequence in tokens; longer ones are truncated as in training.
    pub max_length: usize,
    /// What the outputs of the head mean, for models whose configuration does not say.
    pub head: Option<HeadReading>,
}

impl Default for RewardOptions<'_> {
    fn default() -> Self {
        Self { template: None, max_length: 4096, head: None }
    }
}

/// A reward model that nothing has been loaded of yet: its head, and how it reads rows.
pub struct RewardModel {
    source: Checkpoint,
    head: Head,
    /// Rows of the head.
    outputs: usize,
    /// Renders, tokenizes and truncates rows as in training.
    pub encoder: Encoder,
    /// How the model is read, for people.
    pub reading: Reading,
}

impl RewardModel {
    /// Opens a directory, `.gguf` file or hub name.
    ///
    /// # Errors
    /// The model cannot be read, has no score head or one of unclear meaning, or has a template that fails.
    pub fn open(model: &str) -> Result<Self> {
        Self::open_with(model, RewardOptions::default())
    }

    /// As [`RewardModel::open`], with options.
    ///
    /// # Errors
    /// As [`RewardModel::open`]; a template that cannot be read, or a head that is not as the options say.
    pub fn open_with(model: &str, options: RewardOptions<'_>) -> Result<Self> {
        let RewardOptions { template, max_length, head } = options;
        let source = Checkpoint::open(model)?;
        let Some(info) = source.info(HEAD) else { return Err(no_head(&source)) };
        let outputs = info.shape[0];
        let (head, evidence) = Head::of(&source, outputs, head)?;
        let shows_chats = head.is_of_another_method(&source)?;
        let (template, whose) = inputs::template(template, &source, shows_chats)?;
        let words = format!("{}, {} ({evidence})", reading::kept_head(&source, outputs), head.meaning());
        let reading = Reading::of(&source, whose, Some(words))?;
        let encoder = inputs::encoder(&source, template, max_length, source.config().pad_token_id)?;
        Ok(Self { source, head, outputs, encoder, reading })
    }

    /// The head: its objective and levels.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The calibration of its thresholds.
    ///
    /// # Errors
    /// The head has no thresholds, or the directory holds no calibration for them.
    pub fn calibration(&self) -> Result<ModelCalibration> {
        let path = self.path();
        if !self.head.objective.has_thresholds() {
            let problem = format!("is trained with {}, which has no thresholds", self.head.objective);
            return Err(Error::input(path.display().to_string(), problem, "score without `.calibrated`"));
        }
        ModelCalibration::read(&self.source, self.head.levels as usize - 1)
    }

    /// The model's path.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// A hash of everything that decides a score, except for the template and the maximum length.
    ///
    /// # Errors
    /// The files cannot be read.
    pub fn fingerprint(&self) -> Result<u128> {
        self.source.fingerprint()
    }

    /// Loads the weights, with room for any rows: they are scored in batches of at most 16, which together hold no more
    /// tokens than the longest sequence.
    ///
    /// # Errors
    /// The model does not fit the adapter, or the device fails.
    pub fn load<'a>(&'a self, gpu: &'a Gpu, observer: &mut dyn Observer) -> Result<Scorer<'a>> {
        let longest = self.encoder.max_length();
        self.load_for(gpu, Capacity { tokens: longest, sequences: BATCH, length: longest }, observer)
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
        let most_tokens = longest.max(batch_size.saturating_mul(TYPICAL_TOKENS));
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
        Ok(Scorer { batches, ..self.load_for(gpu, capacity, observer)? })
    }

    fn load_for<'a>(&'a self, gpu: &'a Gpu, capacity: Capacity, observer: &mut dyn Observer) -> Result<Scorer<'a>> {
        let loading = Loading {
            holding: Holding::Inference,
            checkpointing: Checkpointing::None,
            logits: self.outputs,
            new_head: false,
            biases: self.head.biases.clone(),
            lora: None,
            seed: 0,
            capacity,
        };
        let plan = classifier::plan(self.source.config(), &self.source, &loading);
        observer.on(Event::Planned(&plan));
        plan.check(gpu)?;
        let classifier = Classifier::load(gpu, &self.source, &loading)?;
        let recording = Recording::new();
        let report = EncodingReport::default();
        Ok(Scorer { gpu, model: self, classifier, recording, capacity, batches: vec![], report })
    }
}

/// The error about a model without a score head, with the tensors that may be one.
fn no_head(source: &Checkpoint) -> Error {
    let at = source.path().display().to_string();
    let others: Vec<&str> = source.unread(false).filter(|name| *name != "lm_head.weight").collect();
    if others.is_empty() {
        return Error::input(at, format!("has no {HEAD}: it is not a reward model"), "train one with `wgr train`");
    }
    let problem = format!("has no {HEAD}, but {}", others.join(", "));
    let hint = "a linear layer on the last token's final state can be used if renamed to score.weight, and its bias \
        to score.bias";
    Error::input(at, problem, hint)
}

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

/// A reward model on the device.
pub struct Scorer<'a> {
    gpu: &'a Gpu,
    model: &'a RewardModel,
    classifier: Classifier,
    recording: Recording,
    capacity: Capacity,
    /// Batches of the rows that it was loaded for, where these are known.
    batches: Vec<Vec<usize>>,
    report: EncodingReport,
}

impl Scorer<'_> {
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
        for batch in scoring_batches(&lengths, self.capacity.sequences, self.capacity.tokens) {
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
        let packed = Packed::new(examples.iter().copied())?;
        let scored = logits(self.gpu, &mut self.classifier, &mut self.recording, &packed).await?;
        let score = |(example, logits): (&&Example, Vec<f32>)| {
            if logits.iter().any(|value| !value.is_finite()) {
                let problem = format!("row {:?}: the logits are {logits:?}", example.id);
                return Err(Error::run(problem, "the model's weights are damaged"));
            }
            let Head { objective, biases, .. } = &self.model.head;
            Ok(Score {
                score: objective::score(*objective, &logits, biases),
                probs: objective::probabilities(*objective, &logits, biases),
                logits,
            })
        };
        examples.iter().zip(scored).map(score).collect()
    }
}
