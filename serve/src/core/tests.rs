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
use crate::{tensors, words};

/// Columns of the residual stream of the golden model.
const COLUMNS: usize = 28;

struct Started {
    device: Device,
    current: Arc<Current>,
    metrics: Arc<Metrics>,
    _folder: tempfile::TempDir,
}

impl Started {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// With a model whose weights are changed.
    fn with(change: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/llama");
        let model = words::model(&golden, folder.path().join("model"));
        change(&model.join("model.safetensors"));
        let name = model.display().to_string();
        let served = Served { model: RewardModel::open(&name).unwrap(), name };
        let current = Arc::new(Current::new(Arc::new(served)));
        let metrics = Arc::new(Metrics::new());
        let setup = Setup {
            adapter: AdapterChoice::default(),
            current: current.clone(),
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

/// Changes the f32 values of a tensor.
fn change(file: &Path, tensor: &str, change: impl FnOnce(&mut [[u8; 4]])) {
    let mut bytes = std::fs::read(file).unwrap();
    let range = tensors::range(&bytes, tensor);
    change(bytes[range].as_chunks_mut().0);
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_score_that_is_not_finite_is_an_error_for_its_row_alone() {
    // The first column is zero for all tokens but one, whose values overflow in the first norm.
    let started = Started::with(|file| {
        change(file, "model.embed_tokens.weight", |values| {
            for (token, row) in values.chunks_mut(COLUMNS).enumerate() {
                row[0] = if token == 44 { 1f32 } else { 0. }.to_le_bytes();
            }
        });
        change(file, "model.layers.0.input_layernorm.weight", |values| values[0] = f32::MAX.to_le_bytes());
    });
    let rewards = Rewards::new(started.device, started.current.clone(), 100);
    let texts = |texts: &[&str]| Input::texts("query", texts.iter().map(|text| (*text).to_owned()).collect());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let alone = rewards.score(texts(&["w3 w4", "w5"])).await.ok().unwrap().rows;
        let beside = rewards.score_each(texts(&["w3 w4", "w5 w44", "w5"])).await.ok().unwrap().rows;
        assert_eq!(beside[0].as_ref().unwrap().score, alone[0].score);
        assert_eq!(beside[2].as_ref().unwrap().score, alone[1].score);
        let problem = beside[1].as_ref().err().unwrap();
        assert!(problem.starts_with("row \"query[1]\": the logits are ["), "{problem}");
        let Err(Failure::Device(whole)) = rewards.score(texts(&["w5", "w44"])).await else { panic!("all or nothing") };
        assert!(whole.starts_with("row \"query[1]\""), "{whole}");
        rewards.check().await.unwrap();
    });
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
    let rewards = Rewards::new(started.device, started.current.clone(), 3);
    let texts = |count: usize| Input::texts("query", (0..count).map(words::text).collect());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let first = rewards.score(texts(2));
        let second = async { rewards.score(texts(2)).await.err() };
        let (first, second) = tokio::join!(first, second);
        assert!(matches!(second, Some(Failure::Full)), "{second:?}");
        assert_eq!(first.ok().map(|scores| scores.rows.len()), Some(2));
        assert_eq!(rewards.queue(), 0);
        assert!(matches!(rewards.score(texts(4)).await, Err(Failure::Input { .. })));
        assert_eq!(rewards.score(texts(3)).await.ok().map(|scores| scores.rows.len()), Some(3));
    });
}
