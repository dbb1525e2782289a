//! What all routes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use subtle::ConstantTimeEq;

use crate::config::ServeConfig;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::metrics::Metrics;
use crate::rewards::Rewards;

/// The state of the server.
pub(crate) struct App {
    pub(crate) config: ServeConfig,
    /// The reward model, if one is served.
    pub(crate) rewards: Option<Rewards>,
    /// The causal model, if one is served.
    pub(crate) generation: Option<Generation>,
    pub(crate) metrics: Arc<Metrics>,
    /// Whether new requests are refused, because the server is about to end.
    pub(crate) draining: AtomicBool,
    /// The key that clients must send.
    pub(crate) key: Option<Key>,
    /// When the server started, in seconds since 1970.
    pub(crate) started: u64,
    /// Answers that were numbered.
    numbered: AtomicU64,
}

impl App {
    pub(crate) fn new(
        config: ServeConfig,
        rewards: Option<Rewards>,
        generation: Option<Generation>,
        metrics: Arc<Metrics>,
        key: Option<Key>,
    ) -> Self {
        let (draining, numbered) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { config, rewards, generation, metrics, draining, key, started: now(), numbered }
    }

    /// An id for an answer, unique also among those of other servers, and the time in seconds since 1970.
    pub(crate) fn stamp(&self, kind: &str) -> (String, u64) {
        let number = self.numbered.fetch_add(1, Ordering::Relaxed);
        (format!("{kind}-{:x}-{:x}-{number}", self.started, std::process::id()), now())
    }

    /// The scores of the reward model.
    pub(crate) fn rewards(&self) -> Result<&Rewards, Failure> {
        self.rewards.as_ref().ok_or(Failure::NoModel("--model"))
    }

    /// The causal model.
    pub(crate) fn generation(&self) -> Result<&Generation, Failure> {
        self.generation.as_ref().ok_or(Failure::NoModel("--generate"))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// The key of the server; it is never printed.
pub(crate) struct Key(Vec<u8>);

impl Key {
    pub(crate) fn new(text: String) -> Self {
        Self(text.into_bytes())
    }

    /// Whether a client sent this key, in a time that does not tell where it differs.
    pub(crate) fn is(&self, sent: &[u8]) -> bool {
        self.0.ct_eq(sent).into()
    }
}
