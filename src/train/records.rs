//! What a training run writes beside the model: metrics, TensorBoard events, the loss chart, settings, the card.

use std::path::Path;

use serde_json::{Map, Value};

use crate::data::Template;
use crate::report::card::ModelCard;
use crate::report::chart::loss_chart;
use crate::report::metrics::{MetricsWriter, StepMetrics, read};
use crate::report::tensorboard::TensorBoardWriter;
use crate::{Error, Result};

use super::config::TrainConfig;
use super::saving::Progress;

/// Writers of a run in progress.
pub struct Records {
    directory: std::path::PathBuf,
    metrics: MetricsWriter,
    tensorboard: TensorBoardWriter,
}

impl Records {
    /// Opens the writers; a resumed run drops rows after the step it resumes from.
    pub fn open(directory: &Path, step: u64) -> Result<Self> {
        let metrics =
            if step == 0 { MetricsWriter::create(directory)? } else { MetricsWriter::resume(directory, step)? };
        let tensorboard = TensorBoardWriter::create(&directory.join("runs"))?;
        Ok(Self { directory: directory.to_owned(), metrics, tensorboard })
    }

    /// Writes one step.
    pub fn step(&mut self, metrics: &StepMetrics) -> Result<()> {
        self.metrics.write(&metrics.to_row())?;
        let values = [
            ("train/loss", metrics.loss),
            ("train/grad_norm", metrics.grad_norm),
            ("train/learning_rate", metrics.learning_rate),
            ("train/tokens_per_second", metrics.tokens_per_second),
        ];
        self.tensorboard.scalars(metrics.step, values)
    }

    /// Writes one evaluation, `eval/…` names.
    pub fn evaluation(&mut self, step: u64, metrics: &Map<String, Value>) -> Result<()> {
        let mut row = Map::new();
        row.insert("step".into(), step.into());
        row.extend(metrics.clone());
        self.metrics.write(&row)?;
        let values = metrics.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_f64()?)));
        self.tensorboard.scalars(step, values)
    }

    /// The files that go into the model directory with the weights: settings, loss chart, model card.
    pub fn finish(
        &self,
        config: &TrainConfig,
        template: &Template,
        rows: usize,
        progress: Progress,
        evaluation: &Map<String, Value>,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        let history = read(&self.directory.join("metrics.jsonl"))?;
        let points = |name: &str| -> Vec<(f64, f64)> {
            history.iter().filter_map(|row| Some((row.get("step")?.as_f64()?, row.get(name)?.as_f64()?))).collect()
        };
        let settings = toml::to_string_pretty(config).map_err(|e| Error::run(format!("wgr.toml: {e}"), ""))?;
        let card = ModelCard {
            name: self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            base_model: (!Path::new(&config.model).exists()).then(|| config.model.clone()),
            objective: config.objective.to_string(),
            levels: config.levels,
            training_rows: rows as u64,
            steps: progress.step,
            tokens: progress.tokens,
            settings: settings.clone(),
            template: template.source().to_owned(),
            metrics: evaluation.iter().filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect(),
        };
        let mut files =
            vec![("wgr.toml".to_owned(), settings.into_bytes()), ("README.md".to_owned(), card.render().into_bytes())];
        let losses = points("loss");
        if losses.iter().any(|(_, loss)| loss.is_finite()) {
            files.push(("loss.svg".to_owned(), loss_chart(&losses, &points("eval/loss"))?.into_bytes()));
        }
        Ok(files)
    }
}
