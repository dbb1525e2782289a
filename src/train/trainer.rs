//! `wgr train`: rows in, a reward model out.

use std::path::PathBuf;
use std::time::Instant;

use crate::data::{Example, Packed, Sampler, Template};
use crate::gpu::Gpu;
use crate::kernels::bench;
use crate::model::Checkpoint;
use crate::model::classifier::{self, Capacity, Loading};
use crate::model::parameter::Holding;
use crate::objective::{Objective, initial_biases};
use crate::optimizer::{AdamWConfig, LearningRate};
use crate::{Error, Result};

use super::calibration::{CALIBRATION, ModelCalibration};
use super::config::{Precision, TrainConfig};
use super::evaluation::{Evaluated, evaluate};
use super::inputs;
use super::observer::{Observer, StepMetrics, TrainSummary};
use super::output;
use super::records::Records;
use super::saving::{self, Head, Parts, Progress};
use super::step::{Outcome, Stepper};

/// Trains a reward model and writes it to the output directory.
///
/// # Errors
/// Bad settings or rows; an output that exists; a plan that does not fit; a loss or gradient that is no longer finite,
/// after a checkpoint of the last good state was written; device and disk failures.
pub async fn train(gpu: &Gpu, config: &TrainConfig, observer: &mut dyn Observer) -> Result<TrainSummary> {
    config.validate()?;
    let resumed = output::check(config)?;
    let source = match &resumed {
        Some(directory) => Checkpoint::open(&directory.display().to_string())?,
        None => Checkpoint::open(&config.model)?,
    };
    match resumed {
        Some(_) => output::check_head(config, &source)?,
        None => output::check_source(config, &source)?,
    }
    let template = inputs::template(config.template.as_deref(), &source)?;
    let encoder = inputs::encoder(&source, template.clone(), config.trainer.max_length)?;
    let purpose = inputs::purpose(config.objective, config.levels);
    let examples = inputs::examples(&config.data, purpose, &encoder, observer)?;
    let held_out = match config.trainer.eval_data.is_empty() {
        true => vec![],
        false => inputs::examples(&config.trainer.eval_data, purpose, &encoder, observer)?,
    };
    let mut run = Run::prepare(gpu, config, source, template, examples, held_out, observer)?;
    if let Some(directory) = &resumed {
        run.progress = saving::restore(gpu, &run.stepper, directory)?;
        observer.note(&format!("resumed after step {} from {}", run.progress.step, directory.display()));
    }
    // Only now, when nothing that was given can be wrong any more, is an old run replaced.
    output::open(config, resumed.is_some())?;
    run.train(gpu, observer).await
}

/// A prepared run: everything but the loop.
struct Run<'a> {
    config: &'a TrainConfig,
    source: Checkpoint,
    template: Template,
    head: Head,
    examples: Vec<Example>,
    held_out: Vec<Example>,
    capacity: Capacity,
    stepper: Stepper,
    sampler: Sampler,
    total_steps: u64,
    schedule: LearningRate,
    progress: Progress,
}

impl<'a> Run<'a> {
    fn prepare(
        gpu: &Gpu,
        config: &'a TrainConfig,
        source: Checkpoint,
        template: Template,
        examples: Vec<Example>,
        held_out: Vec<Example>,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let lengths: Vec<usize> = examples.iter().map(Example::tokens).collect();
        let sampler = Sampler::new(&lengths, config.trainer.batch_size, config.trainer.shuffle, config.trainer.seed)?;
        let steps_per_epoch = sampler.batches_per_epoch().div_ceil(config.trainer.grad_accum) as u64;
        let all_steps = steps_per_epoch * u64::from(config.trainer.epochs);
        let total_steps = config.trainer.max_steps.map_or(all_steps, |most| most.min(all_steps));
        let epochs = total_steps.div_ceil(steps_per_epoch.max(1));
        let capacity = capacity(config, &sampler, epochs, &examples, &held_out);
        let biases = match config.objective {
            Objective::Coral => Head::of(source.config(), 1)?.biases,
            _ => vec![],
        };
        let fresh = config.objective == Objective::Coral && biases.len() + 1 != config.levels as usize;
        let loading = Loading {
            holding: match config.trainer.precision {
                Precision::F32 => Holding::Training,
                Precision::Mixed => Holding::MixedTraining,
            },
            checkpointing: config.trainer.checkpointing,
            logits: config.objective.logits(config.levels as usize),
            biases: if fresh { initial_biases(config.levels as usize) } else { biases },
            seed: config.trainer.seed,
            capacity,
        };
        let plan = classifier::plan(source.config(), &source, &loading);
        observer.planned(&plan);
        plan.check(gpu)?;
        let settings = AdamWConfig {
            weight_decay: config.trainer.weight_decay,
            max_grad_norm: config.trainer.max_grad_norm,
            ..AdamWConfig::default()
        };
        let micro_batches = config.trainer.grad_accum.min(sampler.batches_per_epoch());
        let stepper = Stepper::new(gpu, &source, &loading, config.objective, config.levels, settings, micro_batches)?;
        Ok(Self {
            head: Head { objective: config.objective, levels: config.levels, biases: vec![] },
            schedule: LearningRate::new(
                config.trainer.schedule,
                config.lr,
                config.trainer.warmup_ratio,
                total_steps as usize,
            ),
            progress: Progress { step: 0, tokens: 0 },
            config,
            source,
            template,
            examples,
            held_out,
            capacity,
            stepper,
            sampler,
            total_steps,
        })
    }

    fn parts(&self) -> Parts<'_> {
        Parts { source: &self.source, head: self.head.clone(), template: &self.template }
    }

    async fn save_checkpoint(&self, gpu: &Gpu) -> Result<PathBuf> {
        saving::save_checkpoint(gpu, &self.stepper, &self.parts(), &self.config.trainer.output, self.progress).await
    }

    async fn train(mut self, gpu: &Gpu, observer: &mut dyn Observer) -> Result<TrainSummary> {
        let peak = bench::peak_flops(gpu).await?;
        let mut records = Records::open(&self.config.trainer.output, self.progress.step)?;
        let mut summary = TrainSummary { steps: self.progress.step, ..TrainSummary::default() };
        let mut calibration = None;
        let mut rates = vec![];
        observer.steps(self.total_steps, self.progress.step);
        let per_epoch = self.sampler.batches_per_epoch().div_ceil(self.config.trainer.grad_accum) as u64;
        let mut evaluated_at = None;
        let mut order: Option<(u64, Vec<Vec<usize>>)> = None;
        while self.progress.step < self.total_steps {
            let (epoch, place) = (self.progress.step / per_epoch, (self.progress.step % per_epoch) as usize);
            if order.as_ref().is_none_or(|(of, _)| *of != epoch) {
                order = Some((epoch, self.sampler.epoch(epoch)));
            }
            let batches: Vec<Packed> = order
                .iter()
                .flat_map(|(_, batches)| batches.chunks(self.config.trainer.grad_accum).nth(place).unwrap_or_default())
                .map(|batch| Packed::new(batch.iter().map(|index| &self.examples[*index])))
                .collect::<Result<_>>()?;
            let started = Instant::now();
            let learning_rate = self.schedule.at(self.progress.step as usize);
            let outcome = self.stepper.step(gpu, &batches, self.progress.step, learning_rate).await?;
            let seconds = started.elapsed().as_secs_f64();
            self.refuse_divergence(gpu, &outcome).await?;
            let tokens = batches.iter().map(|batch| batch.tokens.len() as u64).sum::<u64>();
            self.progress = Progress { step: self.progress.step + 1, tokens: self.progress.tokens + tokens };
            let metrics = StepMetrics {
                step: self.progress.step,
                epoch: self.progress.step as f64 / per_epoch as f64,
                loss: outcome.loss,
                grad_norm: f64::from(outcome.grad_norm.norm),
                learning_rate,
                tokens: self.progress.tokens,
                tokens_per_second: tokens as f64 / seconds,
            };
            records.step(&metrics)?;
            observer.step(&metrics, outcome.flops / seconds / peak);
            if rates.is_empty() {
                summary.first_loss = outcome.loss;
            }
            rates.push(metrics.tokens_per_second);
            summary.last_loss = outcome.loss;
            summary.tokens += tokens;
            summary.steps = self.progress.step;
            let step = self.progress.step;
            let due = |every: Option<u64>| every.is_some_and(|every| step.is_multiple_of(every));
            if due(self.config.trainer.eval_every) && !self.held_out.is_empty() {
                Evaluated { metrics: summary.evaluation, calibration } =
                    self.evaluate(gpu, &mut records, observer).await?;
                evaluated_at = Some(self.progress.step);
            }
            if observer.stop_requested() {
                let directory = self.save_checkpoint(gpu).await?;
                observer.note(&format!("stopped on request; --resume goes on from {}", directory.display()));
                summary.interrupted = true;
                break;
            }
            if due(self.config.trainer.save_every) {
                self.save_checkpoint(gpu).await?;
            }
        }
        rates.sort_by(f64::total_cmp);
        summary.tokens_per_second = rates.get(rates.len() / 2).copied().unwrap_or(0.0);
        if summary.interrupted {
            return Ok(summary);
        }
        if evaluated_at != Some(self.progress.step) && !self.held_out.is_empty() {
            Evaluated { metrics: summary.evaluation, calibration } = self.evaluate(gpu, &mut records, observer).await?;
        }
        let mut files =
            records.finish(self.config, &self.template, self.examples.len(), self.progress, &summary.evaluation)?;
        files.extend(calibration.as_ref().map(calibration_file).transpose()?);
        saving::save_model(gpu, &self.stepper, &self.parts(), &self.config.trainer.output, files).await?;
        Ok(summary)
    }

    async fn evaluate(&mut self, gpu: &Gpu, records: &mut Records, observer: &mut dyn Observer) -> Result<Evaluated> {
        let evaluated = evaluate(gpu, &mut self.stepper, &self.head, &self.held_out, self.capacity).await?;
        records.evaluation(self.progress.step, &evaluated.metrics)?;
        observer.evaluated(self.progress.step, &evaluated.metrics);
        Ok(evaluated)
    }

    /// A loss or gradient that is not a number ends the run. The update was not applied, so the weights are those of
    /// the step before, and they are saved.
    async fn refuse_divergence(&self, gpu: &Gpu, outcome: &Outcome) -> Result<()> {
        if outcome.loss.is_finite() && outcome.grad_norm.finite {
            return Ok(());
        }
        let step = self.progress.step + 1;
        let what = match &outcome.grad_norm.worst {
            Some(tensor) => format!("the gradient of {tensor} is not finite at step {step} (loss {})", outcome.loss),
            None => format!("the loss is {} at step {step}", outcome.loss),
        };
        let directory = self.save_checkpoint(gpu).await?;
        Err(Error::run(
            format!("{what}; the state after step {} is in {}", step - 1, directory.display()),
            "lower --lr or --max-grad-norm, or look at the rows of this step",
        ))
    }
}

/// The calibration as a file of the model directory.
fn calibration_file(calibration: &ModelCalibration) -> Result<(String, Vec<u8>)> {
    let json = serde_json::to_vec_pretty(calibration).map_err(|e| Error::run(format!("{CALIBRATION}: {e}"), ""))?;
    Ok((CALIBRATION.to_owned(), json))
}

/// The largest micro-batch of the epochs that the run will see, and at least the longest held-out row.
fn capacity(
    config: &TrainConfig,
    sampler: &Sampler,
    epochs: u64,
    examples: &[Example],
    held_out: &[Example],
) -> Capacity {
    let tokens_of = |batch: &Vec<usize>| batch.iter().map(|index| examples[*index].tokens()).sum::<usize>();
    let largest = (0..epochs).flat_map(|epoch| sampler.epoch(epoch)).map(|batch| tokens_of(&batch)).max();
    let longest = |examples: &[Example]| examples.iter().flat_map(|e| &e.sequences).map(Vec::len).max().unwrap_or(0);
    let widest = held_out.iter().map(Example::tokens).max().unwrap_or(0);
    let per_example = if config.objective == Objective::Pairwise { 2 } else { 1 };
    Capacity {
        tokens: largest.unwrap_or(0).max(widest).max(1),
        sequences: config.trainer.batch_size.min(examples.len()) * per_example,
        length: longest(examples).max(longest(held_out)).max(1),
    }
}
