//! `wgr dpo`: preference pairs in, a policy that prefers the chosen completions out.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};
use twox_hash::XxHash3_128;

use crate::data::{Purpose, read_rows};
use crate::gpu::Gpu;
use crate::kernels::bench;
use crate::model::activations::AdapterRoom;
use crate::model::causal::Causal;
use crate::model::lora::Lora;
use crate::model::plan::MemoryPlan;
use crate::model::policy::{LogProb, Settings};
use crate::model::{Checkpoint, Reading};
use crate::ranks::Ranks;
use crate::reference::preference::{self, Pair, Weights};
use crate::report::card::{Kind, ModelCard};
use crate::train::course::{self, Course, Method, Taken, Updated};
use crate::train::saving::{self, Progress};
use crate::train::{TrainSummary, likeness, output, records};
use crate::{Error, Event, Observer, Result};

use super::cache::hash_of_tokens;
use super::config::DpoConfig;
use super::encode::{PairEncoder, PairReport, TokenPair};
use super::loss::LossConfig;
use super::measures::Measures;
use super::reference::{Reference, References, Set, log_probs};
use super::room::Room;
use super::saving::{Aim, save_policy};
use super::step::{MicroBatch, Outcome, Rated, Stepper};
use super::validate::{BARS_F16, adapters};
use super::warnings::Warnings;

/// How a run ended.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DpoSummary {
    /// As for every trainer.
    #[serde(flatten)]
    pub training: TrainSummary,
    /// Counts of the rows changed or dropped.
    pub pairs: PairReport,
    /// The warnings of the run.
    pub warnings: Vec<String>,
}

/// Trains a policy on preference pairs, together with the other ranks, of which the first writes it to the output directory.
///
/// # Errors
/// Bad settings or rows; an output that exists; a reference with another vocabulary, or whose cache is of something else; a
/// plan that does not fit; a loss or gradient that is no longer finite, after a checkpoint of the last good state was
/// written; device and disk failures; a rank that fails, or has other files or settings.
pub async fn dpo(gpu: &Gpu, ranks: &Ranks, config: &DpoConfig, observer: &mut dyn Observer) -> Result<DpoSummary> {
    config.validate()?;
    let resumed = output::check(&config.trainer)?;
    saving::check_algorithm(resumed.as_deref(), &config.trainer, ranks)?;
    let source = open_policy(&config.policy.model, &config.loss, &config.trainer.output, resumed.as_deref())?;
    let reading = Reading::of_causal(&source)?;
    observer.note(&reading.to_string());
    output::note_new(&source, config.trainer.seed, observer);
    let encoder = PairEncoder::new(&source, config.trainer.max_length)?;
    let (pairs, report) = read_pairs(&config.data, &encoder, observer)?;
    let held_out = match config.trainer.eval_data.is_empty() {
        true => vec![],
        false => read_pairs(&config.trainer.eval_data, &encoder, observer)?.0,
    };
    let lora = source.adapters_to_train(adapters(&config.lora)?)?;
    let (_, precision) = config.trainer.precision.resolved(Some(BARS_F16), None, gpu.cooperative_side())?;
    precision.iter().for_each(|line| observer.note(line));
    let mut sets = vec![Set { files: &config.data, pairs: &pairs, cache: "reference.jsonl" }];
    if !held_out.is_empty() {
        sets.push(Set { files: &config.trainer.eval_data, pairs: &held_out, cache: "reference-eval.jsonl" });
    }
    let mut reference = match config.loss.kind.needs_reference() {
        true => Some(Reference::open(config, ranks, &encoder, &source, resumed.is_some(), &sets)?),
        false => None,
    };
    let shares_prompts = source.config().shares_prompts() && reference.as_ref().is_none_or(Reference::shares_prompts);
    let lengths: Vec<usize> = pairs.iter().map(|pair| pair.packed_tokens(shares_prompts)).collect();
    let course = Course::new(&lengths, config.policy.lr, &config.trainer, ranks)?;
    let room = Room::new(&course, &pairs, &held_out, shares_prompts);
    let memory = config.trainer.plan_on(ranks, plan(config, &source, lora.as_ref(), &room));
    observer.on(Event::Planned(&memory));
    memory.check(gpu)?;
    if let Some(reference) = &reference {
        reference.agree().await?;
    }
    // The reference speaks before the first step: its log-probabilities never change.
    if let Some(reference) = &mut reference {
        reference.compute(gpu, &room, observer).await?;
    }
    let mut stepper = load(gpu, ranks, config, &source, lora.as_ref(), &room, course.micro_batches())?;
    if let Some(reference) = &mut reference {
        // Without a second model it is the initial policy: new adapters change nothing yet.
        reference.compute_with(gpu, &mut stepper.policy, &room, observer).await?;
    }
    let mut progress = Progress::default();
    if let Some(directory) = &resumed {
        progress = saving::restore(gpu, &mut stepper.update, directory)?;
        observer.note(&format!("resumed after step {} from {}", progress.step, directory.display()));
    }
    let rows = || of_pairs([&pairs, &held_out]);
    likeness::check(ranks, config, &source, progress, rows).await?;
    // Only now, when nothing that was given can be wrong any more, is an old run replaced.
    if ranks.is_first() {
        output::open(&config.trainer.output, resumed.is_some())?;
    }
    let mut references = match reference {
        Some(reference) => reference.finish(observer)?,
        None => sets.iter().map(|set| vec![[0.0; 2]; set.pairs.len()]).collect(),
    };
    let held_out_references = if held_out.is_empty() { vec![] } else { references.pop().unwrap_or_default() };
    let references = references.pop().unwrap_or_default();
    drop(sets);
    let mut run = Run {
        gpu,
        config,
        source,
        lora,
        reading,
        pairs: Paired { pairs, references },
        held_out: Paired { pairs: held_out, references: held_out_references },
        room,
        stepper,
        warnings: Warnings::new(&config.loss),
        told: report.warnings(),
    };
    let peak = if ranks.is_first() { Some(bench::f32_ceiling(gpu).await?) } else { None };
    let mut training = course::run(&mut run, course, &config.trainer, peak, &mut progress, observer).await?;
    training.reading = Some(run.reading.clone());
    if !training.interrupted && ranks.is_first() {
        run.finish(progress, &training).await?;
    }
    Ok(DpoSummary { training, pairs: report, warnings: run.told })
}

/// A hash of sets of pairs as tokens.
fn of_pairs(sets: [&[TokenPair]; 2]) -> u128 {
    XxHash3_128::oneshot(sets.map(hash_of_tokens).concat().as_bytes())
}

/// Opens the model to train, which the user called `policy`, or the checkpoint to resume from.
pub(super) fn open_policy(
    policy: &str,
    loss: &LossConfig,
    output: &Path,
    resumed: Option<&Path>,
) -> Result<Checkpoint> {
    let source = match resumed {
        Some(directory) => Checkpoint::open(&directory.display().to_string())?,
        None => Checkpoint::open(policy)?,
    };
    match resumed {
        Some(directory) => Aim::of(loss).check(directory)?,
        None => output::check_source(output, &source, policy)?,
    }
    source.config().check_trainable()?;
    if source.config().num_labels.is_some() {
        let problem = "is a classifier, which does not give tokens a probability";
        return Err(Error::input(format!("`.policy` {policy}"), problem, "give a causal model"));
    }
    Ok(source)
}

fn read_pairs(
    files: &[PathBuf],
    encoder: &PairEncoder,
    observer: &mut dyn Observer,
) -> Result<(Vec<TokenPair>, PairReport)> {
    let (rows, read) = read_rows(files, Purpose::Preference)?;
    let (pairs, report) = encoder.encode(&rows)?;
    for line in read.notes().into_iter().chain(report.notes(encoder.max_length())) {
        observer.note(&line);
    }
    Ok((pairs, report))
}

/// The device memory of a run.
pub(super) fn plan(config: &DpoConfig, source: &Checkpoint, lora: Option<&Lora>, room: &Room) -> MemoryPlan {
    let mut plan = MemoryPlan { tokens: room.tokens, ..MemoryPlan::default() };
    Causal::add_to_train(&mut plan, source, lora, config.trainer.precision.holding());
    settings(config, lora, room).add_to(&mut plan, source.config());
    plan
}

fn settings(config: &DpoConfig, lora: Option<&Lora>, room: &Room) -> Settings {
    let adapters = lora.map(|lora| AdapterRoom::of(&lora.config));
    room.settings(config.trainer.precision.holding(), config.trainer.checkpointing, adapters)
}

fn load(
    gpu: &Gpu,
    ranks: &Ranks,
    config: &DpoConfig,
    source: &Checkpoint,
    lora: Option<&Lora>,
    room: &Room,
    micro_batches: usize,
) -> Result<Stepper> {
    let holding = config.trainer.precision.holding();
    let causal = Causal::load_to_train(gpu, source, lora, holding, config.trainer.seed)?;
    let settings = settings(config, lora, room);
    let loss = (config.loss.kind, config.loss.weights());
    Stepper::new(gpu, source.config(), causal, &settings, loss, config.trainer.optimizing(ranks), micro_batches)
}

/// Pairs with their log-probabilities under the reference model.
struct Paired {
    pairs: Vec<TokenPair>,
    references: References,
}

/// A prepared run: everything but the loop.
struct Run<'a> {
    gpu: &'a Gpu,
    config: &'a DpoConfig,
    source: Checkpoint,
    lora: Option<Lora>,
    reading: Reading,
    pairs: Paired,
    held_out: Paired,
    room: Room,
    stepper: Stepper,
    warnings: Warnings,
    /// The warnings of the run.
    told: Vec<String>,
}

impl Run<'_> {
    fn micro_batch(&self, batch: &[usize]) -> Result<MicroBatch> {
        let Paired { pairs, references } = &self.pairs;
        Ok(MicroBatch {
            completions: self.stepper.policy.pack(batch.iter().flat_map(|index| pairs[*index].sides()))?,
            references: batch.iter().flat_map(|index| references[*index]).collect(),
        })
    }

    /// Writes the trained policy with what a run leaves beside it.
    async fn finish(&self, progress: Progress, summary: &TrainSummary) -> Result<()> {
        let card = ModelCard {
            base_model: records::hub_name(&self.config.policy.model),
            training_rows: self.pairs.pairs.len() as u64,
            reading: Some(self.reading.clone()),
            ..ModelCard::new(Kind::Policy { loss: self.config.loss.kind.to_string(), is_adapter: self.lora.is_some() })
        };
        let output = &self.config.trainer.output;
        let files = records::finish(output, self.config, card, progress, &summary.evaluation)?;
        self.save(output, files).await
    }

    async fn save(&self, directory: &Path, files: Vec<(String, Vec<u8>)>) -> Result<()> {
        let lora = self.lora.as_ref().map(|lora| &lora.config);
        save_policy(self.gpu, &self.stepper.policy.causal, lora, &self.source, directory, files).await
    }
}

impl Method for Run<'_> {
    async fn step(
        &mut self,
        batches: &[Vec<usize>],
        step: u64,
        learning_rate: f64,
        _: &mut dyn Observer,
    ) -> Result<Taken> {
        let batches: Vec<MicroBatch> = batches.iter().map(|batch| self.micro_batch(batch)).collect::<Result<_>>()?;
        let Outcome { loss, pairs, grad_norm, flops } =
            self.stepper.step(self.gpu, &batches, step, learning_rate).await?;
        let measures = Measures::of(&pairs);
        let notes = self.warnings.step(loss, measures);
        self.told.extend(notes.clone());
        let tokens = batches.iter().map(|batch| batch.completions.tokens.len() as u64).sum();
        let update = Some(Updated { loss, grad_norm, skipped: None });
        Ok(Taken { update, tokens, processed: tokens, flops, measures: measures.named(), notes })
    }

    async fn evaluate(&mut self, _: u64, _: &mut dyn Observer) -> Result<Option<Map<String, Value>>> {
        let Paired { pairs, references } = &self.held_out;
        if pairs.is_empty() {
            return Ok(None);
        }
        let said = log_probs(self.gpu, &self.stepper.update.ranks, &mut self.stepper.policy, pairs, &self.room).await?;
        let rate = |([chosen, rejected], references): ([LogProb; 2], &[f32; 2])| {
            [self.stepper.rate(chosen, references[0]), self.stepper.rate(rejected, references[1])]
        };
        let rated: Vec<[Rated; 2]> = said.into_iter().zip(references).map(rate).collect();
        let mut row = Map::new();
        row.insert("eval/pairs".into(), pairs.len().into());
        let loss = mean_loss(&self.config.loss, &rated, references);
        for (name, value) in std::iter::once(("loss", loss)).chain(Measures::of(&rated).named()) {
            row.insert(format!("eval/{name}"), value.into());
        }
        Ok(Some(row))
    }

    async fn save_checkpoint(&self, progress: Progress) -> Result<PathBuf> {
        let directory = saving::checkpoint_directory(&self.config.trainer.output, progress);
        if self.stepper.update.ranks.is_first() {
            self.save(&directory, vec![Aim::of(&self.config.loss).file()]).await?;
        }
        saving::save_state(self.gpu, &self.stepper.update, &directory, progress).await?;
        Ok(directory)
    }

    async fn sync(&mut self) -> Result<()> {
        self.stepper.update.sync(self.gpu).await
    }
}

/// The mean loss of pairs, by the twin of the kernel.
fn mean_loss(config: &LossConfig, rated: &[[Rated; 2]], references: &[[f32; 2]]) -> f64 {
    let weights = Weights {
        beta: config.beta,
        label_smoothing: config.label_smoothing,
        gamma: config.gamma(),
        sft_weight: config.sft_weight,
    };
    let loss = |(sides, references): (&[Rated; 2], &[f32; 2])| {
        let pair = Pair {
            log_probs: sides.map(|side| f64::from(side.policy.log_prob)),
            references: references.map(f64::from),
            lengths: sides.map(|side| side.policy.tokens as f64),
        };
        preference::finish(&pair, &weights, 1.0, preference::term(config.kind.name(), &pair, &weights)).0
    };
    rated.iter().zip(references).map(loss).sum::<f64>() / rated.len().max(1) as f64
}
