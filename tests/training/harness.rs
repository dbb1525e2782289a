//! Models, rows and observers for whole runs.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Value, json};
use tempfile::TempDir;
use wgr::gpu::{AdapterChoice, Gpu, Limits, Mode, Options};
use wgr::model::plan::MemoryPlan;
use wgr::objective::Objective;
use wgr::optimizer::Schedule;
use wgr::report::metrics::StepMetrics;
use wgr::train::{ScoreConfig, ScoreSummary, TrainConfig, TrainSummary, TrainerConfig};
use wgr::{Event, Observer, Ranks};

#[path = "../support/words.rs"]
mod words;

pub(crate) use words::{text, tokenizer};

/// The device that all tests share but those that lose it or count its memory.
pub(crate) static GPU: LazyLock<Gpu> = LazyLock::new(|| open(None));

pub(crate) fn open(limits: Option<Limits>) -> Gpu {
    open_in(Mode::Trusted, limits)
}

pub(crate) fn open_in(mode: Mode, limits: Option<Limits>) -> Gpu {
    let options = Options { mode, limits, ..Options::default() };
    pollster::block_on(Gpu::open_with(&AdapterChoice::default(), options)).expect("the tests need an adapter")
}

/// A temporary folder with a tiny model and rows for it.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A model of `tests/golden` with a tokenizer of one token per word.
    pub(crate) fn model(&self, name: &str) -> PathBuf {
        words::model(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name), self.path(name))
    }

    pub(crate) fn write(&self, name: &str, rows: &[Value]) -> PathBuf {
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Settings of a short run on the tiny Llama with rows for an objective.
    pub(crate) fn run(&self, objective: Objective, rows: usize) -> TrainConfig {
        let model = self.path("llama");
        let model = if model.exists() { model } else { self.model("llama") };
        let data = match objective {
            Objective::Pairwise => pairs(rows),
            _ => labelled(rows),
        };
        TrainConfig {
            model: model.display().to_string(),
            data: vec![self.write("rows.jsonl", &data)],
            objective,
            lr: 1e-3,
            trainer: TrainerConfig {
                output: self.path("out"),
                schedule: Schedule::Constant,
                warmup_ratio: 0.0,
                ..TrainerConfig::default()
            },
            ..TrainConfig::default()
        }
    }

    pub(crate) fn scoring(&self, model: &Path, rows: &[Value]) -> ScoreConfig {
        ScoreConfig {
            model: model.display().to_string(),
            input: self.write("to-score.jsonl", rows),
            output: self.path("scores.jsonl"),
            force: true,
            ..ScoreConfig::default()
        }
    }
}

/// A copy with some settings changed.
pub(crate) trait With: Clone {
    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }
}

impl With for TrainConfig {}

pub(crate) fn labelled(count: usize) -> Vec<Value> {
    (0..count).map(|i| json!({"id": format!("r{i}"), "text": text(i), "label": 1 + i * 7 % 4})).collect()
}

pub(crate) fn pairs(count: usize) -> Vec<Value> {
    (0..count).map(|i| json!({"id": format!("p{i}"), "chosen": text(2 * i), "rejected": text(2 * i + 1)})).collect()
}

/// Remembers what it is told; may stop the run after some steps, or do something then.
#[derive(Default)]
pub(crate) struct Watch<'a> {
    pub steps: Vec<StepMetrics>,
    pub notes: Vec<String>,
    pub plan: Option<MemoryPlan>,
    pub stop_after: Option<u64>,
    pub on_step: Option<Box<dyn FnMut(u64) + 'a>>,
}

impl Watch<'_> {
    pub(crate) fn losses(&self) -> Vec<f64> {
        self.steps.iter().map(|step| step.loss).collect()
    }
}

impl Observer for Watch<'_> {
    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::Note(line) => self.notes.push(line.to_owned()),
            Event::Tokenized { rows, tokens, .. } => assert!(rows > 0 && tokens > 0),
            Event::Planned(plan) => self.plan = Some(plan.clone()),
            Event::Step { metrics, .. } => {
                self.steps.push(metrics.clone());
                if let Some(act) = &mut self.on_step {
                    act(metrics.step);
                }
            }
            _ => {}
        }
    }

    fn stop_requested(&self) -> bool {
        self.stop_after.is_some_and(|step| self.steps.last().is_some_and(|last| last.step >= step))
    }
}

pub(crate) fn train(config: &TrainConfig, watch: &mut Watch) -> wgr::Result<TrainSummary> {
    pollster::block_on(wgr::train::train(&GPU, &Ranks::alone(), config, watch))
}

/// Trains and returns the losses.
pub(crate) fn losses(config: &TrainConfig) -> Vec<f64> {
    let mut watch = Watch::default();
    train(config, &mut watch).unwrap();
    watch.losses()
}

pub(crate) fn score(config: &ScoreConfig) -> wgr::Result<ScoreSummary> {
    pollster::block_on(wgr::train::score(&GPU, &Ranks::alone(), config, &mut wgr::Silent))
}

/// Scores and returns the rows written.
pub(crate) fn scores(config: &ScoreConfig) -> Vec<Value> {
    score(config).unwrap();
    json_lines(&config.output)
}

pub(crate) fn json_lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The tensors of a safetensors file, by name.
pub(crate) fn tensors(path: &Path) -> Vec<(String, Vec<f32>)> {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<_> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, bytemuck::pod_collect_to_vec::<u8, f32>(view.data())))
        .collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}
