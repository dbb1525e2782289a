//! The annotator that runs a causal model on the engine, without a server.
//!
//! A verdict needs no generation: the question ends where the model would name its verdict, and there the logits of the
//! tokens that spell the verdicts are compared. They are products of the last hidden state with a few rows of the
//! output matrix, so the model is loaded as a sequence classifier whose head is these rows; it needs no kernel of its
//! own, and no logits of the whole vocabulary.
//!
//! The verdict is the most probable one after calibration, and its probability is the confidence. The logits are kept
//! in the [`Store`] of the output, so that a stopped run can continue.

mod engine;
mod prompt;

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use twox_hash::XxHash3_128;

pub(crate) use engine::Engine;
use prompt::{Prompter, Spelling};

use super::prompt::{Question, feedback_named, refusal_named};
use super::{ANSWERS, Annotator, Refusal, Usage, Verdict, Verdicts};
use crate::data::Feedback;
use crate::data::{Conversation, Message, Role};
use crate::extract::report::PAPER_SHARES;
use crate::extract::turn::Turn;
use crate::gpu::Gpu;
use crate::model::base::BaseDtype;
use crate::model::{Checkpoint, Reading};
use crate::store::{Key, Store};
use crate::{Error, Event, Observer, Ranks, Result};

/// Runs a causal model on the engine.
pub(crate) struct Local<'a> {
    name: String,
    prompter: Prompter,
    engine: Engine<'a>,
    feedback: Judge,
    refusal: Judge,
    store: Store<String>,
    usage: Usage,
    reading: Reading,
}

/// How one question is asked and answered.
struct Judge {
    question: Question,
    spelling: Spelling,
    /// The first of its logits among those of the engine.
    first: usize,
    /// Added to its logits: see [`Judge::calibrated`].
    calibration: Vec<f64>,
    /// A hash of the logits on a turn without content: another model, or another adapter, gives others.
    identity: Key,
}

/// A model on the device, with its questions.
struct Loaded<'a> {
    prompter: Prompter,
    engine: Engine<'a>,
    feedback: Spelling,
    refusal: Spelling,
    reading: Reading,
}

impl<'a> Loaded<'a> {
    fn open(gpu: &'a Gpu, model: &str, base: Option<BaseDtype>) -> Result<Self> {
        let checkpoint = Checkpoint::open(model)?.held_in(base);
        let refuse = |problem| {
            let hint = "use an instruction-tuned causal model as `.annotator_model`";
            Err(Error::input(checkpoint.path().display().to_string(), problem, hint))
        };
        if checkpoint.is_new() {
            return refuse("has no weights");
        }
        if checkpoint.config().num_labels.is_some() {
            return refuse("is a reward model, which cannot answer");
        }
        let reading = Reading::of_causal(&checkpoint)?;
        let prompter = Prompter::new(&checkpoint, engine::max_prompt(gpu, &checkpoint))?;
        let turn = without_content();
        let spelling = |question| prompter.spelling(question, &turn);
        let (feedback, refusal) = (spelling(Question::Feedback)?, spelling(Question::Refusal)?);
        let outputs: Vec<u32> = feedback.tokens.iter().chain(&refusal.tokens).copied().collect();
        let engine = Engine::load(gpu, &checkpoint, &outputs)?;
        Ok(Self { prompter, engine, feedback, refusal, reading })
    }
}

impl<'a> Local<'a> {
    /// Loads an instruction-tuned causal model: a directory, a `.gguf` file or a hub name, its matrices held in `base` or
    /// as stored; answers are kept in `output`.
    ///
    /// # Errors
    /// The model cannot be read, is not a causal model, has no chat template, or does not fit the adapter; the answers
    /// of earlier runs cannot be read.
    pub(crate) async fn open(gpu: &'a Gpu, model: &str, base: Option<BaseDtype>, output: &Path) -> Result<Self> {
        let Loaded { prompter, mut engine, feedback, refusal, reading } = Loaded::open(gpu, model, base)?;
        let first = feedback.tokens.len();
        let judge = |question, spelling, first| Judge { question, spelling, first, calibration: vec![], identity: 0 };
        let (feedback, refusal) = (judge(Question::Feedback, feedback, 0), judge(Question::Refusal, refusal, first));
        let feedback = feedback.calibrated(&PAPER_SHARES, "neutral", &prompter, &mut engine).await?;
        let refusal = refusal.calibrated(&[0.5, 0.5], "harmless", &prompter, &mut engine).await?;
        let store = Store::open(&output.join(ANSWERS))?;
        let (name, usage) = (format!("local:{model}"), Usage::default());
        Ok(Self { name, prompter, engine, feedback, refusal, store, usage, reading })
    }

    /// The same, with an engine on every rank.
    pub(crate) fn over(mut self, ranks: &Ranks) -> Self {
        self.engine.ranks = ranks.clone();
        self
    }

    /// The engine alone, for a rank that only computes.
    ///
    /// # Errors
    /// As [`Local::open`].
    pub(crate) fn engine(gpu: &'a Gpu, model: &str, base: Option<BaseDtype>) -> Result<Engine<'a>> {
        Loaded::open(gpu, model, base).map(|loaded| loaded.engine)
    }
}

impl Judge {
    /// Calibrates on a turn without content, after "Calibrate Before Use" (arXiv 2102.09690): small models prefer some
    /// answers whatever they read. There the odds of each verdict against `default` should be those of `shares`; where they
    /// are higher, they are lowered to them, and by the same factor in all turns. They are never raised: a model that is
    /// sure of the default without content has understood the question.
    async fn calibrated(
        mut self,
        shares: &[f64],
        default: &str,
        prompter: &Prompter,
        engine: &mut Engine<'_>,
    ) -> Result<Self> {
        self.calibration = vec![0.0; shares.len()];
        let prompt = prompter.prompt(self.question, &without_content(), &self.spelling)?;
        let mut logits = vec![];
        let kept = |_: &[usize], rows: &[Vec<f32>]| {
            logits = rows.concat();
            Ok(())
        };
        engine.logits(&[prompt], kept).await?;
        self.identity = XxHash3_128::oneshot(bytemuck::cast_slice(&logits));
        let found = self.probabilities(&logits);
        let ratios: Vec<f64> = shares.iter().zip(found).map(|(share, found)| share / found).collect();
        let default = self.question.choices().iter().position(|name| *name == default).unwrap_or(0);
        self.calibration = ratios.iter().map(|ratio| (ratio / ratios[default]).ln().min(0.0)).collect();
        Ok(self)
    }

    /// The probability of each verdict; they sum to one.
    fn probabilities(&self, logits: &[f32]) -> Vec<f64> {
        let logits =
            logits[self.first..].iter().zip(&self.calibration).map(|(logit, offset)| f64::from(*logit) + offset);
        let logits: Vec<f64> = logits.collect();
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let odds: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
        let sum: f64 = odds.iter().sum();
        odds.iter().map(|odds| odds / sum).collect()
    }

    fn verdict<T>(&self, logits: &[f32], named: impl Fn(&str) -> Option<T>) -> Verdict<T> {
        let probabilities = self.probabilities(logits);
        let choices = self.question.choices();
        let choices = choices.iter().zip(&probabilities);
        let reason: Vec<String> = choices.clone().map(|(name, p)| format!("{name} {p:.2}")).collect();
        let reason = reason.join(", ");
        let best = choices.max_by(|a, b| a.1.total_cmp(b.1));
        match best.and_then(|(name, p)| Some((named(name)?, *p as f32))) {
            Some((value, confidence)) => Verdict::Given { value, reason, confidence: Some(confidence) },
            None => Verdict::Unparsable { answer: reason },
        }
    }

    /// The key of a question, given as a prompt.
    fn key(&self, prompt: &[u32]) -> Key {
        let seed = self.identity as u64 ^ (self.identity >> 64) as u64;
        XxHash3_128::oneshot_with_seed(seed, bytemuck::cast_slice(prompt))
    }
}

impl Local<'_> {
    /// The verdicts on some turns; those that are stored are not computed again.
    async fn ask<T>(
        &mut self,
        question: Question,
        turns: &[&Turn],
        named: impl Fn(&str) -> Option<T>,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Verdict<T>>> {
        let Self { prompter, engine, store, usage, .. } = self;
        let judge = if question == Question::Feedback { &self.feedback } else { &self.refusal };
        let prompts = turns.par_iter().map(|turn| prompter.prompt(question, turn, &judge.spelling));
        let prompts: Vec<Vec<u32>> = prompts.collect::<Result<_>>()?;
        let keys: Vec<Key> = prompts.iter().map(|prompt| judge.key(prompt)).collect();
        let mut found: Vec<Option<Vec<f32>>> = vec![None; turns.len()];
        for (found, &key) in found.iter_mut().zip(&keys) {
            // A line that someone else wrote may hold anything.
            *found = store.get(key)?.and_then(|logits| serde_json::from_str(&logits).ok());
            usage.stored += u64::from(found.is_some() && store.is_earlier(key));
        }
        let missing: Vec<usize> = (0..turns.len()).filter(|&index| found[index].is_none()).collect();
        let mut done = turns.len() - missing.len();
        observer.on(Event::Annotated { done, total: turns.len() });
        let prompts: Vec<Vec<u32>> = missing.iter().map(|&index| prompts[index].clone()).collect();
        let kept = |batch: &[usize], rows: &[Vec<f32>]| {
            let mut answers = vec![];
            for (&place, logits) in batch.iter().zip(rows) {
                let index = missing[place];
                let line = serde_json::json!(logits).to_string();
                usage.prompt_tokens += prompts[place].len() as u64;
                answers.push((keys[index], turns[index].id(), line));
                found[index] = Some(logits.clone());
            }
            store.append(&answers)?;
            done += batch.len();
            observer.on(Event::Annotated { done, total: turns.len() });
            match observer.stop_requested() && done < turns.len() {
                true => Err(Error::Interrupted("the answers so far are kept; continue with `.resume`".into())),
                false => Ok(()),
            }
        };
        engine.logits(&prompts, kept).await?;
        Ok(found.iter().flatten().map(|logits| judge.verdict(logits, &named)).collect())
    }
}

/// A turn that says nothing.
fn without_content() -> Turn {
    let message = |role| Message::new(role, "N/A");
    let messages = vec![message(Role::User), message(Role::Assistant), message(Role::User)];
    let (id, user, model, language, timestamp) = (String::new(), None, None, None, None);
    let conversation = Arc::new(Conversation { id, user, model, language, timestamp, messages });
    Turn::of(&conversation).remove(0)
}

impl Annotator for Local<'_> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn reading(&self) -> Option<&Reading> {
        Some(&self.reading)
    }

    fn feedback<'a>(&'a mut self, turns: &'a [&'a Turn], observer: &'a mut dyn Observer) -> Verdicts<'a, Feedback> {
        Box::pin(self.ask(Question::Feedback, turns, feedback_named, observer))
    }

    fn refusals<'a>(&'a mut self, turns: &'a [&'a Turn], observer: &'a mut dyn Observer) -> Verdicts<'a, Refusal> {
        Box::pin(self.ask(Question::Refusal, turns, refusal_named, observer))
    }

    fn usage(&self) -> Usage {
        self.usage
    }
}

#[cfg(test)]
mod tests;
