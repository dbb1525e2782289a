//! The thread that owns the device of the reward model.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;
use wgr::data::Example;
use wgr::gpu::{AdapterChoice, Gpu};
use wgr::kernels::{self, Passes};
use wgr::train::BatchScorer;
use wgr::{Error, Event, Observer, Result};

use super::scoring::{Current, Entry, Scoring, Served, fail};
use crate::metrics::Metrics;

/// The name of the thread.
pub(crate) const THREAD: &str = "rewards";

/// What the thread is asked to do.
enum Command {
    /// Score rows.
    Score(Vec<Entry>),
    /// Serve another reward model from now on.
    Switch(Arc<Served>, oneshot::Sender<Result<()>>),
    /// Say whether the device computes, after trying it.
    Try(oneshot::Sender<Result<()>>),
    /// Lose the device, as drivers do.
    #[cfg(test)]
    Lose,
}

/// How the device is opened, and what is computed on it.
pub(crate) struct Setup {
    pub(crate) adapter: AdapterChoice,
    pub(crate) current: Arc<Current>,
    pub(crate) max_batch_tokens: usize,
    pub(crate) metrics: Arc<Metrics>,
}

/// The way to the thread, which ends when this is dropped.
pub(crate) struct Device {
    commands: Option<Sender<Command>>,
    /// Whether the last batch failed.
    failed: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Device {
    /// Opens the device and loads what is computed on it.
    ///
    /// # Errors
    /// There is no such adapter, or it has no room.
    pub(crate) fn start(setup: Setup, observer: Box<dyn Observer + Send>) -> Result<Self> {
        let (commands, received) = mpsc::channel();
        let (ready, started) = mpsc::channel();
        let failed = Arc::new(AtomicBool::new(false));
        let owner = Owner::new(setup, observer, failed.clone());
        let thread = thread::Builder::new().name(THREAD.into()).spawn(move || {
            let mut owner = owner;
            let opened = owner.ready().map(drop);
            let is_open = opened.is_ok();
            // The receiver waits for exactly this.
            let _ = ready.send(opened);
            if is_open {
                owner.run(&received);
            }
        });
        let thread = thread.map_err(|error| Error::io("thread", error))?;
        started.recv().map_err(|_| Error::run("the thread of the device ended", ""))??;
        Ok(Self { commands: Some(commands), failed, thread: Mutex::new(Some(thread)) })
    }

    /// Has rows scored; each is answered through its own channel, which closes if the thread has ended.
    pub(crate) fn score(&self, entries: Vec<Entry>) {
        self.send(Command::Score(entries));
    }

    /// Has another reward model served; the one before stays if it cannot be loaded.
    ///
    /// # Errors
    /// The model does not fit the adapter, or the device fails.
    pub(crate) async fn switch(&self, served: Arc<Served>) -> Result<()> {
        self.ask(|answer| Command::Switch(served, answer)).await
    }

    /// Whether the device computes: after a failed batch it is tried.
    ///
    /// # Errors
    /// It does not.
    pub(crate) async fn check(&self) -> Result<()> {
        if !self.failed.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.ask(Command::Try).await
    }

    #[cfg(test)]
    pub(crate) fn lose(&self) {
        self.send(Command::Lose);
    }

    async fn ask(&self, command: impl FnOnce(oneshot::Sender<Result<()>>) -> Command) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.send(command(answer));
        answered.await.unwrap_or_else(|_| Err(Error::run("the thread of the device has ended", "")))
    }

    fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // If the thread has ended, the channels in the command close, which is the answer.
            let _ = commands.send(command);
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.lock().ok().and_then(|mut thread| thread.take()) {
            let _ = thread.join();
        }
    }
}

/// What is on the device.
struct Loaded {
    gpu: Gpu,
    scorer: BatchScorer,
}

/// The state of the thread.
struct Owner {
    adapter: AdapterChoice,
    scoring: Scoring,
    observer: Box<dyn Observer + Send>,
    failed: Arc<AtomicBool>,
    /// Absent before the first use and after a failure.
    loaded: Option<Loaded>,
}

impl Owner {
    fn new(setup: Setup, observer: Box<dyn Observer + Send>, failed: Arc<AtomicBool>) -> Self {
        let Setup { adapter, current, max_batch_tokens, metrics } = setup;
        let scoring = Scoring::new(current, max_batch_tokens, metrics);
        Self { adapter, scoring, observer, failed, loaded: None }
    }

    /// Runs until nobody can ask for anything any more.
    fn run(mut self, commands: &Receiver<Command>) {
        loop {
            if self.scoring.is_idle() {
                match commands.recv() {
                    Ok(command) => self.take(command),
                    Err(_) => return,
                }
            }
            while let Ok(command) = commands.try_recv() {
                self.take(command);
            }
            self.score();
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Score(entries) => self.scoring.push(entries),
            Command::Switch(served, answer) => {
                let _ = answer.send(self.switch(served));
            }
            Command::Try(answer) => {
                let tried = self.attempt();
                self.note(&tried);
                let _ = answer.send(tried);
            }
            #[cfg(test)]
            Command::Lose => self.loaded.iter().for_each(|loaded| loaded.gpu.lose()),
        }
    }

    /// The device, opened and loaded anew where it failed before.
    fn ready(&mut self) -> Result<(&mut Loaded, &Scoring, &mut dyn Observer)> {
        let Self { adapter, scoring, observer, loaded, .. } = self;
        if loaded.is_none() {
            let gpu = pollster::block_on(kernels::open(adapter, Passes::Forward))?;
            observer.on(Event::Note(&format!("running on {}", gpu.name())));
            let scorer = scoring.load(&gpu, &scoring.current.get(), &mut **observer)?;
            *loaded = Some(Loaded { gpu, scorer });
        }
        let loaded = loaded.as_mut().ok_or_else(|| Error::run("the device is not open", ""))?;
        Ok((loaded, scoring, &mut **observer))
    }

    /// Scores the next batch, if there is one.
    fn score(&mut self) {
        let batch = self.scoring.next();
        if batch.is_empty() {
            return;
        }
        let outcome = match self.ready() {
            Ok((Loaded { gpu, scorer }, scoring, _)) => scoring.run(gpu, scorer, batch),
            Err(error) => {
                fail(batch, &error.to_string());
                Err(error)
            }
        };
        self.note(&outcome);
    }

    /// Loads another model beside the one that is served, and switches to it.
    fn switch(&mut self, served: Arc<Served>) -> Result<()> {
        let (Loaded { gpu, scorer }, scoring, observer) = self.ready()?;
        *scorer = scoring.load(gpu, &served, observer)?;
        scoring.current.set(served);
        Ok(())
    }

    /// A forward pass over one token.
    fn attempt(&mut self) -> Result<()> {
        let (Loaded { gpu, scorer }, ..) = self.ready()?;
        let example = Example { id: "health".into(), sequences: vec![vec![0]], label: None };
        pollster::block_on(scorer.score(gpu, &[&example]))?.pop().map_or(Ok(()), |score| score.map(|_| ()))
    }

    /// Remembers whether the device computes; one that failed is opened anew at its next use.
    fn note(&mut self, outcome: &Result<()>) {
        self.failed.store(outcome.is_err(), Ordering::SeqCst);
        if let Err(error) = outcome {
            tracing::error!("{error}");
            self.loaded = None;
        }
    }
}
