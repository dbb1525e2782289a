//! The course of a run: which rows each step sees, at which learning rate, and the loop around the steps.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Map, Value};

use crate::data::Sampler;
use crate::gpu::Gpu;
use crate::kernels::bench;
use crate::optimizer::{GradNorm, LearningRate};
use crate::report::metrics::StepMetrics;
use crate::{Error, Event, Observer, Result};

use super::config::TrainerConfig;
use super::records::Records;
use super::saving::Progress;
use super::summary::TrainSummary;

/// Which rows each step of a run sees, and at which learning rate: a pure function of settings and step, so that the
/// step number is all that a resumed run needs.
pub struct Course {
    sampler: Sampler,
    grad_accum: usize,
    steps_per_epoch: u64,
    total_steps: u64,
    schedule: LearningRate,
    /// The epoch whose order was asked for last.
    order: Option<(u64, Vec<Vec<usize>>)>,
}

impl Course {
    /// The course over rows with these lengths in tokens.
    ///
    /// # Errors
    /// A batch size of 0.
    pub fn new(lengths: &[usize], lr: f64, config: &TrainerConfig) -> Result<Self> {
        let sampler = Sampler::new(lengths, config.batch_size, config.shuffle, config.seed)?;
        let steps_per_epoch = sampler.batches_per_epoch().div_ceil(config.grad_accum) as u64;
        let all_steps = steps_per_epoch * u64::from(config.epochs);
        let total_steps = config.max_steps.map_or(all_steps, |most| most.min(all_steps));
        Ok(Self {
            sampler,
            grad_accum: config.grad_accum,
            steps_per_epoch,
            total_steps,
            schedule: LearningRate::new(config.schedule, lr, config.warmup_ratio, total_steps as usize),
            order: None,
        })
    }

    /// The most micro-batches of a step.
    pub fn micro_batches(&self) -> usize {
        self.grad_accum.min(self.sampler.batches_per_epoch())
    }

    /// Every micro-batch of the epochs that the run will see, as places of rows.
    pub fn all_batches(&self) -> impl Iterator<Item = Vec<usize>> {
        let epochs = self.total_steps.div_ceil(self.steps_per_epoch.max(1));
        (0..epochs).flat_map(|epoch| self.sampler.epoch(epoch))
    }

    /// The micro-batches of step number `step`, counted from 0.
    fn batches(&mut self, step: u64) -> Vec<Vec<usize>> {
        let (epoch, place) = (step / self.steps_per_epoch, (step % self.steps_per_epoch) as usize);
        if self.order.as_ref().is_none_or(|(of, _)| *of != epoch) {
            self.order = Some((epoch, self.sampler.epoch(epoch)));
        }
        let batches = self.order.iter().flat_map(|(_, batches)| batches.chunks(self.grad_accum).nth(place));
        batches.flatten().cloned().collect()
    }
}

/// The result of a step.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Mean loss over the rows of the step.
    pub loss: f64,
    /// Norm of all gradients before clipping.
    pub grad_norm: GradNorm,
    /// Tokens that it learned from.
    pub tokens: u64,
    /// Estimated floating-point operations.
    pub flops: f64,
    /// Further metrics of the method.
    pub measures: Vec<(&'static str, f64)>,
}

/// The parts that differ among trainers: how rows become a step, what is measured, what is saved.
#[allow(async_fn_in_trait, reason = "used within this crate, on one thread")]
pub trait Method {
    /// Takes step number `step` (counted from 0) on micro-batches of rows, given by their places.
    async fn step(
        &mut self,
        gpu: &Gpu,
        batches: &[Vec<usize>],
        step: u64,
        learning_rate: f64,
        observer: &mut dyn Observer,
    ) -> Result<Taken>;

    /// Measures the held-out rows, `eval/…` names; `None` where there are none.
    async fn evaluate(&mut self, gpu: &Gpu) -> Result<Option<Map<String, Value>>>;

    /// Writes a checkpoint and says where.
    async fn save_checkpoint(&self, gpu: &Gpu, progress: Progress) -> Result<PathBuf>;
}

/// Takes the steps that are left, with the records, evaluations and checkpoints that are due.
///
/// # Errors
/// A loss or gradient that is no longer finite, after a checkpoint of the last good state was written; whatever the
/// method, the device or the disk fails with.
pub async fn run(
    gpu: &Gpu,
    method: &mut impl Method,
    mut course: Course,
    config: &TrainerConfig,
    progress: &mut Progress,
    observer: &mut dyn Observer,
) -> Result<TrainSummary> {
    if let Some(planned) = progress.planned_steps {
        course.schedule.check_extends(planned, progress.step)?;
    }
    progress.planned_steps = Some(course.total_steps);
    let peak = bench::peak_flops(gpu).await?;
    let mut records = Records::open(&config.output, progress.step)?;
    let mut summary = TrainSummary { steps: progress.step, ..TrainSummary::default() };
    let mut rates = vec![];
    let (mut evaluated_at, mut saved_at) = (None, Some(progress.step));
    observer.on(Event::Training { done: progress.step, total: course.total_steps });
    while progress.step < course.total_steps {
        let batches = course.batches(progress.step);
        let learning_rate = course.schedule.at(progress.step as usize);
        let started = Instant::now();
        let taken = method.step(gpu, &batches, progress.step, learning_rate, observer).await?;
        let seconds = started.elapsed().as_secs_f64();
        refuse_divergence(gpu, method, &taken, *progress).await?;
        (progress.step, progress.tokens) = (progress.step + 1, progress.tokens + taken.tokens);
        let metrics = StepMetrics {
            step: progress.step,
            epoch: progress.step as f64 / course.steps_per_epoch as f64,
            loss: taken.loss,
            grad_norm: f64::from(taken.grad_norm.norm),
            learning_rate,
            tokens: progress.tokens,
            tokens_per_second: taken.tokens as f64 / seconds,
            measures: taken.measures,
        };
        records.step(&metrics)?;
        observer.on(Event::Step { metrics: &metrics, peak_share: taken.flops / seconds / peak });
        if rates.is_empty() {
            summary.first_loss = taken.loss;
        }
        rates.push(metrics.tokens_per_second);
        summary.last_loss = taken.loss;
        summary.tokens += taken.tokens;
        summary.steps = progress.step;
        let due = |every: Option<u64>| every.is_some_and(|every| progress.step.is_multiple_of(every));
        if due(config.eval_every) {
            evaluate(gpu, method, &mut records, progress.step, &mut summary, observer).await?;
            evaluated_at = Some(progress.step);
        }
        if observer.stop_requested() {
            let directory = method.save_checkpoint(gpu, *progress).await?;
            observer.note(&format!("stopped on request; --resume continues from {}", directory.display()));
            summary.interrupted = true;
            break;
        }
        if due(config.save_every) {
            method.save_checkpoint(gpu, *progress).await?;
            saved_at = Some(progress.step);
        }
    }
    // More steps may be wanted later.
    if !summary.interrupted && saved_at != Some(progress.step) {
        method.save_checkpoint(gpu, *progress).await?;
    }
    rates.sort_by(f64::total_cmp);
    summary.tokens_per_second = rates.get(rates.len() / 2).copied().unwrap_or(0.0);
    if !summary.interrupted && evaluated_at != Some(progress.step) {
        evaluate(gpu, method, &mut records, progress.step, &mut summary, observer).await?;
    }
    Ok(summary)
}

async fn evaluate(
    gpu: &Gpu,
    method: &mut impl Method,
    records: &mut Records,
    step: u64,
    summary: &mut TrainSummary,
    observer: &mut dyn Observer,
) -> Result<()> {
    if let Some(metrics) = method.evaluate(gpu).await? {
        records.evaluation(step, &metrics)?;
        observer.on(Event::Evaluated { step, metrics: &metrics });
        summary.evaluation = metrics;
    }
    Ok(())
}

/// A loss or gradient that is not a number ends the run. The update was not applied, so the weights are those of the step
/// before, and they are saved.
async fn refuse_divergence(gpu: &Gpu, method: &impl Method, taken: &Taken, progress: Progress) -> Result<()> {
    if taken.loss.is_finite() && taken.grad_norm.finite {
        return Ok(());
    }
    let step = progress.step + 1;
    let what = match &taken.grad_norm.worst {
        Some(tensor) => format!("the gradient of {tensor} is not finite at step {step} (loss {})", taken.loss),
        None => format!("the loss is {} at step {step}", taken.loss),
    };
    let directory = method.save_checkpoint(gpu, progress).await?;
    Err(Error::run(
        format!("{what}; the state after step {} is in {}", step - 1, directory.display()),
        "lower --lr or --max-grad-norm, or inspect the rows of this step",
    ))
}
