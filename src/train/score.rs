//! `wgr score`: one score for each row, in the order of the rows.

use std::io::Write as _;

use serde_json::json;
use web_time::Instant;

use crate::data::{Example, Purpose, RatingScale};
use crate::files::{fs, staged};
use crate::gpu::Gpu;
use crate::ranks::{Next, Ranks};
use crate::{Error, Event, Observer, Result};

use super::config::ScoreConfig;
use super::inputs::{self, Rows};
use super::likeness;
use super::reward_model::{RewardModel, RewardOptions};
use super::saving::Progress;
use super::scorer::Score;
use super::summary::ScoreSummary;

/// Scores every row of a file, together with the other ranks, and writes `{"id", "score", "logits", "probs"}` rows in
/// input order. A score does not depend on the batch a row is scored in. Logits are the model's own, also where
/// probabilities and score are calibrated.
///
/// # Errors
/// Bad rows; a model without a score head, or without the calibration asked for; an output that exists; device and disk failures. Nothing is half-written.
pub async fn score(
    gpu: &Gpu,
    ranks: &Ranks,
    config: &ScoreConfig,
    observer: &mut dyn Observer,
) -> Result<ScoreSummary> {
    config.validate()?;
    if fs::exists(&config.output) && !config.force {
        return Err(Error::input(
            format!("`.output` {}", config.output.display()),
            "already exists",
            "use `.force` to replace it",
        ));
    }
    // Opened first: an output that cannot be written should not be noticed after hours of scoring.
    let staged = ranks.is_first().then(|| staged(&config.output)).transpose()?;
    let options = RewardOptions {
        template: config.template.as_deref(),
        max_length: config.max_length,
        head: config.head,
        base_dtype: config.base_dtype,
        ..RewardOptions::default()
    };
    let model = RewardModel::open_with(&config.model, options)?;
    observer.note(&model.reading.to_string());
    let calibration = config.calibrated.then(|| model.calibration()).transpose()?;
    let rows = Rows::Files(std::slice::from_ref(&config.input));
    let examples = inputs::examples(rows, Purpose::Score, RatingScale::default(), &model.encoder, observer)?;
    let hash = || likeness::of_examples(examples.iter());
    likeness::check(ranks, config, &model.source, Progress::default(), hash).await?;
    let lengths: Vec<usize> = examples.iter().map(Example::tokens).collect();
    let mut scorer = model.load_for_sets(gpu, &[lengths], config.batch_size, observer)?;
    let batches = scorer.batches().to_vec();
    let mut rows = vec![None; examples.len()];
    let mut summary = ScoreSummary { reading: Some(model.reading.clone()), ..ScoreSummary::default() };
    let started = Instant::now();
    let of_batch = |batch: &[usize]| batch.iter().map(|index| &examples[*index]).collect::<Vec<&Example>>();
    let mut pieces = ranks.pieces(batches.len());
    while let Some(next) = pieces.next(observer.stop_requested()).await? {
        let (batch, scores) = match next {
            Next::Work(piece) => {
                pieces.hand_in(piece, scorer.score_piece(&of_batch(&batches[piece])).await?);
                continue;
            }
            Next::Keep(piece, scores) => (&batches[piece], scorer.scores_of_piece(&scores, batches[piece].len())),
        };
        for (index, mut score) in batch.iter().zip(scores) {
            if let Some(calibration) = &calibration {
                score.probs = calibration.probabilities(&score.probs);
                score.score = 1.0 + score.probs.iter().sum::<f64>();
            }
            rows[*index] = Some(score);
        }
        summary.rows += batch.len();
        summary.tokens += of_batch(batch).iter().map(|example| example.tokens() as u64).sum::<u64>();
        observer.on(Event::Scored { done: summary.rows, total: examples.len(), tokens: summary.tokens });
    }
    if pieces.were_left() {
        return Err(Error::Interrupted("no scores were written".into()));
    }
    summary.tokens_per_second = summary.tokens as f64 / started.elapsed().as_secs_f64().max(1e-9);
    let Some(staged) = staged else { return Ok(summary) };
    let failed = |e| Error::io(&config.output, e);
    let mut out = std::io::BufWriter::new(staged);
    for (example, Score { score, logits, probs }) in examples.iter().zip(rows.into_iter().flatten()) {
        summary.mean_score += score / examples.len() as f64;
        let row = json!({"id": example.id, "score": score, "logits": logits, "probs": probs});
        writeln!(out, "{row}").map_err(failed)?;
    }
    let staged = out.into_inner().map_err(|e| failed(e.into_error()))?;
    staged.persist(&config.output).map_err(failed)?;
    Ok(summary)
}
