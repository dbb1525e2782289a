//! One step on the device: new tokens of many sequences in, the logits after the last of each out.

use crate::Result;
use crate::gpu::{Dtype, Gpu, Layout, Profile, Recording, Tensor};
use crate::kernels::cached_attention::Places;
use crate::kernels::pooling::{self, Pooling};
use crate::kernels::product::{self, Epilogue};
use crate::kernels::rms_norm;
use crate::model::activations::{self, Activations, AdapterRoom, Checkpointing, Keeping, RowCounts, Rows, Slot};
use crate::model::batch::Batch;
use crate::model::cache::KeyValueCache;
use crate::model::causal::Causal;
use crate::model::config::ModelConfig;
use crate::model::decoder::Pass;
use crate::model::parameter::Holding;

use super::scheduler::{Capacity, Step};

/// The table of activations, with what follows the decoder for tokens after which one is drawn.
fn table(config: &ModelConfig, adapters: Option<AdapterRoom>) -> Vec<Slot> {
    let hidden = Layout::plain(config.hidden_size);
    let single = |name, columns| Slot::single(name, Rows::Sequences, columns);
    let head = [
        single("pooled", hidden),
        single("pooled_norm", hidden),
        single("pooled_rstd", Layout::plain(1)),
        single("logits", Layout::plain(config.vocab_size)),
    ];
    let keeping = Keeping { adapters, ..Keeping::of(Holding::Inference, Checkpointing::None) };
    [activations::table(config, keeping), head.to_vec()].concat()
}

fn counts(capacity: Capacity) -> RowCounts {
    RowCounts { tokens: capacity.tokens, sequences: capacity.sequences, ..RowCounts::default() }
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
    /// For sums over rows, of which a forward pass has none.
    chunks: Tensor,
    recording: Recording,
    recorded: Option<[usize; 2]>,
}

/// Bytes of activations and of lists beside the cache, for the plan.
pub fn bytes(config: &ModelConfig, adapters: Option<AdapterRoom>, capacity: Capacity) -> [u64; 2] {
    let Capacity { sequences, tokens, length, .. } = capacity;
    let activations =
        activations::bytes(&table(config, adapters), counts(capacity)) + Batch::angle_bytes(config, length);
    let lists = 4 * (3 * tokens + sequences * capacity.pages_a_sequence()) as u64;
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
            chunks: Tensor::workspace(gpu, "row sums", 1, Dtype::F32)?,
            recording: Recording::new(),
            recorded: None,
        })
    }

    /// Computes a step and adds its keys and values to the cache. Returns the logits after each of its ends, none where it
    /// has none.
    ///
    /// # Errors
    /// The device fails.
    pub async fn step(&mut self, gpu: &Gpu, step: &Step) -> Result<Vec<Vec<f32>>> {
        self.batch.write_continued(gpu, &step.ids, &step.positions, &step.ends);
        self.rows.write_u32(gpu, &step.rows);
        self.seen.write_u32(gpu, &step.seen);
        self.table.write_u32(gpu, &step.table);
        let shape = [step.ids.len(), step.ends.len()];
        if self.recorded != Some(shape) {
            self.record(gpu)?;
            self.recorded = Some(shape);
        }
        self.recording.replay(gpu)?;
        if step.ends.is_empty() {
            return Ok(vec![]);
        }
        let logits = self.activations.get("logits");
        let values = logits.read_rows(gpu, step.ends.len()).await?;
        Ok(values.chunks(logits.columns().len()).map(<[f32]>::to_vec).collect())
    }

    /// Records a step of the shape in `batch`; one of the same shape replays it, whatever its tokens.
    fn record(&mut self, gpu: &Gpu) -> Result<()> {
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
        product::nt(&mut recorder, sequences, normalised, output, get("logits"), Epilogue::default())
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
