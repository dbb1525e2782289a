//! Opens the models and rules that the settings of a run ask for.

use super::annotator::Annotator;
use super::annotator::api::Api;
use super::annotator::labels::Labels;
use super::annotator::local::Local;
use super::annotator::rules::Rules;
use super::config::{AnnotatorKind, ExtractConfig, Variant};
use super::embeddings::{Cache, Embedder, Embeddings};
use super::mining::{MinedLevel, Miner};
use super::pool;
use crate::data::Feedback;
use crate::gpu::Gpu;
use crate::model::Checkpoint;
use crate::model::encoder::SentenceModel;
use crate::train::likeness;
use crate::{Error, Ranks, Result};

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
    ranks: &Ranks,
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
            let (gpu, model) = (needed(gpu, "`.annotator` local")?, annotator_model(config)?);
            Ok(Box::new(Local::open(gpu, model, config.base_dtype, &config.output).await?.over(ranks)))
        }
    }
}

fn annotator_model(config: &ExtractConfig) -> Result<&str> {
    let hint = "give a causal model: a directory, a .gguf file or a hub name";
    config.annotator_model.as_deref().ok_or_else(|| Error::input("`.annotator_model`", "is missing", hint))
}

fn needed<'a>(gpu: Option<&'a Gpu>, by: &str) -> Result<&'a Gpu> {
    gpu.ok_or_else(|| Error::run(format!("{by} needs an adapter"), "open one for the run"))
}

/// The miner of a run, if it mines.
///
/// # Errors
/// An embedder that cannot be loaded, or a cache that cannot be read.
pub(super) fn miner<'a>(
    gpu: Option<&'a Gpu>,
    ranks: &Ranks,
    config: &ExtractConfig,
) -> Result<Option<Miner<Embedder<'a>>>> {
    let Some(name) = &config.embedder else { return Ok(None) };
    let embedder = Embedder::open(needed(gpu, "`.embedder`")?, name)?.over(ranks);
    let cache = Cache::open(&config.output.join("embeddings.cache"))?;
    let embeddings = Embeddings::new(embedder, Some(cache));
    let level = match config.variant {
        Variant::Paper => MinedLevel::Future,
        Variant::PublicCode => MinedLevel::Fixed(Feedback::Engagement),
    };
    Ok(Some(Miner::new(embeddings, config.similarity(), level)))
}

/// Loads the models of a run on a rank that only computes, and works until the first rank is done.
///
/// # Errors
/// A model that cannot be loaded; the device or another rank fails.
pub(super) async fn assist(gpu: Option<&Gpu>, ranks: &Ranks, config: &ExtractConfig) -> Result<()> {
    let annotator = match config.annotator() {
        AnnotatorKind::Local => {
            Some(Local::engine(needed(gpu, "`.annotator` local")?, annotator_model(config)?, config.base_dtype)?)
        }
        _ => None,
    };
    let embedder =
        config.embedder.as_ref().map(|name| Embedder::open(needed(gpu, "`.embedder`")?, name)).transpose()?;
    pool::assist(ranks, annotator, embedder).await
}

/// Checks that there is work for several ranks, and that they are about to do the same.
///
/// # Errors
/// Nothing to share among ranks; a rank that has another program, other settings or other models.
pub(super) async fn check_ranks(ranks: &Ranks, config: &ExtractConfig) -> Result<()> {
    if ranks.size() == 1 {
        return Ok(());
    }
    let nothing_to_share = match config.annotator() {
        AnnotatorKind::Api => Some(("`.annotator` api", "does its work on a server")),
        _ if config.needs_adapter() => None,
        _ => Some(("`.embedder`", "is missing, and without it no model runs here")),
    };
    if let Some((at, problem)) = nothing_to_share {
        return Err(Error::input(at, problem, "start it without the launcher, on one rank"));
    }
    let annotator = config.annotator_model.as_ref().map(|name| Checkpoint::open(name)?.fingerprint()).transpose()?;
    let embedder =
        config.embedder.as_ref().map(|name| Ok::<_, Error>(SentenceModel::open(name)?.identity())).transpose()?;
    let facts = [("an annotator", format!("{annotator:x?}")), ("an embedder", format!("{embedder:x?}"))];
    likeness::check_program(ranks, config, &facts).await
}
