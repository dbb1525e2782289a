//! Completions under way, each with settings of its own, which join and leave between steps.

use std::collections::HashMap;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tokenizers::Tokenizer;

use super::config::Settings;
use super::engine::{Draw, Engine, Known};
use super::log_prob::TokenLogProb;
use super::sampler::uniform;
use super::scheduler::{Capacity, Request, Scheduler};
use super::shortlist::Shortlist;
use super::text::{Finish, Text};
use crate::gpu::Gpu;
use crate::kernels::shortlist::CERTAIN;
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
    /// token, beside that many of the most likely ones, at most [`CERTAIN`]; `at` names the prompt in errors.
    ///
    /// # Errors
    /// The settings mean nothing; more likely tokens are asked for than there are; the prompt is empty, has an unknown token, or fills the longest sequence.
    pub fn add(
        &mut self,
        at: &str,
        request: &Request,
        settings: Arc<Settings>,
        log_probs: Option<usize>,
    ) -> Result<usize> {
        settings.sampling.validate()?;
        self.model.check(at, &request.prompt)?;
        if let Some(count) = log_probs.filter(|count| *count > CERTAIN) {
            return Err(Error::input(
                at,
                format!("asks for {count} likely tokens"),
                format!("{CERTAIN} are told at most"),
            ));
        }
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
        let mut draws = vec![];
        for number in &step.drawing {
            let growing = self.growing.get_mut(number).ok_or_else(lost)?;
            draws.push(growing.draw(self.scheduler.tokens(*number)));
        }
        let known = self.engine.step(gpu, &step, &draws).await?;
        let mut growths = vec![];
        for (end, ((number, draw), known)) in step.drawing.into_iter().zip(draws).zip(known).enumerate() {
            let mut growing = self.growing.remove(&number).ok_or_else(lost)?;
            let log_probs = growing.log_probs;
            let grown = match known {
                Ok(known) => {
                    let drawn = Drawn::of(gpu, self.engine, end, &draw, known, log_probs).await?;
                    growing.grow(self.model, self.scheduler.tokens(number).len(), drawn)
                }
                Err(error) => Err(error),
            };
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

/// The scheduler and the session disagree about who is there.
fn lost() -> Error {
    Error::run("a completion was lost between steps", "this is a bug in the engine; please report it")
}

/// A token that was drawn.
struct Drawn {
    token: u32,
    /// How likely it was, if asked for.
    log_prob: Option<TokenLogProb>,
}

impl Drawn {
    /// After one of the ends of a step. All of its logits are read if what is known does not tell.
    async fn of(
        gpu: &Gpu,
        engine: &Engine,
        end: usize,
        draw: &Draw,
        known: Known,
        log_probs: Option<usize>,
    ) -> Result<Self> {
        let Draw { sampling, share, .. } = draw;
        let whole = "a list of all tokens tells";
        let Known { mut plain, penalised } = known;
        let token = match sampling.token(penalised.as_ref().unwrap_or(&plain), *share) {
            Some(token) => token,
            None => {
                let row = Shortlist::of_row(&engine.logits(gpu, end).await?, sampling.temperature);
                sampling.token(&row, *share).expect(whole)
            }
        };
        let Some(count) = log_probs else {
            return Ok(Self { token, log_prob: None });
        };
        if TokenLogProb::of(&plain, token, count).is_none() {
            let mut row = engine.logits(gpu, end).await?;
            draw.undo_penalty(&mut row);
            plain = Shortlist::of_row(&row, 1.0);
        }
        Ok(Self { token, log_prob: Some(TokenLogProb::of(&plain, token, count).expect(whole)) })
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

    /// How the next token is drawn after those `tokens` so far, prompt included.
    fn draw(&mut self, tokens: &[u32]) -> Draw {
        let sampling = self.settings.sampling;
        let share = if sampling.temperature > 0.0 { uniform(&mut self.rng) } else { 0.0 };
        let mut seen = if sampling.repetition_penalty == 1.0 { vec![] } else { tokens.to_vec() };
        seen.sort_unstable();
        seen.dedup();
        Draw { sampling, share, seen }
    }

    /// Takes a token after `length` tokens, prompt included.
    fn grow(&mut self, model: Model<'_>, length: usize, drawn: Drawn) -> Result<Grown> {
        let Model { tokenizer, ends, capacity, .. } = model;
        let settings = self.settings.clone();
        let Settings { max_new_tokens, stop, .. } = &*settings;
        let Drawn { token, log_prob } = drawn;
        self.tokens.push(token);
        // The token that ends it is not part of the text.
        if ends.contains(&token) || self.text.push(tokenizer, token, stop)? {
            self.finish = Some(Finish::Stop);
        } else if self.tokens.len() >= *max_new_tokens || capacity.length - length <= 1 {
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
