//! `wgr score`: one score for each row, in the order of the rows.

use std::io::Write as _;
use std::time::Instant;

use serde_json::json;

use crate::data::{Example, Packed, Purpose, scoring_batches};
use crate::files::staged;
use crate::gpu::{Gpu, Recording};
use crate::model::Checkpoint;
use crate::model::classifier::{self, Capacity, Classifier, HEAD, Loading};
use crate::model::parameter::Holding;
use crate::objective;
use crate::{Error, Result};

use super::config::{Checkpointing, ScoreConfig};
use super::inputs;
use super::observer::{Observer, ScoreProgress, ScoreSummary};
use super::saving::Head;
use super::step::logits;

/// Scores every row of a file and writes `{"id", "score", "logits", "probs"}` rows in input order. A score does not
/// depend on the batch a row is scored in.
///
/// # Errors
/// Bad rows; a model without a score head; an output that exists; device and disk failures. Nothing is half-written.
pub async fn score(gpu: &Gpu, config: &ScoreConfig, observer: &mut dyn Observer) -> Result<ScoreSummary> {
    config.validate()?;
    if config.output.exists() && !config.force {
        return Err(Error::input(
            format!("--output {}", config.output.display()),
            "already exists",
            "use --force to replace it",
        ));
    }
    // Opened first: an output that cannot be written should not be noticed after hours of scoring.
    let staged = staged(&config.output)?;
    let source = Checkpoint::open(&config.model)?;
    let Some(info) = source.info(HEAD) else {
        let hint = "train one with `wgr train`";
        return Err(Error::input(
            source.path().display().to_string(),
            format!("holds no {HEAD}: it is not a reward model"),
            hint,
        ));
    };
    let head = Head::of(source.config(), info.shape[0])?;
    let template = inputs::template(config.template.as_deref(), &source)?;
    let encoder = inputs::encoder(&source, template, config.max_length)?;
    let examples = inputs::examples(std::slice::from_ref(&config.input), Purpose::Score, &encoder, observer)?;
    let lengths: Vec<usize> = examples.iter().map(Example::tokens).collect();
    let longest = lengths.iter().copied().max().unwrap_or(1);
    // Long rows are scored in smaller batches: a batch never holds more tokens than a full one of typical rows.
    let most_tokens = longest.max(config.batch_size.saturating_mul(256));
    let batches = scoring_batches(&lengths, config.batch_size, most_tokens);
    let tokens_of = |batch: &Vec<usize>| batch.iter().map(|index| lengths[*index]).sum::<usize>();
    let capacity = Capacity {
        tokens: batches.iter().map(tokens_of).max().unwrap_or(1),
        sequences: config.batch_size.min(examples.len()),
        length: longest,
    };
    let loading = Loading {
        holding: Holding::Inference,
        checkpointing: Checkpointing::None,
        logits: info.shape[0],
        biases: head.biases.clone(),
        seed: 0,
        capacity,
    };
    let plan = classifier::plan(source.config(), &source, &loading);
    observer.planned(&plan);
    plan.check(gpu)?;
    let mut classifier = Classifier::load(gpu, &source, &loading)?;
    let mut recording = Recording::new();
    let mut rows = vec![None; examples.len()];
    let mut summary = ScoreSummary::default();
    let started = Instant::now();
    for batch in &batches {
        if observer.stop_requested() {
            return Err(Error::Interrupted("no scores were written".into()));
        }
        let packed = Packed::new(batch.iter().map(|index| &examples[*index]))?;
        let scored = logits(gpu, &mut classifier, &mut recording, &packed).await?;
        for (index, row) in batch.iter().zip(scored) {
            if row.iter().any(|value| !value.is_finite()) {
                let at = format!("row {:?}", examples[*index].id);
                return Err(Error::run(format!("{at}: the logits are {row:?}"), "the model's weights are damaged"));
            }
            rows[*index] = Some(row);
        }
        summary.rows += batch.len();
        summary.tokens += packed.tokens.len() as u64;
        observer.scored(ScoreProgress { rows: summary.rows, total: examples.len(), tokens: summary.tokens });
    }
    summary.tokens_per_second = summary.tokens as f64 / started.elapsed().as_secs_f64().max(1e-9);
    let failed = |e| Error::io(&config.output, e);
    let mut out = std::io::BufWriter::new(staged);
    for (example, logits) in examples.iter().zip(rows.into_iter().flatten()) {
        let score = objective::score(head.objective, &logits, &head.biases);
        let probs = objective::probabilities(head.objective, &logits, &head.biases);
        summary.mean_score += score / examples.len() as f64;
        let row = json!({"id": example.id, "score": score, "logits": logits, "probs": probs});
        writeln!(out, "{row}").map_err(failed)?;
    }
    let staged = out.into_inner().map_err(|e| failed(e.into_error()))?;
    staged.persist(&config.output).map_err(|e| failed(e.error))?;
    Ok(summary)
}
