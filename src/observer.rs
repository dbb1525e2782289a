//! What a run tells whoever watches it: one trait and one type of event, whatever it is that runs.

use serde_json::{Map, Value};

use crate::data::TruncationReport;
use crate::model::plan::MemoryPlan;
use crate::report::metrics::StepMetrics;

/// Something that happened in a run.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Something worth one line: what was loaded, truncated, resumed.
    Note(&'a str),
    /// Rows were tokenized.
    Tokenized {
        /// Rows.
        rows: usize,
        /// Their tokens.
        tokens: u64,
        /// What had to be cut off of them.
        truncation: &'a TruncationReport,
    },
    /// The memory plan, before anything large is allocated.
    Planned(&'a MemoryPlan),
    /// Training begins or goes on.
    Training {
        /// Optimizer steps taken before.
        done: u64,
        /// Optimizer steps in all.
        total: u64,
    },
    /// An optimizer step was taken.
    Step {
        /// What it came to.
        metrics: &'a StepMetrics,
        /// The achieved FLOP/s over the adapter's measured peak; 0 where nobody measured.
        peak_share: f64,
    },
    /// An evaluation during training ended.
    Evaluated {
        /// Optimizer steps taken before it.
        step: u64,
        /// What it found, under `eval/…` names.
        metrics: &'a Map<String, Value>,
    },
    /// A batch was scored.
    Scored {
        /// Rows scored so far.
        done: usize,
        /// Rows in all.
        total: usize,
        /// Tokens scored so far.
        tokens: u64,
    },
    /// A window of conversations has gone through all stages of extraction.
    Extracted {
        /// Bytes of input read so far.
        done: u64,
        /// Bytes of input.
        total: u64,
        /// Conversations read so far.
        conversations: u64,
        /// Rows with a label so far.
        rows: u64,
    },
    /// An annotator has verdicts on turns of the current window.
    Annotated {
        /// Turns with a verdict.
        done: usize,
        /// Turns it was asked about.
        total: usize,
    },
    /// A completion grew.
    Grew {
        /// The number of its request.
        request: usize,
        /// The text that it gained.
        piece: &'a str,
    },
    /// A step of sampling was taken.
    Sampled {
        /// Completions that have ended.
        done: usize,
        /// Completions in all.
        total: usize,
        /// Tokens drawn so far.
        tokens: u64,
    },
}

/// Watches a run and may ask it to stop.
pub trait Observer {
    /// Something happened.
    fn on(&mut self, event: Event<'_>);

    /// Whether to stop as soon as nothing is lost by it. It is asked between steps and batches, and while a server is
    /// waited for.
    fn stop_requested(&self) -> bool {
        false
    }
}

impl dyn Observer + '_ {
    /// Says something worth one line.
    pub fn note(&mut self, line: &str) {
        self.on(Event::Note(line));
    }
}

/// Watches nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&mut self, _: Event<'_>) {}
}
