//! Opens the models and rules that the settings of a run ask for.

use super::annotator::Annotator;
use super::annotator::api::Api;
use super::annotator::labels::Labels;
use super::annotator::local::Local;
use super::annotator::rules::Rules;
use super::config::{AnnotatorKind, ExtractConfig, Variant};
use super::embeddings::{Cache, Embedder, Embeddings};
use super::mining::{MinedLevel, Miner};
use crate::data::Feedback;
use crate::gpu::Gpu;
use crate::{Error, Result};

/// The labels of a run, if it reads labels made elsewhere.
///
/// # Errors
/// A file without labels, or with others than the resumed run began with.
pub(super) fn labels(config: &ExtractConfig) -> Result<Option<Labels>> {
    let Some(path) = &config.annotator_file else { return Ok(None) };
    let labels = Labels::read(path)?;
    if config.resume {
        labels.check(&config.output)?;
    }
    Ok(Some(labels))
}

/// The annotator of a run: its labels, where it has some.
///
/// # Errors
/// A model that cannot be loaded, a server address that is none, or a store of answers that cannot be read.
pub(super) async fn annotator<'a>(
    gpu: Option<&'a Gpu>,
    config: &ExtractConfig,
    labels: Option<Labels>,
) -> Result<Box<dyn Annotator + 'a>> {
    match config.annotator() {
        AnnotatorKind::File => {
            let hint = "give a JSONL, JSON or parquet file of labels";
            let labels = labels.ok_or_else(|| Error::input("`.annotator_file`", "is missing", hint))?;
            labels.remember(&config.output)?;
            Ok(Box::new(labels))
        }
        AnnotatorKind::Rules => Ok(Box::new(Rules)),
        AnnotatorKind::Api => Ok(Box::new(Api::open(config)?)),
        AnnotatorKind::Local => {
            let hint = "give a causal model: a directory, a .gguf file or a hub name";
            let model = config.annotator_model.as_deref();
            let model = model.ok_or_else(|| Error::input("`.annotator_model`", "is missing", hint))?;
            let gpu = gpu.ok_or_else(|| Error::run("`.annotator` local needs an adapter", "open one for the run"))?;
            Ok(Box::new(Local::open(gpu, model, config.base_dtype, &config.output).await?))
        }
    }
}

/// The miner of a run, if it mines.
///
/// # Errors
/// An embedder that cannot be loaded, or a cache that cannot be read.
pub(super) fn miner<'a>(gpu: Option<&'a Gpu>, config: &ExtractConfig) -> Result<Option<Miner<Embedder<'a>>>> {
    let Some(name) = &config.embedder else { return Ok(None) };
    let Some(gpu) = gpu else { return Err(Error::run("`.embedder` needs an adapter", "open one for the run")) };
    let cache = Cache::open(&config.output.join("embeddings.cache"))?;
    let embeddings = Embeddings::new(Embedder::open(gpu, name)?, Some(cache));
    let level = match config.variant {
        Variant::Paper => MinedLevel::Future,
        Variant::PublicCode => MinedLevel::Fixed(Feedback::Engagement),
    };
    Ok(Some(Miner::new(embeddings, config.similarity(), level)))
}
