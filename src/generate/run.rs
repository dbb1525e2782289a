//! `wgr generate`: completions of one prompt, or of all rows of a file.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use twox_hash::XxHash3_128;
use web_time::Instant;

use super::causal_model::CausalModel;
use super::config::GenerateConfig;
use super::generator::{self, seed_of};
use super::output::{Output, Row};
use super::prompter::Prompter;
use super::scheduler::Request;
use super::session::Generated;
use crate::data::TemplateInputs;
use crate::data::prompts::{self, Ask, Prompt};
use crate::gpu::Gpu;
use crate::model::{Checkpoint, Reading};
use crate::ranks::{Next, Ranks};
use crate::store::Key;
use crate::train::likeness;
use crate::train::saving::Progress;
use crate::{Error, Event, Observer, Result};

/// Batches of requests in a piece of the work of several ranks: at its end batches are not full.
const BATCHES_OF_PIECE: usize = 4;

/// How a run ended.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GenerateSummary {
    /// Completions, those of an earlier run included.
    pub completions: usize,
    /// Tokens drawn in this run.
    pub tokens: u64,
    /// Tokens drawn over wall-clock seconds, prompts included.
    pub tokens_per_second: f64,
    /// The completions of a prompt that is not in a file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Row>,
    /// How the model was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
}

/// Completes the prompt or the rows that the configuration names, together with the other ranks, of which the first writes.
///
/// # Errors
/// Bad rows; a model that cannot generate; an output that exists; no room on the device. Completions of rows are kept
/// as they finish, so that a stopped run can continue with `resume`.
pub async fn generate(
    gpu: &Gpu,
    ranks: &Ranks,
    config: &GenerateConfig,
    observer: &mut dyn Observer,
) -> Result<GenerateSummary> {
    config.validate()?;
    let model = CausalModel::open(&config.model, config.base_dtype)?;
    let checkpoint = model.checkpoint();
    let reading = match config.raw {
        true => Reading::of(checkpoint, "none, as texts are continued as they stand".into(), None)?,
        false => Reading::of_causal(checkpoint)?,
    };
    observer.note(&reading.to_string());
    model.suggested()?.iter().for_each(|line| observer.note(line));
    let prompter = Prompter::new(checkpoint, config.raw)?;
    let asked = match (&config.prompt, &config.input) {
        (Some(text), _) => {
            vec![Prompt { id: "prompt".into(), ask: Ask::Text(text.clone()), inputs: TemplateInputs::default() }]
        }
        (None, Some(input)) => {
            let (prompts, report) = prompts::read(std::slice::from_ref(input))?;
            report.notes().iter().for_each(|line| observer.note(line));
            prompts
        }
        (None, None) => vec![],
    };
    let tokens: Vec<Arc<[u32]>> =
        asked.iter().map(|prompt| Ok(prompter.tokens(prompt)?.into())).collect::<Result<_>>()?;
    prompter.hidden(&asked).iter().for_each(|line| observer.note(line));
    prompter.doubled_bos(tokens.iter().map(|tokens| &**tokens)).iter().for_each(|line| observer.note(line));
    let length = longest(checkpoint, config, &asked, &tokens)?;
    let prompts = || XxHash3_128::oneshot(bytemuck::cast_slice(&tokens.concat()));
    likeness::check(ranks, config, checkpoint, Progress::default(), prompts).await?;
    let mut output = match &config.output {
        Some(path) if ranks.is_first() => Some(Output::open(path, config.resume, config.force)?),
        _ => None,
    };

    // The missing completions, and those of an earlier run.
    let fingerprint = if output.is_some() { checkpoint.fingerprint()? } else { 0 };
    let mut rows: Vec<Option<Row>> = vec![];
    let mut work = vec![];
    for (index, (prompt, tokens)) in asked.iter().zip(&tokens).enumerate() {
        for sample in 0..config.n {
            let request = Request { prompt: tokens.clone(), seed: seed_of(config.seed, index, sample) };
            let key = key(fingerprint, config, &request);
            let kept = output.as_mut().map(|output| output.get(key)).transpose()?.flatten();
            work.push((Job { place: rows.len(), key, id: prompt.id.clone(), sample }, request));
            // The same text may have been asked under another id.
            rows.push(kept.map(|row| Row { id: prompt.id.clone(), sample, ..row }));
        }
    }
    let is_kept = ranks.gather(rows.iter().map(|row| u8::from(row.is_some())).collect()).await?.swap_remove(0);
    let (jobs, requests): (Vec<Job>, Vec<Request>) =
        work.into_iter().zip(is_kept).filter_map(|(work, is_kept)| (is_kept == 0).then_some(work)).unzip();
    let (total, kept) = (rows.len(), rows.len() - jobs.len());
    if kept > 0 {
        observer.note(&format!("{kept} completions exist already"));
    }
    let mut keep = |Job { place, key, .. }: &Job, row: Row| -> Result<()> {
        if let Some(output) = &mut output {
            output.keep(*key, &row)?;
        }
        rows[*place] = Some(row);
        Ok(())
    };
    let (mut started, mut drawn) = (Instant::now(), 0);
    if !requests.is_empty() {
        let cache = config.cache_dtype.dtype();
        let capacity =
            generator::capacity(gpu, checkpoint.config(), config.batch_size.min(requests.len()), length, cache)?;
        let hint = "use a smaller `.batch_size` or `.max_new_tokens`, or `.cache_dtype` f16";
        let mut generator = model.load(gpu, prompter.tokenizer(), capacity, cache, hint, observer)?;
        // The rate is that of drawing, whatever loading took.
        started = Instant::now();
        let mut kept = kept;
        let unreadable = |e: serde_json::Error| Error::run(format!("completions for the first rank: {e}"), "");
        let piece_of = requests_of_piece(requests.len(), ranks.size(), config.batch_size);
        let mut pieces = ranks.pieces(requests.len().div_ceil(piece_of));
        while let Some(next) = pieces.next(false).await? {
            let piece = match next {
                Next::Work(piece) => piece,
                Next::Keep(_, result) => {
                    let of_piece: Drawn = serde_json::from_slice(&result).map_err(unreadable)?;
                    drawn += of_piece.tokens;
                    kept += of_piece.rows.len();
                    of_piece.rows.into_iter().try_for_each(|(place, row)| keep(&jobs[place], row))?;
                    continue;
                }
            };
            let first = piece * piece_of;
            let of_piece = &requests[first..requests.len().min(first + piece_of)];
            let mut of_own = Drawn::default();
            let ended = |request: usize, completion: &Generated| {
                let place = first + request;
                let job = &jobs[place];
                let row = Row {
                    id: job.id.clone(),
                    sample: job.sample,
                    text: completion.text.clone(),
                    tokens: completion.tokens.len(),
                    finish_reason: completion.finish,
                    seed: of_piece[request].seed,
                };
                of_own.tokens += completion.tokens.len() as u64;
                // The first rank keeps its own as soon as they end, so that a run that is stopped loses none.
                if ranks.is_first() {
                    return keep(job, row);
                }
                of_own.rows.push((place, row));
                Ok(())
            };
            let mut going_on = GoingOn { observer: &mut *observer, kept, total };
            generator.run(gpu, of_piece, &config.settings(), &mut going_on, ended).await?;
            if ranks.is_first() {
                kept += of_piece.len();
            }
            pieces.hand_in(piece, serde_json::to_vec(&of_own).map_err(unreadable)?);
        }
    }
    let tokens = drawn;
    let rows: Vec<Row> = rows.into_iter().flatten().collect();
    let mut summary =
        GenerateSummary { completions: total, tokens, reading: Some(reading), ..GenerateSummary::default() };
    summary.tokens_per_second = tokens as f64 / started.elapsed().as_secs_f64().max(1e-9);
    match output {
        Some(output) => output.complete(&rows)?,
        // The first rank has the output.
        None if config.output.is_some() => {}
        None => summary.rows = rows,
    }
    Ok(summary)
}

/// Requests that a rank draws before it asks for more: all of them where it is alone; else as many as keep its batches full
/// for a while, or fewer where there are not enough for all ranks.
fn requests_of_piece(requests: usize, ranks: usize, batch_size: usize) -> usize {
    if ranks == 1 { requests } else { requests.div_ceil(ranks).min(batch_size * BATCHES_OF_PIECE) }
}

/// Tokens of the longest sequence, as far as the model reaches.
fn longest(checkpoint: &Checkpoint, config: &GenerateConfig, asked: &[Prompt], tokens: &[Arc<[u32]>]) -> Result<usize> {
    let reach = checkpoint.config().max_position_embeddings;
    for (prompt, tokens) in asked.iter().zip(tokens) {
        let at = format!("prompt {:?}", prompt.id);
        if tokens.len() >= reach {
            let problem = format!("has {} tokens, but the model's limit is {reach}", tokens.len());
            return Err(Error::input(at, problem, "shorten it"));
        }
        if tokens.is_empty() {
            return Err(Error::input(at, "has no tokens", "the text may be blank"));
        }
    }
    let most = tokens.iter().map(|tokens| tokens.len()).max().unwrap_or(1);
    Ok(most.saturating_add(config.max_new_tokens).min(reach))
}

/// A hash of everything that decides a completion.
fn key(model: u128, config: &GenerateConfig, request: &Request) -> Key {
    let asked = json!([model.to_string(), config.settings(), config.cache_dtype, &*request.prompt, request.seed]);
    XxHash3_128::oneshot(asked.to_string().as_bytes())
}

/// A completion to be drawn.
struct Job {
    /// Its place among all rows.
    place: usize,
    key: Key,
    id: String,
    sample: usize,
}

/// What a rank has drawn of a piece: rows by their places, of other ranks than the first.
#[derive(Default, Serialize, Deserialize)]
struct Drawn {
    tokens: u64,
    rows: Vec<(usize, Row)>,
}

/// Adds the completions of other pieces and of an earlier run to what an observer is told.
struct GoingOn<'a> {
    observer: &'a mut dyn Observer,
    kept: usize,
    total: usize,
}

impl Observer for GoingOn<'_> {
    fn on(&mut self, event: Event<'_>) {
        self.observer.on(match event {
            Event::Sampled { done, tokens, .. } => Event::Sampled { done: self.kept + done, total: self.total, tokens },
            other => other,
        });
    }

    fn stop_requested(&self) -> bool {
        self.observer.stop_requested()
    }
}
