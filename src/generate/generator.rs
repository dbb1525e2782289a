//! A model that completes prompts: its room on the device, and all completions of a list of requests.

use std::sync::Arc;

use tokenizers::Tokenizer;
use twox_hash::XxHash3_64;

use super::config::Settings;
use super::engine::{self, Engine};
use super::scheduler::{Capacity, Request};
use super::session::{Generated, Grown, Growth, Model, Session};
use crate::gpu::{Dtype, Gpu, Profile, Recording};
use crate::kernels::loops;
use crate::model::activations::AdapterRoom;
use crate::model::cache::KeyValueCache;
use crate::model::causal::Causal;
use crate::model::config::ModelConfig;
use crate::model::decoder;
use crate::model::plan::MemoryPlan;
use crate::{Error, Event, Observer, Result};

/// Tokens of a step that are of prompts, where the adapter's bindings are large enough.
const STEP_TOKENS: usize = 512;

/// A causal model, ready to complete prompts.
pub struct Generator {
    engine: Engine,
    tokenizer: Tokenizer,
    /// Tokens that end a completion.
    ends: Vec<u32>,
    capacity: Capacity,
    vocabulary: usize,
}

/// The capacity for this many sequences at once, each of at most `length` tokens, on an adapter that can bind it.
pub(super) fn wanted(sequences: usize, length: usize) -> Capacity {
    let capacity = Capacity { sequences, tokens: STEP_TOKENS.max(sequences), length, pages: 0 };
    Capacity { pages: sequences * capacity.pages_a_sequence(), ..capacity }
}

/// The capacity for this many sequences at once, each of at most `length` tokens, as far as the adapter can bind it.
///
/// # Errors
/// Not even one sequence of that length fits, or the driver would end the loops over it.
pub fn capacity(gpu: &Gpu, config: &ModelConfig, sequences: usize, length: usize, cache: Dtype) -> Result<Capacity> {
    let capacity = Engine::fitting(gpu, config, wanted(sequences, length), cache);
    let remedy = "a smaller `.max_new_tokens` or shorter prompts";
    loops::check_length(gpu, length, decoder::longest_cached(gpu, config), remedy)?;
    if capacity.pages < capacity.pages_a_sequence() {
        let problem = format!("the keys of {length} tokens exceed the adapter's maximum binding");
        return Err(Error::run(problem, "use `.cache_dtype` f16, a smaller `.max_new_tokens`, or shorter prompts"));
    }
    Ok(capacity)
}

/// Adds what a generator holds beside the weights to a plan.
pub fn add_to(
    plan: &mut MemoryPlan,
    config: &ModelConfig,
    adapters: Option<AdapterRoom>,
    capacity: Capacity,
    cache: Dtype,
) {
    let [activations, lists] = engine::bytes(config, adapters, capacity);
    plan.activations += activations + KeyValueCache::bytes(config, capacity.pages, cache);
    plan.workspace += lists;
    plan.tokens = plan.tokens.max(capacity.tokens);
}

impl Generator {
    /// Makes room beside the weights of a model, which are shared: what training changes in them counts from the next run.
    /// `ends` are the tokens that end a completion; keys and values are kept as `cache`, f32 or f16.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(
        gpu: &Gpu,
        causal: Causal,
        config: &ModelConfig,
        tokenizer: Tokenizer,
        ends: Vec<u32>,
        capacity: Capacity,
        cache: Dtype,
    ) -> Result<Self> {
        let engine = Engine::new(gpu, causal, config, capacity, cache)?;
        Ok(Self { engine, tokenizer, ends, capacity, vocabulary: config.vocab_size })
    }

    /// Largest step and longest sequence.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// The step recorded last.
    pub fn recording(&self) -> &Recording {
        self.engine.recording()
    }

    /// Computes the last step once more and tells where its time went.
    ///
    /// # Errors
    /// As [`Recording::profile`].
    pub async fn profile(&mut self, gpu: &Gpu) -> Result<Profile> {
        self.engine.profile(gpu).await
    }

    /// `n` completions of each prompt, those of one prompt together, in the order of the prompts. The same seed gives the
    /// same completions, whatever the capacity.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn sample(
        &mut self,
        gpu: &Gpu,
        prompts: &[Vec<u32>],
        n: usize,
        seed: u64,
        settings: &Settings,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Generated>> {
        let of_prompt = |(row, prompt): (usize, &Vec<u32>)| {
            let prompt: Arc<[u32]> = prompt.as_slice().into();
            (0..n).map(move |sample| Request { prompt: prompt.clone(), seed: seed_of(seed, row, sample) })
        };
        let requests: Vec<Request> = prompts.iter().enumerate().flat_map(of_prompt).collect();
        self.run(gpu, &requests, settings, observer, |_, _| Ok(())).await
    }

    /// One completion for each request, in their order. A completion depends on its prompt and seed alone. `kept` is given
    /// the number of each request with its completion as soon as it ends.
    ///
    /// # Errors
    /// A prompt is empty, has an unknown token, or leaves no room for a completion; the device fails; a logit is not a
    /// number; the observer or `kept` ends the run.
    pub async fn run(
        &mut self,
        gpu: &Gpu,
        requests: &[Request],
        settings: &Settings,
        observer: &mut dyn Observer,
        mut kept: impl FnMut(usize, &Generated) -> Result<()>,
    ) -> Result<Vec<Generated>> {
        let settings = Arc::new(settings.clone());
        let mut session = self.session();
        for (index, request) in requests.iter().enumerate() {
            session.add(&format!("request {index}"), request, settings.clone(), None)?;
        }
        let mut completions: Vec<Option<Generated>> = vec![None; requests.len()];
        let (mut done, mut tokens) = (0, 0);
        while !session.is_idle() {
            if observer.stop_requested() {
                let lost = requests.len() - done;
                return Err(Error::Interrupted(format!("{lost} completions had not ended")));
            }
            let grown = session.step(gpu).await?;
            tokens += grown.len() as u64;
            for Growth { request, grown } in grown {
                let Grown { piece, ended, .. } = grown?;
                if !piece.is_empty() {
                    observer.on(Event::Grew { request, piece: &piece });
                }
                if let Some(generated) = ended {
                    kept(request, &generated)?;
                    completions[request] = Some(generated);
                    done += 1;
                }
            }
            observer.on(Event::Sampled { done, total: requests.len(), tokens });
        }
        Ok(completions.into_iter().flatten().collect())
    }

    /// Completions that join and leave between steps.
    pub fn session(&mut self) -> Session<'_> {
        let Self { engine, tokenizer, ends, capacity, vocabulary } = self;
        Session::new(engine, Model { tokenizer, ends, vocabulary: *vocabulary, capacity: *capacity })
    }
}

/// The seed of one completion, which depends on nothing but these. That of the first completion of the first prompt is the
/// seed itself, so any completion can be drawn again alone. It fits the numbers of JSON.
pub fn seed_of(seed: u64, row: usize, sample: usize) -> u64 {
    if row == 0 && sample == 0 {
        return seed;
    }
    let bytes: Vec<u8> = [seed, row as u64, sample as u64].into_iter().flat_map(u64::to_le_bytes).collect();
    XxHash3_64::oneshot(&bytes) >> 11
}
