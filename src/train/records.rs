//! The records of a run beside the model: metrics, TensorBoard events, the loss chart, settings, the card.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::files::fs;
use crate::report::card::ModelCard;
use crate::report::chart::loss_chart;
use crate::report::metrics::{FILE_NAME, MetricsWriter, StepMetrics, read};
use crate::report::tensorboard::TensorBoardWriter;
use crate::{Error, Result};

use super::saving::Progress;

/// Columns of a metrics row that say where a run is, not how it fares.
const PLACE: [&str; 3] = ["step", "epoch", "tokens"];

/// Writers of a run in progress.
pub(crate) struct Records {
    metrics: MetricsWriter,
    tensorboard: TensorBoardWriter,
}

impl Records {
    /// Opens the writers; a resumed run drops rows after the step it resumes from.
    pub(crate) fn open(directory: &Path, step: u64) -> Result<Self> {
        let metrics =
            if step == 0 { MetricsWriter::create(directory)? } else { MetricsWriter::resume(directory, step)? };
        Ok(Self { metrics, tensorboard: TensorBoardWriter::create(&directory.join("runs"))? })
    }

    /// Writes one step.
    pub(crate) fn step(&mut self, metrics: &StepMetrics) -> Result<()> {
        let row = metrics.to_row();
        self.metrics.write(&row)?;
        let told = row.iter().filter(|(name, _)| !PLACE.contains(&name.as_str()));
        let named: Vec<(String, f64)> =
            told.filter_map(|(name, value)| Some((format!("train/{name}"), value.as_f64()?))).collect();
        self.tensorboard.scalars(metrics.step, named.iter().map(|(name, value)| (name.as_str(), *value)))
    }

    /// Writes one evaluation, `eval/…` names.
    pub(crate) fn evaluation(&mut self, step: u64, metrics: &Map<String, Value>) -> Result<()> {
        let mut row = Map::new();
        row.insert("step".into(), step.into());
        row.extend(metrics.clone());
        self.metrics.write(&row)?;
        let values = metrics.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_f64()?)));
        self.tensorboard.scalars(step, values)
    }
}

/// The files that go into the model directory with the weights: settings, loss chart, and the card, of which the caller
/// fills in what only it knows.
pub(crate) fn finish(
    directory: &Path,
    config: &impl Serialize,
    card: ModelCard,
    progress: Progress,
    evaluation: &Map<String, Value>,
) -> Result<Vec<(String, Vec<u8>)>> {
    let history = read(&directory.join(FILE_NAME))?;
    let points = |name: &str| -> Vec<(f64, f64)> {
        history.iter().filter_map(|row| Some((row.get("step")?.as_f64()?, row.get(name)?.as_f64()?))).collect()
    };
    let settings = toml::to_string_pretty(config).map_err(|e| Error::run(format!("wgr.toml: {e}"), ""))?;
    let card = ModelCard {
        name: directory.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        steps: progress.step,
        tokens: progress.tokens,
        settings: settings.clone(),
        metrics: evaluation.iter().filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect(),
        ..card
    };
    let mut files =
        vec![("wgr.toml".to_owned(), settings.into_bytes()), ("README.md".to_owned(), card.render().into_bytes())];
    let losses = points("loss");
    if losses.iter().any(|(_, loss)| loss.is_finite()) {
        files.push(("loss.svg".to_owned(), loss_chart(&losses, &points("eval/loss"))?.into_bytes()));
    }
    Ok(files)
}

/// The name of a model on the hub, for its card; `None` where it is a path.
pub(crate) fn hub_name(model: &str) -> Option<String> {
    (!fs::exists(model)).then(|| model.to_owned())
}
