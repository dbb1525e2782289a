//! The rows that wait for their scores, and the model that gives them.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::oneshot;
use wgr::data::Example;
use wgr::gpu::Gpu;
use wgr::model::batch::Capacity;
use wgr::train::{BatchScorer, RewardModel, RewardOptions, Score};
use wgr::{Observer, Result};

use super::batch::batch;
use crate::config::ServeConfig;
use crate::metrics::Metrics;

/// Most rows of a batch: the room for their pooled states is small beside that for tokens.
const SEQUENCES: usize = 512;

/// The reward model that is served now.
pub(crate) struct Served {
    /// What clients call it.
    pub(crate) name: String,
    pub(crate) model: RewardModel,
}

impl Served {
    /// Opens a reward model as the settings say.
    ///
    /// # Errors
    /// As [`RewardModel::open_with`].
    pub(crate) fn open(config: &ServeConfig, model: &str) -> Result<Self> {
        let options = RewardOptions {
            template: config.template.as_deref(),
            max_length: config.max_length,
            overlong: config.truncate,
            head: config.head,
            base_dtype: config.base_dtype,
        };
        Ok(Self { name: model.to_owned(), model: RewardModel::open_with(model, options)? })
    }
}

/// Which model that is: requests read it, and the thread of the device changes it between two batches.
pub(crate) struct Current(RwLock<Arc<Served>>);

impl Current {
    pub(crate) fn new(served: Arc<Served>) -> Self {
        Self(RwLock::new(served))
    }

    pub(crate) fn get(&self) -> Arc<Served> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, served: Arc<Served>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = served;
    }
}

/// A row that waits for its score.
pub(crate) struct Entry {
    pub(crate) example: Example,
    /// The model whose tokens they are.
    pub(crate) served: Arc<Served>,
    pub(crate) since: Instant,
    pub(crate) answer: oneshot::Sender<Result<Score, Missed>>,
}

impl Entry {
    fn miss(self, missed: Missed) {
        // If the client has gone, there is nobody to tell.
        let _ = self.answer.send(Err(missed));
    }
}

/// Why a row has no score.
#[derive(Clone, Debug)]
pub(crate) enum Missed {
    /// Another model is served by now, which reads the row as other tokens.
    Outdated,
    /// The device failed, or the score is not finite.
    Failed(String),
}

/// The rows that wait, and the model they wait for.
pub(super) struct Scoring {
    pub(super) current: Arc<Current>,
    max_tokens: usize,
    /// In the order in which they came.
    waiting: Vec<Entry>,
    metrics: Arc<Metrics>,
}

impl Scoring {
    pub(super) fn new(current: Arc<Current>, max_tokens: usize, metrics: Arc<Metrics>) -> Self {
        Self { current, max_tokens, waiting: vec![], metrics }
    }

    /// Loads the weights of a model.
    ///
    /// # Errors
    /// The model does not fit the adapter, or the device fails.
    pub(super) fn load(&self, gpu: &Gpu, served: &Served, observer: &mut dyn Observer) -> Result<BatchScorer> {
        let length = served.model.encoder.max_length();
        let tokens = self.max_tokens.max(length);
        let capacity = Capacity { tokens, sequences: SEQUENCES.min(tokens), length };
        BatchScorer::load(gpu, &served.model, capacity, observer)
    }

    /// Takes rows into the queue.
    pub(super) fn push(&mut self, entries: Vec<Entry>) {
        self.waiting.extend(entries);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next batch: rows whose client has gone, or that are tokens of another model, are dropped before they cost
    /// anything.
    pub(super) fn next(&mut self) -> Vec<Entry> {
        let served = self.current.get();
        let (current, others): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .filter(|entry| !entry.answer.is_closed())
            .partition(|entry| Arc::ptr_eq(&entry.served, &served));
        others.into_iter().for_each(|entry| entry.miss(Missed::Outdated));
        let lengths: Vec<usize> = current.iter().map(|entry| entry.example.tokens()).collect();
        let chosen = batch(&lengths, SEQUENCES, self.max_tokens);
        let mut places: Vec<Option<Entry>> = current.into_iter().map(Some).collect();
        let batch = chosen.into_iter().filter_map(|place| places[place].take()).collect();
        self.waiting = places.into_iter().flatten().collect();
        batch
    }

    /// Scores a batch on the device and answers each row.
    ///
    /// # Errors
    /// The device failed; every row has been told.
    pub(super) fn run(&self, gpu: &Gpu, scorer: &mut BatchScorer, batch: Vec<Entry>) -> Result<()> {
        let started = Instant::now();
        let tokens = batch.iter().map(|entry| entry.example.tokens()).sum();
        batch.iter().for_each(|entry| self.metrics.waited(started - entry.since));
        let examples: Vec<&Example> = batch.iter().map(|entry| &entry.example).collect();
        let scored = pollster::block_on(scorer.score(gpu, &examples));
        self.metrics.batch(tokens, started.elapsed());
        let scores = match scored {
            Ok(scores) => scores,
            Err(error) => {
                fail(batch, &error.to_string());
                return Err(error);
            }
        };
        for (entry, score) in batch.into_iter().zip(scores) {
            let _ = entry.answer.send(score.map_err(|error| Missed::Failed(error.to_string())));
        }
        Ok(())
    }
}

/// Tells every row of a batch that it has no score.
pub(super) fn fail(batch: Vec<Entry>, problem: &str) {
    batch.into_iter().for_each(|entry| entry.miss(Missed::Failed(problem.to_owned())));
}
