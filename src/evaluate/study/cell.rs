//! One run of a cell: its rows, its training, its evaluation.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use twox_hash::XxHash3_128;

use super::grid::Cell;
use super::results::{RunResult, measures};
use super::rows::Rows;
use super::{StudyConfig, pairs};
use crate::Ranks;
use crate::evaluate::{EvalConfig, evaluate};
use crate::files::{read_if_there, replace_file};
use crate::gpu::Gpu;
use crate::objective::Objective;
use crate::report::metrics;
use crate::store::Key;
use crate::train::{TrainConfig, TrainerConfig, latest_checkpoint, train};
use crate::{Error, Observer, Result};

const ROWS: &str = "rows.jsonl";
const MODEL: &str = "model";
const METRICS: &str = "metrics.jsonl";
/// The settings that a folder was made with; under others nothing in it is used.
const KEY: &str = "key";

/// A cell with a seed and a folder to work in.
pub(super) struct Run<'a> {
    pub config: &'a StudyConfig,
    pub rows: &'a Rows,
    pub cell: &'a Cell,
    /// Rows to train on.
    pub size: usize,
    pub seed: u64,
    pub folder: PathBuf,
    /// See [`key`].
    pub key: Key,
}

/// A hash of everything that a result depends on: not of the study, so that cells that are the same in two studies are
/// trained once. `inputs` is a hash of model, rows and suites.
pub(super) fn key(config: &StudyConfig, inputs: u128, cell: &Cell, size: usize, seed: u64) -> Key {
    // Paths, and how to resume, do not change a result.
    let trainer = TrainerConfig {
        output: PathBuf::new(),
        save_every: None,
        eval_every: None,
        resume: false,
        force: false,
        seed,
        ..config.train.trainer.clone()
    };
    let objective = cell.objective;
    let train =
        TrainConfig { model: String::new(), data: vec![], template: None, objective, trainer, ..config.train.clone() };
    let parts =
        json!([inputs.to_string(), train, cell.variant, size, config.grid.bootstrap, config.train.trainer.seed]);
    XxHash3_128::oneshot(parts.to_string().as_bytes())
}

impl Run<'_> {
    /// Trains and evaluates, going on where an earlier call with the same key was stopped.
    ///
    /// # Errors
    /// What training and evaluation fail with; [`Error::Interrupted`] where the observer asks to stop.
    pub(super) async fn run(&self, gpu: &Gpu, observer: &mut dyn Observer) -> Result<RunResult> {
        self.open()?;
        let picks = self.cell.variant.pick(self.rows, self.size, self.seed);
        let labels: Vec<u32> = picks.iter().map(|pick| pick.label).collect();
        let mut rows = self.rows.gather(&picks)?;
        let mut pair_count = None;
        if self.cell.objective == Objective::Pairwise {
            let pairs = pairs::pairs(&labels, self.seed);
            if pairs.is_empty() {
                let problem = format!("all {} rows of the cell {} have the same level", labels.len(), self.cell.name);
                return Err(Error::input(
                    "`.objective` pairwise",
                    problem,
                    "pairs are made of rows of different levels",
                ));
            }
            pair_count = Some(pairs.len());
            rows = pairs::rows(&rows, &pairs);
        }
        write(&self.folder.join(ROWS), &rows)?;
        drop(rows);

        let model = self.folder.join(MODEL);
        // A directory is a model when it is done, and not before.
        if !model.join("config.json").exists() {
            let config = self.training(&model, latest_checkpoint(&model)?.is_some());
            if train(gpu, &Ranks::alone(), &config, observer).await?.interrupted {
                return Err(Error::Interrupted("finished runs are kept; continue with `.resume`".into()));
            }
        }
        let evaluation = evaluate(Some(gpu), &Ranks::alone(), &self.evaluation(&model), observer).await?;
        if let Some(failure) = evaluation.failure {
            return Err(failure);
        }
        let history = metrics::read(&model.join(METRICS))?;
        let last = history.iter().rev().find(|row| row.contains_key("loss"));
        let last = |name: &str| last.and_then(|row| row.get(name));
        let users = picks.iter().filter_map(|pick| self.rows.rows[pick.row].user);
        Ok(RunResult {
            variant: self.cell.variant,
            objective: self.cell.objective,
            seed: self.seed,
            rows: labels.len(),
            labels: (1..=self.config.train.levels).map(|k| labels.iter().filter(|&&y| y == k).count()).collect(),
            users: users.collect::<std::collections::HashSet<_>>().len(),
            pairs: pair_count,
            steps: last("step").and_then(Value::as_u64).unwrap_or(0),
            last_loss: last("loss").and_then(Value::as_f64),
            measures: measures(&evaluation.report),
        })
    }

    /// Makes the folder; what other settings left in it goes.
    fn open(&self) -> Result<()> {
        let path = self.folder.join(KEY);
        let key = format!("{:032x}", self.key);
        if read_if_there(&path)?.is_some_and(|found| found == key.as_bytes()) {
            return Ok(());
        }
        remove(&self.folder)?;
        std::fs::create_dir_all(&self.folder).map_err(|e| Error::io(&self.folder, e))?;
        replace_file(&path, key.as_bytes())
    }

    fn training(&self, output: &Path, goes_on: bool) -> TrainConfig {
        let objective = self.cell.objective;
        let given = &self.config.train.trainer;
        let trainer = TrainerConfig {
            output: output.to_owned(),
            // A pair is two sequences: steps see as many of them whatever the head.
            batch_size: if objective == Objective::Pairwise { (given.batch_size / 2).max(1) } else { given.batch_size },
            eval_every: None,
            resume: goes_on,
            force: !goes_on,
            seed: self.seed,
            ..given.clone()
        };
        TrainConfig { data: vec![self.folder.join(ROWS)], objective, trainer, ..self.config.train.clone() }
    }

    fn evaluation(&self, model: &Path) -> EvalConfig {
        EvalConfig {
            model: vec![model.display().to_string()],
            suite: self.config.grid.suite.clone(),
            output: self.folder.join("evaluation"),
            max_length: self.config.train.trainer.max_length,
            bootstrap: self.config.grid.bootstrap,
            // The same halves and samples for all.
            seed: self.config.train.trainer.seed,
            force: true,
            ..EvalConfig::default()
        }
    }
}

/// Removes everything that is no longer needed once a run has its result: the model, its checkpoints and its rows.
/// Metrics of the training and the evaluation stay.
pub(super) fn tidy(folder: &Path) -> Result<()> {
    let metrics = folder.join(MODEL).join(METRICS);
    if metrics.exists() {
        std::fs::rename(&metrics, folder.join(METRICS)).map_err(|e| Error::io(&metrics, e))?;
    }
    remove(&folder.join(MODEL))?;
    let rows = folder.join(ROWS);
    match std::fs::remove_file(&rows) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(rows, error)),
        _ => Ok(()),
    }
}

/// Removes a folder, if it is there.
pub(super) fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(folder, error)),
        _ => Ok(()),
    }
}

fn write(path: &Path, rows: &[Map<String, Value>]) -> Result<()> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, row).map_err(|e| Error::io(path, e.into()))?;
        text.push(b'\n');
    }
    replace_file(path, &text)
}
