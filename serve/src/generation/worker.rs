//! The thread that owns the device of the causal model.
//!
//! It serves one model until another takes its place or the device fails. Completions join between two steps, and those
//! whose client has gone leave. A model that takes the place of another waits until the completions of that one have ended;
//! requests that come meanwhile wait for the new one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;
use wgr::generate::{Generator, Grown, Growth, Request, Session, Settings};
use wgr::gpu::{AdapterChoice, Gpu};
use wgr::kernels::{self, Passes};
use wgr::{Observer, Result, Silent};

use super::served::Served;
use crate::failure::Failure;

/// What the thread is asked for.
pub(super) enum Command {
    /// To draw completions.
    Draw(Vec<Entry>),
    /// To serve another model from now on, once the completions before this have ended.
    Switch(Arc<Served>, Box<Loaded>),
    /// To lose its device.
    #[cfg(test)]
    Lose,
}

/// A completion to be drawn.
pub(super) struct Entry {
    pub(super) request: Request,
    pub(super) settings: Arc<Settings>,
    pub(super) log_probs: Option<usize>,
    /// Its number among those of its request.
    pub(super) number: usize,
    /// All completions of a request answer here.
    pub(super) answer: UnboundedSender<(usize, Result<Grown, Failure>)>,
    /// Its place in the queue.
    pub(super) _place: OwnedSemaphorePermit,
}

impl Entry {
    /// Tells the client; if it has gone, there is nobody to tell.
    fn tell(&self, outcome: Result<Grown, Failure>) {
        let _ = self.answer.send((self.number, outcome));
    }
}

/// A device with a model on it.
pub(super) struct Loaded {
    gpu: Gpu,
    generator: Generator,
}

impl Loaded {
    /// Opens a device and loads a model.
    ///
    /// # Errors
    /// There is no such adapter, or it has no room.
    pub(super) fn open(adapter: &AdapterChoice, served: &Served, observer: &mut dyn Observer) -> Result<Self> {
        let gpu = pollster::block_on(kernels::open(adapter, Passes::Forward))?;
        let generator = served.load(&gpu, observer)?;
        Ok(Self { gpu, generator })
    }
}

/// The state of the thread.
pub(super) struct Worker {
    pub(super) adapter: AdapterChoice,
    pub(super) served: Arc<Served>,
    /// Absent after a failure, until the next completion.
    pub(super) loaded: Option<Box<Loaded>>,
    /// Whether the last step failed.
    pub(super) failed: Arc<AtomicBool>,
}

impl Worker {
    /// Runs until nobody can ask for anything any more.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let mut next = commands.recv().ok();
        while let Some(command) = next {
            next = match command {
                Command::Draw(entries) => self.draw(entries, commands),
                Command::Switch(served, loaded) => {
                    (self.served, self.loaded) = (served, Some(loaded));
                    None
                }
                #[cfg(test)]
                Command::Lose => {
                    self.loaded.iter().for_each(|loaded| loaded.gpu.lose());
                    None
                }
            }
            .or_else(|| commands.recv().ok());
        }
    }

    /// Draws completions and those that come meanwhile, until none is left. Returns the command that it leaves to be done
    /// after them.
    fn draw(&mut self, entries: Vec<Entry>, commands: &Receiver<Command>) -> Option<Command> {
        let mut loaded = match self.ready() {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::error!("{error}");
                self.failed.store(true, Ordering::SeqCst);
                entries.iter().for_each(|entry| entry.tell(Err(Failure::Device(error.to_string()))));
                return None;
            }
        };
        let Loaded { gpu, generator } = &mut *loaded;
        let mut drawing = Drawing { session: generator.session(), entries: HashMap::new() };
        drawing.join(entries);
        let mut next = None;
        loop {
            while next.is_none()
                && let Ok(command) = commands.try_recv()
            {
                match command {
                    Command::Draw(entries) => drawing.join(entries),
                    other => next = Some(other),
                }
            }
            drawing.leave();
            if drawing.session.is_idle() {
                break;
            }
            let stepped = drawing.step(gpu);
            self.failed.store(stepped.is_err(), Ordering::SeqCst);
            if let Err(error) = stepped {
                tracing::error!("{error}");
                // What is on the device is lost.
                return next;
            }
        }
        self.loaded = Some(loaded);
        next
    }

    /// Takes what is on the device, opened and loaded anew where it failed before.
    fn ready(&mut self) -> Result<Box<Loaded>> {
        match self.loaded.take() {
            Some(loaded) => Ok(loaded),
            None => Ok(Box::new(Loaded::open(&self.adapter, &self.served, &mut Silent)?)),
        }
    }
}

/// Completions under way.
struct Drawing<'a> {
    session: Session<'a>,
    /// By their numbers in the session.
    entries: HashMap<usize, Entry>,
}

impl Drawing<'_> {
    fn join(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            match self.session.add("prompt", &entry.request, entry.settings.clone(), entry.log_probs) {
                Ok(number) => _ = self.entries.insert(number, entry),
                Err(error) => entry.tell(Err(Failure::of_row("prompt", &error))),
            }
        }
    }

    /// Lets go of completions whose client has gone.
    fn leave(&mut self) {
        let session = &mut self.session;
        self.entries.retain(|number, entry| {
            let is_there = !entry.answer.is_closed();
            if !is_there {
                session.remove(*number);
            }
            is_there
        });
    }

    /// Draws the next token of every completion that has room, and tells their clients.
    ///
    /// # Errors
    /// The device failed; every client has been told.
    fn step(&mut self, gpu: &Gpu) -> Result<()> {
        let growths = match pollster::block_on(self.session.step(gpu)) {
            Ok(growths) => growths,
            Err(error) => {
                self.entries.values().for_each(|entry| entry.tell(Err(Failure::Device(error.to_string()))));
                return Err(error);
            }
        };
        for Growth { request, grown } in growths {
            let has_left = grown.as_ref().map_or(true, |grown| grown.ended.is_some());
            if let Some(entry) = self.entries.get(&request) {
                entry.tell(grown.map_err(|error| Failure::Device(error.to_string())));
            }
            if has_left {
                self.entries.remove(&request);
            }
        }
        Ok(())
    }
}
