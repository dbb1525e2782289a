//! One step on the device: new tokens of many sequences in, what is known of the logits after the last of each out.

use crate::Result;
use crate::gpu::{Dtype, Gpu, Layout, Profile, Recording, Tensor};
use crate::kernels::cached_attention::Places;
use crate::kernels::pooling::{self, Pooling};
use crate::kernels::product::{self, Epilogue};
use crate::kernels::rms_norm;
use crate::kernels::shortlist::{self, COLUMNS, Found};
use crate::model::activations::{self, Activations, AdapterRoom, Checkpointing, Keeping, RowCounts, Rows, Slot};
use crate::model::batch::Batch;
use crate::model::cache::KeyValueCache;
use crate::model::causal::Causal;
use crate::model::config::ModelConfig;
use crate::model::decoder::Pass;
use crate::model::parameter::Holding;

use super::sampler::Sampling;
use super::scheduler::{Capacity, Step};
use super::shortlist::Shortlist;

/// The table of activations, with what follows the decoder for tokens after which one is drawn.
fn table(config: &ModelConfig, adapters: Option<AdapterRoom>) -> Vec<Slot> {
    let hidden = Layout::plain(config.hidden_size);
    let single = |name, columns| Slot::single(name, Rows::Sequences, columns);
    let head = [
        single("pooled", hidden),
        single("pooled_norm", hidden),
        single("pooled_rstd", Layout::plain(1)),
        single("logits", Layout::plain(config.vocab_size)),
        single("found", Layout::plain(COLUMNS)),
        single("found_penalised", Layout::plain(COLUMNS)),
    ];
    let keeping = Keeping { adapters, ..Keeping::of(Holding::Inference, Checkpointing::None) };
    [activations::table(config, keeping), head.to_vec()].concat()
}

fn counts(capacity: Capacity) -> RowCounts {
    RowCounts { tokens: capacity.tokens, sequences: capacity.sequences, ..RowCounts::default() }
}

/// How the next token of a sequence is drawn.
#[derive(Debug, Clone)]
pub struct Draw {
    /// The rules.
    pub sampling: Sampling,
    /// Share of the probability up to the token drawn.
    pub share: f64,
    /// The tokens to penalise, each once: none where the rules have no penalty.
    pub seen: Vec<u32>,
}

impl Draw {
    fn of_kernel(&self) -> shortlist::Draw {
        let Sampling { temperature, repetition_penalty, .. } = self.sampling;
        // Greedy tokens are not drawn, and colder than this all but one have no probability in f32.
        let scale = if temperature > 0.0 { (1.0 / temperature).min(1e30) } else { 1.0 };
        shortlist::Draw { scale: scale as f32, share: self.share as f32, penalty: repetition_penalty as f32 }
    }

    /// The logits as they were before the penalty, but for rounding.
    pub(super) fn undo_penalty(&self, logits: &mut [f32]) {
        let penalty = self.sampling.repetition_penalty as f32;
        for token in &self.seen {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit = if *logit < 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
    }
}

/// What is known of the logits after a sequence.
#[derive(Debug)]
pub struct Known {
    /// Of the model's own.
    pub(super) plain: Shortlist,
    /// Of those that are penalised, where some are.
    pub(super) penalised: Option<Shortlist>,
}

/// A causal model with a cache and room for the largest step.
pub struct Engine {
    causal: Causal,
    cache: KeyValueCache,
    activations: Activations,
    batch: Batch,
    rows: Tensor,
    seen: Tensor,
    table: Tensor,
    draws: Tensor,
    /// Where the tokens to penalise of each sequence start.
    penalty_offsets: Tensor,
    penalised: Tensor,
    /// For sums over rows, of which a forward pass has none.
    chunks: Tensor,
    recording: Recording,
    recorded: Option<Shape>,
}

/// What decides the dispatches of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    tokens: usize,
    /// Sequences whose logits are computed.
    ends: usize,
    /// Whether any of them are penalised.
    penalties: bool,
}

/// Words of a [`Draw`] on the device.
const DRAW_WORDS: usize = 4;

/// Bytes of activations and of lists beside the cache, for the plan.
pub fn bytes(config: &ModelConfig, adapters: Option<AdapterRoom>, capacity: Capacity) -> [u64; 2] {
    let Capacity { sequences, tokens, length, .. } = capacity;
    let activations =
        activations::bytes(&table(config, adapters), counts(capacity)) + Batch::angle_bytes(config, length);
    let words = 3 * tokens + sequences * (capacity.pages_a_sequence() + DRAW_WORDS + 1 + length) + 1;
    let lists = 4 * words as u64;
    [activations, Batch::list_bytes(tokens, sequences) + lists]
}

impl Engine {
    /// Makes room beside the weights, which are shared and may change between steps.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(gpu: &Gpu, causal: Causal, config: &ModelConfig, capacity: Capacity, cache: Dtype) -> Result<Self> {
        let Capacity { sequences, tokens, length, pages } = capacity;
        let list = |label, len| Tensor::workspace(gpu, label, len, Dtype::U32);
        Ok(Self {
            cache: KeyValueCache::new(gpu, config, pages, cache)?,
            activations: Activations::allocate(gpu, &table(config, causal.adapters()), counts(capacity))?,
            causal,
            batch: Batch::new(gpu, config, tokens, sequences, length)?,
            rows: list("cache rows", tokens)?,
            seen: list("keys seen", 2 * tokens)?,
            table: list("page table", sequences * capacity.pages_a_sequence())?,
            draws: Tensor::workspace(gpu, "draws", DRAW_WORDS * sequences, Dtype::F32)?,
            penalty_offsets: list("penalty offsets", sequences + 1)?,
            penalised: list("penalised tokens", sequences * length)?,
            chunks: Tensor::workspace(gpu, "row sums", 1, Dtype::F32)?,
            recording: Recording::new(),
            recorded: None,
        })
    }

    /// Computes a step and adds its keys and values to the cache. Returns what is known of the logits after each of its ends,
    /// an error where one is not finite; `draws` says how a token is drawn after each.
    ///
    /// # Errors
    /// The device fails.
    pub async fn step(&mut self, gpu: &Gpu, step: &Step, draws: &[Draw]) -> Result<Vec<Result<Known>>> {
        self.batch.write_continued(gpu, &step.ids, &step.positions, &step.ends);
        self.rows.write_u32(gpu, &step.rows);
        self.seen.write_u32(gpu, &step.seen);
        self.table.write_u32(gpu, &step.table);
        self.write_draws(gpu, draws);
        let penalties = draws.iter().any(|draw| !draw.seen.is_empty());
        let shape = Shape { tokens: step.ids.len(), ends: step.ends.len(), penalties };
        if self.recorded != Some(shape) {
            self.record(gpu, shape)?;
            self.recorded = Some(shape);
        }
        self.recording.replay(gpu)?;
        if step.ends.is_empty() {
            return Ok(vec![]);
        }
        let plain = self.found(gpu, "found", shape.ends).await?;
        let penalised = if penalties { self.found(gpu, "found_penalised", shape.ends).await? } else { vec![] };
        let penalised = penalised.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        let known = plain.into_iter().zip(penalised).zip(draws).map(|((plain, penalised), draw)| {
            let penalised = penalised.filter(|_| !draw.seen.is_empty()).transpose()?;
            Ok(Known { plain: plain?, penalised })
        });
        Ok(known.collect())
    }

    fn write_draws(&self, gpu: &Gpu, draws: &[Draw]) {
        let words: Vec<f32> = draws.iter().flat_map(|draw| draw.of_kernel().words()).collect();
        let seen: Vec<u32> = draws.iter().flat_map(|draw| &draw.seen).copied().collect();
        let ends = draws.iter().scan(0, |end, draw| {
            *end += draw.seen.len() as u32;
            Some(*end)
        });
        self.draws.write_f32(gpu, &words);
        self.penalty_offsets.write_u32(gpu, &std::iter::once(0).chain(ends).collect::<Vec<u32>>());
        self.penalised.write_u32(gpu, &seen);
    }

    async fn found(&self, gpu: &Gpu, name: &str, rows: usize) -> Result<Vec<Result<Shortlist>>> {
        let vocabulary = self.activations.get("logits").columns().len();
        let values = self.activations.get(name).read_rows(gpu, 0..rows).await?;
        Ok(values.chunks(COLUMNS).map(|row| Shortlist::of_found(Found::parse(row), vocabulary)).collect())
    }

    /// All logits after one of the ends of the last step, with their penalties.
    ///
    /// # Errors
    /// The device fails.
    pub async fn logits(&self, gpu: &Gpu, end: usize) -> Result<Vec<f32>> {
        self.activations.get("logits").read_rows(gpu, end..end + 1).await
    }

    /// Records a step of the shape in `batch`; one of the same shape replays it, whatever its tokens.
    fn record(&mut self, gpu: &Gpu, shape: Shape) -> Result<()> {
        self.recorded = None;
        self.recording.clear();
        let mut recorder = self.recording.recorder(gpu);
        let (batch, activations) = (&self.batch, &self.activations);
        let pass = Pass { batch, activations, chunks: &self.chunks };
        let places = Places { rows: &self.rows, seen: &self.seen, table: &self.table };
        let decoder = &self.causal.decoder;
        decoder.forward_cached(&mut recorder, pass, &self.cache, places)?;
        let get = |name| activations.get(name);
        let (tokens, sequences) = (batch.tokens, batch.sequences);
        let stream = decoder.output(activations);
        pooling::forward(&mut recorder, tokens, sequences, Pooling::Last, &batch.offsets, stream, get("pooled"))?;
        let (norm, eps) = decoder.norm();
        let normalised = get("pooled_norm");
        rms_norm::forward(&mut recorder, sequences, get("pooled"), norm.used(), normalised, get("pooled_rstd"), eps)?;
        let output = self.causal.output().used();
        product::nt(&mut recorder, sequences, normalised, output, get("logits"), Epilogue::default())?;
        if shape.ends == 0 {
            return Ok(());
        }
        let rows = shortlist::Rows { rows: sequences, logits: get("logits"), draws: &self.draws };
        shortlist::forward(&mut recorder, &rows, get("found"))?;
        if shape.penalties {
            shortlist::penalise(&mut recorder, &rows, &self.penalty_offsets, &self.penalised)?;
            shortlist::forward(&mut recorder, &rows, get("found_penalised"))?;
        }
        Ok(())
    }

    /// As [`super::Generator::profile`]; the cache is left as it is, since the step writes what it wrote before.
    ///
    /// # Errors
    /// As [`Recording::profile`].
    pub async fn profile(&mut self, gpu: &Gpu) -> Result<Profile> {
        self.recording.profile(gpu).await
    }

    /// Steps recorded so far, dispatch by dispatch; replaying records none.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// The maximum sequences, tokens and pages that an adapter can bind for a model; no more of each than asked for.
    pub fn fitting(gpu: &Gpu, config: &ModelConfig, wanted: Capacity, cache: Dtype) -> Capacity {
        let limit = |bytes: usize| (gpu.limits().binding_bytes / (4 * bytes.max(1) as u64)) as usize;
        let table = table(config, None);
        let most = |rows: Rows| {
            let slots = table.iter().filter(|slot| slot.rows == rows);
            limit(slots.map(|slot| slot.columns.padded()).max().unwrap_or(1)).max(1)
        };
        let tokens = wanted.tokens.min(most(Rows::Tokens));
        Capacity {
            sequences: wanted.sequences.min(most(Rows::Sequences)).min(tokens),
            tokens,
            pages: wanted.pages.min(KeyValueCache::most_pages(gpu, config, cache)),
            ..wanted
        }
    }
}
