//! The course of a run: which rows each step sees, at which learning rate, and the loop around the steps.

use std::path::PathBuf;

use serde_json::{Map, Value};
use web_time::Instant;

use crate::data::Sampler;
use crate::optimizer::{GradNorm, LearningRate, Worst};
use crate::ranks::{self, Ranks, Traffic};
use crate::report::metrics::StepMetrics;
use crate::{Error, Event, Observer, Result};

use super::config::TrainerConfig;
use super::records::Records;
use super::saving::Progress;
use super::summary::{RanksSummary, TrainSummary};

/// Which rows each step of a run sees, and at which learning rate: a pure function of settings and step, so that the
/// step number is all that a resumed run needs. Of several ranks, each sees its share of the rows.
pub(crate) struct Course {
    ranks: Ranks,
    /// Whether each rank sees its share of a step's rows, rather than all of them.
    divides: bool,
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
    pub(crate) fn new(lengths: &[usize], lr: f64, config: &TrainerConfig, ranks: &Ranks) -> Result<Self> {
        let sampler = Sampler::new(lengths, config.batch_size, config.shuffle, config.seed)?;
        let steps_per_epoch = sampler.batches_per_epoch().div_ceil(config.grad_accum) as u64;
        let all_steps = steps_per_epoch * u64::from(config.epochs);
        let total_steps = config.max_steps.map_or(all_steps, |most| most.min(all_steps));
        Ok(Self {
            ranks: ranks.clone(),
            divides: ranks.size() > 1,
            sampler,
            grad_accum: config.grad_accum,
            steps_per_epoch,
            total_steps,
            schedule: LearningRate::new(config.schedule, lr, config.warmup_ratio, total_steps as usize),
            order: None,
        })
    }

    /// The same, of a method that divides the work of a step among ranks by itself.
    pub(crate) fn undivided(self) -> Self {
        Self { divides: false, ..self }
    }

    /// The most micro-batches of a step.
    pub(crate) fn micro_batches(&self) -> usize {
        self.grad_accum.min(self.sampler.batches_per_epoch())
    }

    /// Every micro-batch of the epochs that any rank will see, as places of rows.
    pub(crate) fn all_batches(&self) -> impl Iterator<Item = Vec<usize>> {
        let epochs = self.total_steps.div_ceil(self.steps_per_epoch.max(1));
        (0..epochs).flat_map(|epoch| {
            let batches = self.sampler.epoch(epoch);
            batches.chunks(self.grad_accum).flat_map(|step| self.shares(step)).flatten().collect::<Vec<_>>()
        })
    }

    /// The micro-batches of each rank in a step, cut anew for several: fewer rather than smaller ones.
    fn shares(&self, batches: &[Vec<usize>]) -> Vec<Vec<Vec<usize>>> {
        if !self.divides {
            return vec![batches.to_vec(); self.ranks.size()];
        }
        let rows = batches.concat();
        let lengths: Vec<usize> = rows.iter().map(|row| self.sampler.lengths()[*row]).collect();
        let cut = |places: Vec<usize>| {
            let own: Vec<usize> = places.into_iter().map(|place| rows[place]).collect();
            own.chunks(self.sampler.batch_size()).map(<[_]>::to_vec).collect()
        };
        ranks::deal(&lengths, self.ranks.size()).into_iter().map(cut).collect()
    }

    /// This rank's micro-batches of step number `step`, counted from 0.
    fn batches(&mut self, step: u64) -> Vec<Vec<usize>> {
        let (epoch, place) = (step / self.steps_per_epoch, (step % self.steps_per_epoch) as usize);
        if self.order.as_ref().is_none_or(|(of, _)| *of != epoch) {
            self.order = Some((epoch, self.sampler.epoch(epoch)));
        }
        let step = self.order.as_ref().and_then(|(_, batches)| batches.chunks(self.grad_accum).nth(place));
        step.map_or(vec![], |batches| self.shares(batches).swap_remove(self.ranks.rank()))
    }
}

/// The result of a step.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    /// The update of the weights, of all ranks; `None` where there was nothing to learn from.
    pub update: Option<Updated>,
    /// Tokens learned from that this rank counts; no other counts them.
    pub tokens: u64,
    /// Tokens worked on that this rank counts, over whose number the rate is taken.
    pub processed: u64,
    /// Estimated floating-point operations.
    pub flops: f64,
    /// Further metrics of the method.
    pub measures: Vec<(&'static str, f64)>,
    /// What there is to say of it, a line each.
    pub notes: Vec<String>,
}

/// What the update of a step came to.
#[derive(Debug, Clone)]
pub(crate) struct Updated {
    /// Mean loss over the rows of the step.
    pub loss: f64,
    /// Norm of all gradients before clipping. Where it is not finite, the weights are those of the step before.
    pub grad_norm: GradNorm,
    /// Under a loss scale, whether gradients left the range of f16: the scale is smaller now, and the run goes on.
    pub skipped: Option<bool>,
}

impl Updated {
    /// Whether loss and gradient are numbers, as far as they have to be.
    pub(crate) fn is_finite(&self) -> bool {
        self.loss.is_finite() && (self.grad_norm.finite || self.skipped == Some(true))
    }

    /// Refuses what is not, as step number `step` (counted from 1).
    fn check(&self, step: u64, ranks: &Ranks) -> Result<(), End> {
        let Self { loss, grad_norm, skipped } = self;
        let what = match &grad_norm.worst {
            _ if self.is_finite() => return Ok(()),
            Some(Worst { parameter, .. }) => {
                format!("the gradient of {parameter} is not finite at step {step} (loss {loss})")
            }
            None => format!("the loss is {loss} at step {step}"),
        };
        let hint = match skipped {
            None => "lower `.lr` or `.max_grad_norm`, or inspect the rows of this step",
            Some(_) => {
                "no scale of the loss helps: use `.precision` mixed-bf16, lower `.lr` or `.max_grad_norm`, or inspect the \
                 rows of this step"
            }
        };
        let rank = grad_norm.worst.as_ref().and_then(|worst| worst.rank);
        Err(End::Diverged(match rank {
            Some(rank) => ranks.error(rank, format!("{what} ({hint})")),
            None => Error::run(what, hint),
        }))
    }
}

/// The parts that differ among trainers: how rows become a step, what is measured, what is saved.
#[allow(async_fn_in_trait, reason = "used within this crate, on one thread")]
pub(crate) trait Method {
    /// Whether held-out rows are also measured before the first step, to be compared with what comes after the last.
    const MEASURES_START: bool = false;

    /// Opens what the method itself puts on record, in a run that continues after `step` steps. What later steps wrote
    /// is dropped; the metrics of the steps before are on record.
    fn open_records(&mut self, _step: u64) -> Result<()> {
        Ok(())
    }

    /// Takes step number `step` (counted from 0) on micro-batches of rows, given by their places.
    async fn step(
        &mut self,
        batches: &[Vec<usize>],
        step: u64,
        learning_rate: f64,
        observer: &mut dyn Observer,
    ) -> Result<Taken>;

    /// Measures the held-out rows after `step` steps, `eval/…` names; `None` where there are none, or where that is on
    /// record.
    async fn evaluate(&mut self, step: u64, observer: &mut dyn Observer) -> Result<Option<Map<String, Value>>>;

    /// Brings ranks that took steps of their own to the same weights.
    async fn sync(&mut self) -> Result<()> {
        Err(Error::input("`.sync_every`", "this trainer takes every step on all ranks together", "leave it out"))
    }

    /// Writes a checkpoint and says where. All ranks are asked together, and the first writes.
    async fn save_checkpoint(&self, progress: Progress) -> Result<PathBuf>;
}

/// Takes the steps that are left, with the records, evaluations and checkpoints that are due. `peak` is the adapter's, in
/// FLOP/s, where steps are to be held against it.
///
/// # Errors
/// A loss or gradient that is no longer finite, after a checkpoint of the last good state was written; whatever the
/// method, the device or the disk fails with. Where a step fails for another reason than these two, what was learned in
/// this run is in a checkpoint, too.
pub(crate) async fn run(
    method: &mut impl Method,
    mut course: Course,
    config: &TrainerConfig,
    peak: Option<f64>,
    progress: &mut Progress,
    observer: &mut dyn Observer,
) -> Result<TrainSummary> {
    if let Some(planned) = progress.planned_steps {
        course.schedule.check_extends(planned, progress.step)?;
    }
    progress.planned_steps = Some(course.total_steps);
    progress.diloco = config.diloco(&course.ranks);
    progress.diloco.iter().for_each(|diloco| observer.note(&diloco.note()));
    if config.shard_optimizer && course.ranks.size() == 1 {
        observer.note("`.shard_optimizer` has no effect on one rank");
    }
    let begun = progress.step;
    let ranks = course.ranks.clone();
    let mut records = None;
    if ranks.is_first() {
        records = Some(Records::open(&config.output, begun)?);
        method.open_records(begun)?;
    }
    observer.on(Event::Training { done: begun, total: course.total_steps });
    let summary = TrainSummary { steps: begun, ..TrainSummary::default() };
    let holds_all = !config.shard_optimizer && config.sync_every.is_none() || ranks.size() == 1;
    let mut running =
        Running { method, ranks, holds_all, records, progress, observer, summary, rates: vec![], evaluated_at: None };
    match running.steps(&mut course, config, peak).await {
        Ok(()) => {}
        Err(End::Asked) => {
            let directory = running.save_checkpoint().await?;
            running.observer.note(&format!("stopped on request; `.resume` continues from {}", directory.display()));
            running.summary.interrupted = true;
        }
        // The state after the last whole step is worth saving, unless it was just loaded.
        Err(End::Failed(error @ (Error::Run { .. } | Error::Input { .. } | Error::Rank { .. })))
            if running.progress.step > begun =>
        {
            return Err(running.kept(error, false).await?);
        }
        Err(End::Failed(error)) => return Err(error),
        Err(End::Diverged(error)) => return Err(running.kept(error, true).await?),
    }
    running.summary().await
}

/// Why a run ends before its last step.
enum End {
    /// The user asked for it.
    Asked,
    /// Something else than the numbers.
    Failed(Error),
    /// A loss or gradient is no longer finite.
    Diverged(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error {
            Error::Interrupted(_) => Self::Asked,
            error => Self::Failed(error),
        }
    }
}

/// A run on its way.
struct Running<'a, M> {
    method: &'a mut M,
    ranks: Ranks,
    /// Whether every rank holds all that goes into a checkpoint.
    holds_all: bool,
    /// Those of the first rank.
    records: Option<Records>,
    progress: &'a mut Progress,
    observer: &'a mut dyn Observer,
    summary: TrainSummary,
    /// Tokens a second of each step of this run.
    rates: Vec<f64>,
    /// The step after which held-out rows were measured last.
    evaluated_at: Option<u64>,
}

impl<M: Method> Running<'_, M> {
    async fn steps(&mut self, course: &mut Course, config: &TrainerConfig, peak: Option<f64>) -> Result<(), End> {
        let due = |every: Option<u64>, step: u64| every.is_some_and(|every| step.is_multiple_of(every));
        let mut saved_at = self.progress.step;
        if M::MEASURES_START && (saved_at == 0 || due(config.eval_every, saved_at)) {
            self.evaluate().await?;
        }
        while self.progress.step < course.total_steps {
            self.step(course, peak).await?;
            let step = self.progress.step;
            if due(config.sync_every, step) || config.sync_every.is_some() && step == course.total_steps {
                self.method.sync().await?;
            }
            if due(config.eval_every, step) {
                self.evaluate().await?;
            }
            // All ranks stop after the same step.
            if self.ranks.any(self.observer.stop_requested()).await? {
                return Err(End::Asked);
            }
            if due(config.save_every, step) {
                self.save_checkpoint().await?;
                saved_at = step;
            }
        }
        // More steps may be wanted later.
        if saved_at != self.progress.step {
            self.save_checkpoint().await?;
        }
        if self.evaluated_at != Some(self.progress.step) {
            self.evaluate().await?;
        }
        Ok(())
    }

    async fn step(&mut self, course: &mut Course, peak: Option<f64>) -> Result<(), End> {
        let batches = course.batches(self.progress.step);
        let learning_rate = course.schedule.at(self.progress.step as usize);
        let started = Instant::now();
        let taken = self.method.step(&batches, self.progress.step, learning_rate, self.observer).await?;
        let seconds = started.elapsed().as_secs_f64().max(1e-9);
        taken.update.iter().try_for_each(|update| update.check(self.progress.step + 1, &self.ranks))?;
        let [tokens, processed] = self.ranks.total([taken.tokens as f64, taken.processed as f64]).await?;
        self.progress.step += 1;
        self.progress.tokens += tokens as u64;
        let metrics = StepMetrics {
            step: self.progress.step,
            epoch: self.progress.step as f64 / course.steps_per_epoch as f64,
            loss: taken.update.as_ref().map_or(f64::NAN, |update| update.loss),
            grad_norm: taken.update.as_ref().map_or(f64::NAN, |update| f64::from(update.grad_norm.norm)),
            learning_rate,
            tokens: self.progress.tokens,
            tokens_per_second: processed / seconds,
            measures: taken.measures,
        };
        if let Some(records) = &mut self.records {
            records.step(&metrics)?;
        }
        let peak_share = peak.map_or(0.0, |peak| taken.flops / seconds / peak);
        self.observer.on(Event::Step { metrics: &metrics, peak_share });
        taken.notes.iter().for_each(|line| self.observer.note(line));
        if self.rates.is_empty() {
            self.summary.first_loss = metrics.loss;
        }
        self.rates.push(metrics.tokens_per_second);
        self.summary.last_loss = metrics.loss;
        self.summary.tokens += tokens as u64;
        self.summary.steps = self.progress.step;
        Ok(())
    }

    async fn evaluate(&mut self) -> Result<()> {
        let step = self.progress.step;
        if let Some(metrics) = self.method.evaluate(step, self.observer).await? {
            if let Some(records) = &mut self.records {
                records.evaluation(step, &metrics)?;
            }
            self.observer.on(Event::Evaluated { step, metrics: &metrics });
            self.summary.evaluation = metrics;
        }
        self.evaluated_at = Some(step);
        Ok(())
    }

    async fn save_checkpoint(&self) -> Result<PathBuf> {
        self.method.save_checkpoint(*self.progress).await
    }

    /// Writes a checkpoint of the last whole step and says so in the error that ends the run.
    async fn kept(&self, error: Error, is_common: bool) -> Result<Error> {
        // All ranks know of a step that diverged, but where each takes its own, others have taken theirs. After the failure of
        // one, the others cannot gather what each holds.
        let can_save = match is_common {
            true => self.progress.diloco.is_none() || self.ranks.size() == 1,
            false => self.holds_all && self.ranks.is_first(),
        };
        if !can_save {
            return Ok(error);
        }
        let directory = self.save_checkpoint().await?;
        let kept = format!("; the state after step {} is in {}", self.progress.step, directory.display());
        Ok(match error {
            Error::Run { problem, hint } => Error::Run { problem: problem + &kept, hint },
            Error::Input { at, problem, hint } => Error::Input { at, problem: problem + &kept, hint },
            Error::Rank { rank, host, problem, silent } => Error::Rank { rank, host, problem: problem + &kept, silent },
            other => other,
        })
    }

    async fn summary(mut self) -> Result<TrainSummary> {
        self.rates.sort_by(f64::total_cmp);
        self.summary.tokens_per_second = self.rates.get(self.rates.len() / 2).copied().unwrap_or(0.0);
        if self.ranks.size() > 1 {
            let Traffic { sent, seconds } = self.ranks.traffic().await?;
            let ranks = self.ranks.size();
            self.summary.ranks = Some(RanksSummary { ranks, bytes_sent: sent, seconds_in_sums: seconds });
        }
        Ok(self.summary)
    }
}
