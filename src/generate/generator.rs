//! The loop: steps until every request has its completion.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use tokenizers::Tokenizer;
use twox_hash::XxHash3_64;

use super::config::Settings;
use super::engine::{self, Engine};
use super::scheduler::{Capacity, Request, Scheduler};
use super::text::{Finish, Text};
use crate::gpu::{Dtype, Gpu, Profile, Recording};
use crate::model::activations::AdapterRoom;
use crate::model::cache::KeyValueCache;
use crate::model::causal::Causal;
use crate::model::config::ModelConfig;
use crate::model::plan::MemoryPlan;
use crate::{Error, Event, Observer, Result};

/// Tokens of a step that are of prompts, where the adapter's bindings are large enough.
const STEP_TOKENS: usize = 512;

/// A completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The sampled tokens, including the one that ended it.
    pub tokens: Vec<u32>,
    /// Its text, without special tokens and up to a stop string.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
}

/// A causal model, ready to complete prompts.
pub struct Generator {
    engine: Engine,
    tokenizer: Tokenizer,
    /// Tokens that end a completion.
    ends: Vec<u32>,
    capacity: Capacity,
    vocabulary: usize,
}

/// A completion under way.
struct Growing {
    rng: ChaCha8Rng,
    text: Text,
    tokens: Vec<u32>,
    finish: Option<Finish>,
}

/// The capacity for this many sequences at once, each of at most `length` tokens, as far as the adapter can bind it.
///
/// # Errors
/// Not even one sequence of that length fits.
pub fn capacity(gpu: &Gpu, config: &ModelConfig, sequences: usize, length: usize, cache: Dtype) -> Result<Capacity> {
    let wanted = Capacity { sequences, tokens: STEP_TOKENS.max(sequences), length, pages: 0 };
    let pages = sequences * wanted.pages_a_sequence();
    let capacity = Engine::fitting(gpu, config, Capacity { pages, ..wanted }, cache);
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
            let prompt: std::sync::Arc<[u32]> = prompt.as_slice().into();
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
        settings.sampling.validate()?;
        for (index, request) in requests.iter().enumerate() {
            self.check(&format!("request {index}"), &request.prompt)?;
        }
        let mut growing: Vec<Growing> = requests.iter().map(|request| Growing::new(request.seed)).collect();
        let mut scheduler = Scheduler::new(self.capacity, requests, settings.max_new_tokens);
        let (mut done, mut tokens) = (0, 0);
        while let Some(step) = scheduler.step() {
            if observer.stop_requested() {
                let lost = requests.len() - done;
                return Err(Error::Interrupted(format!("{lost} completions had not ended")));
            }
            let logits = self.engine.step(gpu, &step).await?;
            tokens += step.drawing.len() as u64;
            // Drawing from a long vocabulary takes a while; sequences do not depend on each other.
            let mut drawing: Vec<(usize, Growing, Vec<f32>)> = vec![];
            for (request, logits) in step.drawing.iter().zip(logits) {
                let taken = std::mem::replace(&mut growing[*request], Growing::new(0));
                drawing.push((*request, taken, logits));
            }
            let drawn: Vec<u32> = drawing
                .par_iter_mut()
                .map(|(request, growing, logits)| {
                    let seen = scheduler.tokens(*request);
                    let token = settings.sampling.token(std::mem::take(logits), seen, &mut growing.rng)?;
                    let room = self.capacity.length - seen.len();
                    growing.add(&self.tokenizer, token, &self.ends, settings, room)?;
                    Ok(token)
                })
                .collect::<Result<_>>()?;
            for ((request, grown, _), token) in drawing.into_iter().zip(drawn) {
                growing[request] = grown;
                let grown = &mut growing[request];
                scheduler.drawn(request, token, grown.finish.is_some());
                let piece = grown.text.fresh(&settings.stop, grown.finish.is_some());
                if !piece.is_empty() {
                    observer.on(Event::Grew { request, piece });
                }
                if let Some(generated) = grown.generated() {
                    kept(request, &generated)?;
                    done += 1;
                }
            }
            observer.on(Event::Sampled { done, total: requests.len(), tokens });
        }
        let done: Vec<Generated> = growing.iter().filter_map(Growing::generated).collect();
        match done.len() == requests.len() {
            true => Ok(done),
            false => {
                Err(Error::run("the cache has no room for a sequence", "this is a bug in the engine; please report it"))
            }
        }
    }

    /// Refuses a prompt that cannot be completed; `at` names it.
    ///
    /// # Errors
    /// It is empty, has an unknown token, or fills the longest sequence.
    pub fn check(&self, at: &str, prompt: &[u32]) -> Result<()> {
        if prompt.is_empty() {
            return Err(Error::input(at, "has no tokens", "the prompt may be blank"));
        }
        if let Some(id) = prompt.iter().find(|id| **id as usize >= self.vocabulary) {
            let problem = format!("has the token {id}, but the embedding has {} rows", self.vocabulary);
            return Err(Error::input(at, problem, "tokenizer and model do not match"));
        }
        if prompt.len() >= self.capacity.length {
            let problem = format!("has {} tokens; a sequence may have {}", prompt.len(), self.capacity.length);
            return Err(Error::input(at, problem, "shorten the prompt"));
        }
        Ok(())
    }
}

impl Growing {
    fn new(seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { rng, text: Text::default(), tokens: vec![], finish: None }
    }

    /// Adds a token to a sequence with limited room.
    fn add(&mut self, tokenizer: &Tokenizer, token: u32, ends: &[u32], settings: &Settings, room: usize) -> Result<()> {
        self.tokens.push(token);
        // The token that ends it is not part of the text.
        if ends.contains(&token) || self.text.push(tokenizer, token, &settings.stop)? {
            self.finish = Some(Finish::Stop);
        } else if self.tokens.len() >= settings.max_new_tokens || room <= 1 {
            self.finish = Some(Finish::Length);
        }
        if self.finish.is_some() {
            self.text.finish(tokenizer, &settings.stop)?;
        }
        Ok(())
    }

    fn generated(&self) -> Option<Generated> {
        let finish = self.finish?;
        Some(Generated { tokens: self.tokens.clone(), text: self.text.text().to_owned(), finish })
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
