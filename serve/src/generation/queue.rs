//! The way to the thread that draws completions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use wgr::generate::{Grown, Request, Sampling, Settings, seed_of};
use wgr::gpu::AdapterChoice;
use wgr::{Error, Observer, Result};

use super::served::Served;
use super::worker::{Command, Entry, Loaded, Worker};
use crate::failure::Failure;

/// The name of the thread.
pub(crate) const THREAD: &str = "generation";

/// What the completions of a request gain, each with its number, as it comes. The channel closes when all have ended.
pub(crate) type Answers = UnboundedReceiver<(usize, Result<Grown, Failure>)>;

/// Completions of the prompts of a request.
pub(crate) struct Wanted {
    /// The prompts, in their order.
    pub(crate) prompts: Vec<Arc<[u32]>>,
    /// How many completions each gets; those of one prompt are numbered one after the other.
    pub(crate) n: usize,
    /// How they are drawn, prompt by prompt.
    pub(crate) settings: Vec<Arc<Settings>>,
    /// Decides all draws.
    pub(crate) seed: u64,
    /// Asks for log-probabilities of tokens, beside that many of the most likely ones.
    pub(crate) log_probs: Option<usize>,
}

/// The causal model as routes see it.
pub(crate) struct Generation {
    served: RwLock<Arc<Served>>,
    adapter: AdapterChoice,
    /// Gone when the thread is to end.
    commands: Option<Sender<Command>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    failed: Arc<AtomicBool>,
    /// Places in the queue, one a completion.
    places: Arc<Semaphore>,
    max_queue: usize,
}

impl Generation {
    /// Opens a device of its own for a model, and loads it.
    ///
    /// # Errors
    /// There is no such adapter, or it has no room.
    pub(crate) fn start(
        adapter: AdapterChoice,
        served: Served,
        max_queue: usize,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let (served, failed) = (Arc::new(served), Arc::new(AtomicBool::new(false)));
        let loaded = Some(Box::new(Loaded::open(&adapter, &served, observer)?));
        let worker = Worker { adapter: adapter.clone(), served: served.clone(), loaded, failed: failed.clone() };
        let (commands, received) = mpsc::channel();
        let thread = thread::Builder::new().name(THREAD.into()).spawn(move || worker.run(&received));
        let thread = thread.map_err(|error| Error::io("thread", error))?;
        Ok(Self {
            served: RwLock::new(served),
            adapter,
            commands: Some(commands),
            thread: Mutex::new(Some(thread)),
            failed,
            places: Arc::new(Semaphore::new(max_queue)),
            max_queue,
        })
    }

    /// The model that is served now.
    pub(crate) fn served(&self) -> Arc<Served> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Completions that wait or are being drawn.
    pub(crate) fn queue(&self) -> usize {
        self.max_queue - self.places.available_permits()
    }

    /// Has completions drawn. `None` if another model is served by now, which may read the prompts as other tokens.
    ///
    /// # Errors
    /// The queue has no place for them, or never has.
    pub(crate) fn draw(&self, served: &Arc<Served>, wanted: Wanted) -> Result<Option<Answers>, Failure> {
        let Wanted { prompts, n, settings, seed, log_probs } = wanted;
        let count = prompts.len().saturating_mul(n);
        if count > self.max_queue {
            let problem = format!("{count} completions in a request, {} is the maximum", self.max_queue);
            return Err(Failure::input("n", problem));
        }
        let places = self.places.clone().try_acquire_many_owned(count as u32);
        let mut places = places.map_err(|_| Failure::Full)?;
        let (answer, answers) = unbounded_channel();
        let mut entries = vec![];
        for (row, (prompt, settings)) in prompts.iter().zip(&settings).enumerate() {
            for sample in 0..n {
                entries.push(Entry {
                    request: Request { prompt: prompt.clone(), seed: seed_of(seed, row, sample) },
                    settings: settings.clone(),
                    log_probs,
                    number: row * n + sample,
                    answer: answer.clone(),
                    _place: places.split(1).ok_or(Failure::Bug)?,
                });
            }
        }
        // No switch can come between the look and the command.
        let current = self.served.read().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&current, served) {
            return Ok(None);
        }
        self.send(Command::Draw(entries));
        Ok(Some(answers))
    }

    /// Serves another model, once the completions of the one before have ended.
    ///
    /// # Errors
    /// It cannot be loaded, and the one before is still served.
    pub(crate) fn switch(&self, served: Served, observer: &mut dyn Observer) -> Result<()> {
        let loaded = Box::new(Loaded::open(&self.adapter, &served, observer)?);
        let served = Arc::new(served);
        let mut current = self.served.write().unwrap_or_else(PoisonError::into_inner);
        self.send(Command::Switch(served.clone(), loaded));
        *current = served;
        Ok(())
    }

    /// Whether the device computes: after a failed step a token is drawn.
    ///
    /// # Errors
    /// It does not.
    pub(crate) async fn check(&self) -> Result<(), Failure> {
        while self.failed.load(Ordering::SeqCst) {
            let settings = Settings { sampling: Sampling::greedy(), max_new_tokens: 1, stop: vec![] };
            let settings = vec![Arc::new(settings)];
            let wanted = Wanted { prompts: vec![[0].into()], n: 1, settings, seed: 0, log_probs: None };
            if let Some(mut answers) = self.draw(&self.served(), wanted)? {
                let (_, outcome) = answers.recv().await.ok_or(Failure::Bug)?;
                return outcome.map(|_| ());
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn lose(&self) {
        self.send(Command::Lose);
    }

    fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // If the thread has ended, the channels in the command close, which is the answer.
            let _ = commands.send(command);
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.lock().ok().and_then(|mut thread| thread.take()) {
            let _ = thread.join();
        }
    }
}
