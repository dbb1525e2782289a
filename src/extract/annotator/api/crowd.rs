//! Concurrent requests, whose answers arrive one after the other.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::protocol::{Completion, KEY_VARIABLE};
use crate::extract::turn::Turn;
use crate::http::backoff::Backoff;
use crate::http::{Endpoint, Failure, Kind};
use crate::store::Key;
use crate::{Error, Result};

/// How often it is looked whether the user wants to stop.
const GLANCE: Duration = Duration::from_millis(50);

/// A turn to ask about.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub key: Key,
    pub turn: &'a Turn,
}

/// A turn with its answer.
pub(super) struct Answered<'a> {
    pub job: Job<'a>,
    pub completion: Completion,
}

/// The outcome of a job.
enum Outcome {
    Answered(Completion),
    /// No job can be done any more.
    Ends(Failure),
}

/// The outcomes of some jobs.
pub(super) struct Sent {
    /// Requests, those that were sent again included.
    pub requests: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Why the run ends, if it cannot continue.
    pub outcome: Result<()>,
}

/// The workers.
pub(super) struct Crowd {
    pub endpoint: Endpoint,
    /// Requests under way at once.
    pub concurrency: usize,
    /// Requests for one answer until the run ends.
    pub attempts: u32,
    /// The first wait after a failure.
    pub first_wait: Duration,
}

/// The shared state of the workers.
struct Shared<'a> {
    jobs: &'a [Job<'a>],
    next: AtomicUsize,
    /// No further request is sent.
    stop: AtomicBool,
    /// Whether the server has answered once, so that it can be used at all.
    answered: AtomicBool,
    /// A server that asks for a wait asks all workers.
    not_before: Mutex<Option<Instant>>,
    requests: AtomicU64,
    retries: AtomicU64,
}

impl Crowd {
    /// Asks for all answers. `kept` stores those that have arrived and says whether to stop; every answer that arrives is
    /// given to it, also after a failure and after it asked to stop.
    pub(super) fn answers<'a>(
        &self,
        jobs: &'a [Job<'a>],
        body: &(dyn Fn(&Turn) -> Vec<u8> + Sync),
        mut kept: impl FnMut(Vec<Answered<'a>>) -> Result<bool>,
    ) -> Sent {
        let shared = Shared {
            jobs,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            not_before: Mutex::new(None),
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        };
        let mut failed: Option<Error> = None;
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            for worker in 0..self.concurrency.min(jobs.len()) {
                let (sender, shared) = (sender.clone(), &shared);
                scope.spawn(move || self.work(shared, worker as u64, body, &sender));
            }
            // The channel ends with the last worker.
            drop(sender);
            loop {
                let mut arrived = match receiver.recv_timeout(GLANCE) {
                    Ok(first) => vec![first],
                    Err(RecvTimeoutError::Timeout) => vec![],
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                // Answers that arrived meanwhile are stored with it.
                arrived.extend(receiver.try_iter());
                let mut answers = vec![];
                for (job, outcome) in arrived {
                    match outcome {
                        Outcome::Answered(completion) => answers.push(Answered { job, completion }),
                        Outcome::Ends(failure) => drop(failed.get_or_insert(self.fatal(&failure))),
                    }
                }
                match kept(answers) {
                    Ok(true) => {
                        failed.get_or_insert(Error::Interrupted(
                            "the answers so far are kept; continue with `.resume`".into(),
                        ));
                    }
                    Ok(false) => {}
                    Err(error) => drop(failed.get_or_insert(error)),
                }
                if failed.is_some() {
                    shared.stop.store(true, Ordering::Relaxed);
                }
            }
        });
        Sent {
            requests: shared.requests.into_inner(),
            retries: shared.retries.into_inner(),
            outcome: failed.map_or(Ok(()), Err),
        }
    }

    /// Takes jobs until there are none, or until it is told to stop.
    fn work<'a>(
        &self,
        shared: &Shared<'a>,
        worker: u64,
        body: &dyn Fn(&Turn) -> Vec<u8>,
        sender: &Sender<(Job<'a>, Outcome)>,
    ) {
        while !shared.stop.load(Ordering::Relaxed) {
            let index = shared.next.fetch_add(1, Ordering::Relaxed);
            let Some(&job) = shared.jobs.get(index) else { return };
            if !shared.wait() {
                return;
            }
            let outcome = match self.ask(shared, worker ^ index as u64, &body(job.turn)) {
                Ok(completion) => {
                    shared.answered.store(true, Ordering::Relaxed);
                    Outcome::Answered(completion)
                }
                // A job that was abandoned because of the stop is not a failure of its own.
                Err(_) if shared.stop.load(Ordering::Relaxed) => return,
                // The server takes other questions; where nothing was answered yet, the fault lies with all requests.
                Err(Failure { problem, kind: Kind::BadRequest }) if shared.answered.load(Ordering::Relaxed) => {
                    Outcome::Answered(Completion { answer: problem, ..Completion::default() })
                }
                Err(failure) => {
                    shared.stop.store(true, Ordering::Relaxed);
                    Outcome::Ends(failure)
                }
            };
            // The receiver outlives the workers.
            let _ = sender.send((job, outcome));
        }
    }

    fn ask(&self, shared: &Shared, seed: u64, body: &[u8]) -> Result<Completion, Failure> {
        let mut backoff = Backoff::new(self.attempts, self.first_wait, seed);
        loop {
            shared.requests.fetch_add(1, Ordering::Relaxed);
            let failure = match self.endpoint.post(body).and_then(|body| Completion::parse(&body)) {
                Ok(completion) => return Ok(completion),
                Err(failure) => failure,
            };
            let Kind::Passing { wait: asked } = failure.kind else { return Err(failure) };
            let Some(wait) = backoff.next(asked) else { return Err(failure) };
            shared.hold(Instant::now() + wait, asked.is_some());
            if !shared.wait_until(Instant::now() + wait) {
                return Err(failure);
            }
            shared.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The error with which a failure ends the run.
    fn fatal(&self, failure: &Failure) -> Error {
        let url = self.endpoint.url();
        match failure.kind {
            Kind::Unauthorized => {
                let hint = format!("set {KEY_VARIABLE} to a key of this server");
                Error::run(format!("`.api_base` {url}: {}", failure.problem), hint)
            }
            Kind::Passing { .. } => {
                let problem = format!("`.api_base` {url}: {} ({} times in a row)", failure.problem, self.attempts);
                Error::run(problem, "is the server running?")
            }
            Kind::BadRequest | Kind::Permanent => {
                let hint = "check `.api_base` and `.api_model` against the server's own list of models";
                Error::run(format!("`.api_base` {url}: {}", failure.problem), hint)
            }
        }
    }
}

impl Shared<'_> {
    /// Holds all workers back until then, where the server asked for it.
    fn hold(&self, until: Instant, server_asked: bool) {
        if server_asked {
            let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
            *not_before = (*not_before).max(Some(until));
        }
    }

    /// Waits while workers are held back; returns whether to continue.
    fn wait(&self) -> bool {
        let until = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| self.wait_until(until))
    }

    /// Waits until then, or until it is time to stop; returns whether to continue.
    fn wait_until(&self, until: Instant) -> bool {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(GLANCE));
        }
    }
}
