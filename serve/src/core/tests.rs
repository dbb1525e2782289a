//! The thread that owns the device: what it does when the device fails, clients go, or there are too many.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use wgr::Silent;
use wgr::data::Row;
use wgr::gpu::AdapterChoice;
use wgr::train::{RewardModel, Score};

use super::{Current, Device, Entry, Missed, Served, Setup};
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::rewards::{Input, Rewards};
use crate::words;

struct Started {
    device: Device,
    current: Arc<Current>,
    metrics: Arc<Metrics>,
    _folder: tempfile::TempDir,
}

impl Started {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/llama");
        let name = words::model(&golden, folder.path().join("model")).display().to_string();
        let served = Served { model: RewardModel::open(&name).unwrap(), name };
        let current = Arc::new(Current::new(Arc::new(served)));
        let metrics = Arc::new(Metrics::new());
        let setup = Setup {
            adapter: AdapterChoice::default(),
            rewards: Some(current.clone()),
            max_batch_tokens: 100,
            metrics: metrics.clone(),
        };
        let device = Device::start(setup, Box::new(Silent)).unwrap();
        Self { device, current, metrics, _folder: folder }
    }

    fn entry(&self, number: usize) -> (Entry, oneshot::Receiver<Result<Score, Missed>>) {
        let row = Row::new("r", words::text(number));
        let served = self.current.get();
        let (example, _) = served.model.encoder.encode_row(&row).unwrap();
        let (answer, answered) = oneshot::channel();
        (Entry { example, served, since: Instant::now(), answer }, answered)
    }

    fn score(&self, number: usize) -> Result<Score, Missed> {
        let (entry, answered) = self.entry(number);
        self.device.score(vec![entry]);
        answered.blocking_recv().unwrap()
    }
}

#[test]
fn a_lost_device_is_an_error_for_its_batch_and_is_opened_anew_for_the_next() {
    let started = Started::new();
    let before = started.score(1).unwrap();
    started.device.lose();
    let Err(Missed::Failed(problem)) = started.score(1) else { panic!("a lost device gives no score") };
    assert!(problem.contains("the device was lost"), "{problem}");
    assert_eq!(started.score(1).unwrap(), before);
    // Health finds out by itself, too.
    started.device.lose();
    assert!(started.score(2).is_err());
    pollster::block_on(started.device.check()).unwrap();
    assert_eq!(started.score(1).unwrap(), before);
}

#[test]
fn rows_whose_client_has_gone_cost_nothing() {
    let started = Started::new();
    let (entries, answers): (Vec<_>, Vec<_>) = (0..50).map(|number| started.entry(number)).unzip();
    drop(answers);
    started.device.score(entries);
    started.score(1).unwrap();
    let text = started.metrics.text(None, None);
    assert!(text.contains("wgr_queue_seconds_count 1\n") && text.contains("wgr_batch_tokens_count 1\n"), "{text}");
}

#[test]
fn a_full_queue_refuses_and_keeps_what_it_has() {
    let started = Started::new();
    let rewards = Rewards::new(started.current.clone(), 3);
    let texts = |count: usize| Input::texts("query", (0..count).map(words::text).collect());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let first = rewards.score(&started.device, texts(2));
        let second = async { rewards.score(&started.device, texts(2)).await.err() };
        let (first, second) = tokio::join!(first, second);
        assert!(matches!(second, Some(Failure::Full)), "{second:?}");
        assert_eq!(first.ok().map(|scores| scores.rows.len()), Some(2));
        assert_eq!(rewards.queue(), 0);
        assert!(matches!(rewards.score(&started.device, texts(4)).await, Err(Failure::Input { .. })));
        assert_eq!(rewards.score(&started.device, texts(3)).await.ok().map(|scores| scores.rows.len()), Some(3));
    });
}
