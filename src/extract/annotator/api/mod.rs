//! A model behind an OpenAI-compatible server (`POST …/chat/completions`).
//!
//! A [`Store`] keeps every answer from the moment it arrives, `crowd` sends many requests at once, `protocol` defines
//! requests and answers, and this file the meaning of answers. The key is read from the environment only.

mod crowd;
mod protocol;

use std::collections::HashSet;
use std::future::ready;
use std::time::Duration;

use twox_hash::XxHash3_128;

use self::crowd::{Crowd, Job};
use self::protocol::{KEY_VARIABLE, body};
use super::answer::verdict;
use super::prompt::{Question, feedback_named, refusal_named};
use super::{ANSWERS, Annotator, Refusal, Usage, Verdict, Verdicts};
use crate::data::Feedback;
use crate::extract::config::ExtractConfig;
use crate::extract::turn::Turn;
use crate::http::Endpoint;
use crate::store::{Key, Store};
use crate::{Error, Event, Observer, Result};

/// Requests for one answer until the run ends.
const ATTEMPTS: u32 = 8;
/// The first wait after a failure; they double.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The annotator.
pub(crate) struct Api {
    model: String,
    crowd: Crowd,
    store: Store<String>,
    retry_unparsable: bool,
    /// The questions that this run has asked again because the stored answer was not a verdict.
    asked_again: HashSet<Key>,
    prices: Option<(f64, f64)>,
    usage: Usage,
}

impl Api {
    /// The annotator that the settings describe.
    ///
    /// # Errors
    /// An address that is none, a key that is none, or answers that cannot be read.
    pub(crate) fn open(config: &ExtractConfig) -> Result<Self> {
        let key = std::env::var(KEY_VARIABLE).ok();
        // Keys are often read from files, which end with a line end.
        let key = key.as_deref().map(str::trim).filter(|key| !key.is_empty());
        Self::with(config, key, FIRST_WAIT)
    }

    fn with(config: &ExtractConfig, key: Option<&str>, first_wait: Duration) -> Result<Self> {
        let base = config.api_base.as_deref().unwrap_or_default();
        let url = format!("{}/chat/completions", base.trim_end_matches('/'));
        let timeout = Duration::from_secs_f64(config.api_timeout);
        let prices = (config.api_prompt_price, config.api_completion_price);
        Ok(Self {
            model: config.api_model.clone().unwrap_or_default(),
            crowd: Crowd {
                endpoint: Endpoint::new("`.api_base`", &url, key, timeout)?,
                concurrency: config.api_concurrency,
                attempts: ATTEMPTS,
                first_wait,
            },
            store: Store::open(&config.output.join(ANSWERS))?,
            retry_unparsable: config.retry_unparsable,
            asked_again: HashSet::new(),
            // One price alone makes the other tokens free.
            prices: (prices != (None, None)).then(|| (prices.0.unwrap_or(0.0), prices.1.unwrap_or(0.0))),
            usage: Usage::default(),
        })
    }

    /// A verdict for each turn, from the store or from the server.
    fn ask<T>(
        &mut self,
        question: Question,
        turns: &[&Turn],
        named: impl Fn(&str) -> Option<T>,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Verdict<T>>> {
        let keys: Vec<Key> =
            turns.iter().map(|turn| XxHash3_128::oneshot(&body(&self.model, question, turn))).collect();
        let mut jobs = vec![];
        let mut listed = HashSet::new();
        for (turn, &key) in turns.iter().zip(&keys) {
            // Two turns that read the same are one question.
            if !listed.insert(key) {
                continue;
            }
            match self.store.get(key)? {
                Some(answer) if !self.asks_again(key, &verdict(&answer, question, &named)) => {
                    self.usage.stored += u64::from(self.store.is_earlier(key));
                }
                _ => jobs.push(Job { key, turn }),
            }
        }
        let (stored, of) = (listed.len() - jobs.len(), listed.len());
        observer.on(Event::Annotated { done: stored, total: of });
        self.send(question, &jobs, stored, of, observer)?;
        let verdicts = keys.iter().map(|key| match self.store.get(*key)? {
            Some(answer) => Ok(verdict(&answer, question, &named)),
            // Every job was stored, or the run would have ended.
            None => Ok(Verdict::Unparsable { answer: String::new() }),
        });
        verdicts.collect()
    }

    /// Whether to ask again despite a stored answer: it is not a verdict, the user wants it, and this run has not asked
    /// yet.
    fn asks_again<T>(&mut self, key: Key, verdict: &Verdict<T>) -> bool {
        self.retry_unparsable && matches!(verdict, Verdict::Unparsable { .. }) && self.asked_again.insert(key)
    }

    /// Sends the jobs and stores their answers. If a server refuses a question, the refusal is its answer: it would
    /// refuse again.
    fn send(
        &mut self,
        question: Question,
        jobs: &[Job],
        stored: usize,
        of: usize,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let body = |turn: &Turn| body(&self.model, question, turn);
        let (store, usage, prices) = (&mut self.store, &mut self.usage, self.prices);
        let mut done = stored;
        let kept = |answers: Vec<crowd::Answered>| {
            let lines: Vec<_> =
                answers.iter().map(|a| (a.job.key, a.job.turn.id(), a.completion.answer.clone())).collect();
            store.append(&lines)?;
            for answered in &answers {
                usage.prompt_tokens += answered.completion.prompt_tokens;
                usage.completion_tokens += answered.completion.completion_tokens;
            }
            usage.cost = prices.map(|(prompt, completion)| {
                (usage.prompt_tokens as f64 * prompt + usage.completion_tokens as f64 * completion) / 1e6
            });
            done += answers.len();
            observer.on(Event::Annotated { done, total: of });
            Ok(observer.stop_requested())
        };
        let sent = self.crowd.answers(jobs, &body, kept);
        self.usage.requests += sent.requests;
        self.usage.retries += sent.retries;
        sent.outcome.map_err(|error| self.with_hint(error))
    }

    /// An error that ends the run, with what is kept.
    fn with_hint(&self, error: Error) -> Error {
        match error {
            Error::Run { problem, hint } => {
                let kept = format!("{} answers are kept; continue with `.resume`", self.store.count());
                Error::Run { problem, hint: if hint.is_empty() { kept } else { format!("{hint}; {kept}") } }
            }
            other => other,
        }
    }
}

impl Annotator for Api {
    fn name(&self) -> String {
        format!("api:{}", self.model)
    }

    fn feedback<'a>(&'a mut self, turns: &'a [&'a Turn], observer: &'a mut dyn Observer) -> Verdicts<'a, Feedback> {
        Box::pin(ready(self.ask(Question::Feedback, turns, feedback_named, observer)))
    }

    fn refusals<'a>(&'a mut self, turns: &'a [&'a Turn], observer: &'a mut dyn Observer) -> Verdicts<'a, Refusal> {
        Box::pin(ready(self.ask(Question::Refusal, turns, refusal_named, observer)))
    }

    fn usage(&self) -> Usage {
        self.usage
    }
}

#[cfg(test)]
mod tests;
