//! Completions under way, each with settings of its own, which join and leave between steps.

use std::collections::HashMap;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use tokenizers::Tokenizer;

use super::config::Settings;
use super::engine::Engine;
use super::log_prob::TokenLogProb;
use super::scheduler::{Capacity, Request, Scheduler};
use super::text::{Finish, Text};
use crate::gpu::Gpu;
use crate::{Error, Result};

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

/// What a step did to a completion.
#[derive(Debug)]
pub struct Growth {
    /// Its number.
    pub request: usize,
    /// What it gained; or why it cannot go on, after which it has left.
    pub grown: Result<Grown>,
}

/// What a completion gained in a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Grown {
    /// The token sampled.
    pub token: u32,
    /// How likely it was, if asked for.
    pub log_prob: Option<TokenLogProb>,
    /// Text that is certain now: whole characters that are not the beginning of a stop string.
    pub piece: String,
    /// The completion, if it has ended.
    pub ended: Option<Generated>,
}

/// Completions that join and leave between steps. One depends on its prompt, settings and seed alone, whatever runs beside
/// it.
pub struct Session<'a> {
    engine: &'a mut Engine,
    model: Model<'a>,
    scheduler: Scheduler,
    growing: HashMap<usize, Growing>,
}

/// What all completions share beside the device.
#[derive(Clone, Copy)]
pub(super) struct Model<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    /// Tokens that end a completion.
    pub(super) ends: &'a [u32],
    pub(super) vocabulary: usize,
    pub(super) capacity: Capacity,
}

/// A completion under way.
struct Growing {
    settings: Arc<Settings>,
    /// The number of likely tokens to tell of; `None` tells of no probabilities at all.
    log_probs: Option<usize>,
    rng: ChaCha8Rng,
    text: Text,
    tokens: Vec<u32>,
    finish: Option<Finish>,
}

impl<'a> Session<'a> {
    pub(super) fn new(engine: &'a mut Engine, model: Model<'a>) -> Self {
        Self { engine, model, scheduler: Scheduler::new(model.capacity), growing: HashMap::new() }
    }

    /// Lets a completion join, and returns its number; they count from 0. `log_probs` asks for the log-probability of each
    /// token, beside that many of the most likely ones; `at` names the prompt in errors.
    ///
    /// # Errors
    /// The settings mean nothing; the prompt is empty, has an unknown token, or fills the longest sequence.
    pub fn add(
        &mut self,
        at: &str,
        request: &Request,
        settings: Arc<Settings>,
        log_probs: Option<usize>,
    ) -> Result<usize> {
        settings.sampling.validate()?;
        self.model.check(at, &request.prompt)?;
        let number = self.scheduler.add(request.prompt.clone(), settings.max_new_tokens);
        self.growing.insert(number, Growing::new(settings, log_probs, request.seed));
        Ok(number)
    }

    /// Lets a completion leave before it has ended; its room is free at once.
    pub fn remove(&mut self, number: usize) {
        self.scheduler.remove(number);
        self.growing.remove(&number);
    }

    /// Whether there is nothing to complete.
    pub fn is_idle(&self) -> bool {
        self.scheduler.is_idle()
    }

    /// Computes the next step, and tells what became of the completions that got a token in it. Those that ended have left.
    ///
    /// # Errors
    /// The device fails, after which the session is of no further use.
    pub async fn step(&mut self, gpu: &Gpu) -> Result<Vec<Growth>> {
        if self.is_idle() {
            return Ok(vec![]);
        }
        let Some(step) = self.scheduler.step() else {
            return Err(Error::run(
                "the cache has no room for a sequence",
                "this is a bug in the engine; please report it",
            ));
        };
        let logits = self.engine.step(gpu, &step).await?;
        // Drawing from a long vocabulary takes a while; sequences do not depend on each other.
        let mut drawing: Vec<(usize, Growing, Vec<f32>)> = vec![];
        for (number, logits) in step.drawing.into_iter().zip(logits) {
            drawing.extend(self.growing.remove(&number).map(|growing| (number, growing, logits)));
        }
        let (model, scheduler) = (self.model, &self.scheduler);
        let grown: Vec<Result<Grown>> = drawing
            .par_iter_mut()
            .map(|(number, growing, logits)| growing.grow(model, scheduler.tokens(*number), std::mem::take(logits)))
            .collect();
        let mut growths = vec![];
        for ((number, growing, _), grown) in drawing.into_iter().zip(grown) {
            match &grown {
                Ok(Grown { token, ended: None, .. }) => {
                    self.scheduler.drawn(number, *token, false);
                    self.growing.insert(number, growing);
                }
                Ok(_) | Err(_) => self.scheduler.remove(number),
            }
            growths.push(Growth { request: number, grown });
        }
        Ok(growths)
    }
}

impl Model<'_> {
    /// Refuses a prompt that cannot be completed; `at` names it.
    ///
    /// # Errors
    /// It is empty, has an unknown token, or fills the longest sequence.
    fn check(&self, at: &str, prompt: &[u32]) -> Result<()> {
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
    fn new(settings: Arc<Settings>, log_probs: Option<usize>, seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { settings, log_probs, rng, text: Text::default(), tokens: vec![], finish: None }
    }

    /// Samples a token after those `seen` so far, prompt included.
    fn grow(&mut self, model: Model<'_>, seen: &[u32], logits: Vec<f32>) -> Result<Grown> {
        let Model { tokenizer, ends, capacity, .. } = model;
        let settings = self.settings.clone();
        let Settings { sampling, max_new_tokens, stop } = &*settings;
        let told = self.log_probs.map(|count| (count, logits.clone()));
        let token = sampling.token(logits, seen, &mut self.rng)?;
        let log_prob = told.map(|(count, logits)| TokenLogProb::of(&logits, token, count));
        self.tokens.push(token);
        // The token that ends it is not part of the text.
        if ends.contains(&token) || self.text.push(tokenizer, token, stop)? {
            self.finish = Some(Finish::Stop);
        } else if self.tokens.len() >= *max_new_tokens || capacity.length - seen.len() <= 1 {
            self.finish = Some(Finish::Length);
        }
        if self.finish.is_some() {
            self.text.finish(tokenizer, stop)?;
        }
        let piece = self.text.fresh(stop, self.finish.is_some()).to_owned();
        let ended = self.finish.map(|finish| Generated {
            tokens: std::mem::take(&mut self.tokens),
            text: self.text.text().to_owned(),
            finish,
        });
        Ok(Grown { token, log_prob, piece, ended })
    }
}
