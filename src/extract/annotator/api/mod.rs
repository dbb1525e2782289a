//! A model behind an OpenAI-compatible server (`POST …/chat/completions`).
//!
//! A [`Store`] keeps every answer from the moment it arrives, `crowd` sends many requests at once, and this file
//! defines the requests and the meaning of answers. The key is read from the environment only.

mod crowd;

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use twox_hash::XxHash3_128;

use self::crowd::{Crowd, Job};
use super::answer::verdict;
use super::prompt::{Question, Room, feedback_named, refusal_named};
use super::{ANSWERS, Annotator, Refusal, Usage, Verdict, Watch};
use crate::data::Feedback;
use crate::extract::config::ExtractConfig;
use crate::extract::turn::Turn;
use crate::http::{Endpoint, Failure};
use crate::store::{Key, Store};
use crate::{Error, Result};

/// The environment variable of the server's key.
pub const KEY_VARIABLE: &str = "WGR_API_KEY";
/// Tokens a model may spend on thoughts, reason and verdict.
const MAX_TOKENS: u32 = 2048;
/// Requests for one answer until the run ends.
const ATTEMPTS: u32 = 8;
/// The first wait after a failure; they double.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The annotator.
pub struct Api {
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
    pub fn open(config: &ExtractConfig) -> Result<Self> {
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
                endpoint: Endpoint::new("--api-base", &url, key, timeout)?,
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
        watch: &mut dyn Watch,
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
        watch.annotated(stored, of);
        self.send(question, &jobs, stored, of, watch)?;
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
        watch: &mut dyn Watch,
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
            watch.annotated(done, of);
            Ok(watch.stop_requested())
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
                let kept = format!("{} answers are kept; continue with --resume", self.store.count());
                Error::Run { problem, hint: if hint.is_empty() { kept } else { format!("{hint}; {kept}") } }
            }
            other => other,
        }
    }
}

/// The body of the request for a turn.
fn body(model: &str, question: Question, turn: &Turn) -> Vec<u8> {
    let content = question.text(turn, Room::WIDE);
    // Everything in one user message, as some models know no system message.
    let body = json!({
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        "max_tokens": MAX_TOKENS,
    });
    body.to_string().into_bytes()
}

impl Annotator for Api {
    fn name(&self) -> String {
        format!("api:{}", self.model)
    }

    fn feedback(&mut self, turns: &[&Turn], watch: &mut dyn Watch) -> Result<Vec<Verdict<Feedback>>> {
        self.ask(Question::Feedback, turns, feedback_named, watch)
    }

    fn refusals(&mut self, turns: &[&Turn], watch: &mut dyn Watch) -> Result<Vec<Verdict<Refusal>>> {
        self.ask(Question::Refusal, turns, refusal_named, watch)
    }

    fn usage(&self) -> Usage {
        self.usage
    }
}

/// An answer with what it cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Completion {
    answer: String,
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl Completion {
    /// Reads the body of a response. A body that is not a completion is a failure that may pass: gateways answer with
    /// pages of their own.
    fn parse(body: &[u8]) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Body {
            choices: Vec<Choice>,
            usage: Option<Tokens>,
        }
        #[derive(Deserialize)]
        struct Choice {
            message: Said,
        }
        #[derive(Deserialize)]
        struct Said {
            /// Null where a server withholds the answer.
            content: Option<String>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Tokens {
            prompt_tokens: u64,
            completion_tokens: u64,
        }
        let body: Body = serde_json::from_slice(body)
            .map_err(|e| Failure::passing(format!("the server's answer is not a chat completion: {e}")))?;
        let tokens = body.usage.unwrap_or_default();
        let choice = body.choices.into_iter().next();
        let choice = choice.ok_or_else(|| Failure::passing("the server's answer has no choice"))?;
        Ok(Self {
            answer: choice.message.content.unwrap_or_default(),
            prompt_tokens: tokens.prompt_tokens,
            completion_tokens: tokens.completion_tokens,
        })
    }
}

#[cfg(test)]
mod tests;
