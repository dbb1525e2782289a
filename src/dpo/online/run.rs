//! The loop: prompts, rollouts, rewards, pairs, an update; and again.

use std::time::Instant;

use serde_json::{Map, Value};

use super::config::OnlineConfig;
use super::curves;
use super::learner::{Learned, Learner, Outcome};
use super::metrics::{self, Sampled};
use super::pairing::{Pairing, by_prompt};
use super::records::{EVALUATION, Records};
use super::rewards::Rewards;
use super::rollouts::Rollout;
use super::round::{Round, Task, go_on};
use super::state::Progress;
use super::summary::OnlineSummary;
use super::warnings::Watch;
use crate::data::{Sampler, TruncationReport};
use crate::optimizer::LearningRate;
use crate::report::metrics::StepMetrics;
use crate::{Error, Event, Observer, Result};

/// A run: who samples and learns, who rates, and how far it has come.
pub struct Run<'a, L, R> {
    /// Samples and learns.
    pub learner: L,
    /// How far it has come.
    pub progress: Progress,
    config: &'a OnlineConfig,
    rewards: R,
    tasks: Vec<Task>,
    held_out: Vec<Task>,
    sampler: Sampler,
    total_steps: u64,
    schedule: LearningRate,
    /// How pairs are made; tests put the fault of public code in its place.
    pub pairing: fn(&[Rollout], f64) -> Pairing,
    watch: Watch,
    warnings: Vec<String>,
}

impl<'a, L: Learner, R: Rewards> Run<'a, L, R> {
    /// A run that continues from `progress`, with the prompts to learn from and those to measure with.
    ///
    /// # Errors
    /// A step of no prompts.
    pub fn new(
        config: &'a OnlineConfig,
        learner: L,
        rewards: R,
        tasks: Vec<Task>,
        held_out: Vec<Task>,
        progress: Progress,
    ) -> Result<Self> {
        let trainer = &config.trainer;
        // All lengths alike: prompts of a step need not be, as they are not batched by the step.
        let sampler = Sampler::new(&vec![1; tasks.len()], config.prompts_per_step(), trainer.shuffle, trainer.seed)?;
        let all_steps = sampler.batches_per_epoch() as u64 * u64::from(trainer.epochs);
        let total_steps = trainer.max_steps.map_or(all_steps, |most| most.min(all_steps));
        let schedule = LearningRate::new(trainer.schedule, config.lr, trainer.warmup_ratio, total_steps as usize);
        if let Some(planned) = progress.planned_steps {
            schedule.check_extends(planned, progress.step)?;
        }
        Ok(Self {
            schedule,
            learner,
            progress: Progress { planned_steps: Some(total_steps), ..progress },
            config,
            rewards,
            tasks,
            held_out,
            sampler,
            total_steps,
            pairing: by_prompt,
            watch: Watch::default(),
            warnings: vec![],
        })
    }

    /// The number of prompts to learn from.
    pub fn prompts(&self) -> usize {
        self.tasks.len()
    }

    /// Goes on until the last step, or until it is asked to stop. The learner then holds the trained policy.
    ///
    /// # Errors
    /// Rewards that cannot be had, a policy too far from the reference, a loss or gradient that is no longer finite, in each
    /// case after a checkpoint of the last whole step was written; failures of device and disk.
    pub async fn train(&mut self, observer: &mut dyn Observer) -> Result<OnlineSummary> {
        let begun = self.progress.step;
        let mut records = Records::open(&self.config.trainer.output, (begun > 0).then_some(begun))?;
        for sampled in &records.steps {
            self.watch.step(*sampled);
        }
        observer.on(Event::Training { done: begun, total: self.total_steps });
        let ended = self.rounds(&mut records, observer).await;
        let summary = self.summary(&records, matches!(ended, Err(Error::Interrupted(_))));
        match ended {
            Ok(()) => {}
            Err(Error::Interrupted(_)) => {
                let directory = self.learner.save_checkpoint(self.progress).await?;
                observer.note(&format!("stopped on request; --resume continues from {}", directory.display()));
            }
            // The state after the last whole step is worth saving, unless it was just loaded.
            Err(error @ (Error::Run { .. } | Error::Input { .. })) if self.progress.step > begun => {
                let directory = self.learner.save_checkpoint(self.progress).await?;
                curves::write(&self.config.trainer.output, &summary)?;
                let kept = format!("; the state after step {} is in {}", self.progress.step, directory.display());
                return Err(match error {
                    Error::Run { problem, hint } => Error::Run { problem: problem + &kept, hint },
                    Error::Input { at, problem, hint } => Error::Input { at, problem: problem + &kept, hint },
                    other => other,
                });
            }
            Err(error) => return Err(error),
        }
        if summary.cut != TruncationReport::default() {
            observer.note(&format!("input of the reward model: {}", summary.cut));
        }
        self.rewards.notes().iter().for_each(|line| observer.note(&format!("input of the reward model: {line}")));
        curves::write(&self.config.trainer.output, &summary)?;
        Ok(summary)
    }

    fn summary(&self, records: &Records, interrupted: bool) -> OnlineSummary {
        let Progress { step, updates, pairs, skipped, .. } = self.progress;
        let score_at = |wanted: u64| records.evaluations.iter().find(|(of, _)| *of == wanted).map(|(_, score)| *score);
        OnlineSummary {
            steps: step,
            updates,
            pairs,
            skipped,
            first_score: records.steps.first().map(|sampled| sampled.scores),
            last_score: records.steps.last().map(|sampled| sampled.scores),
            kl: records.steps.last().map(|sampled| sampled.kl),
            held_out_before: score_at(0),
            held_out_after: score_at(step).filter(|_| step > 0),
            cut: self.rewards.cut(),
            warnings: self.warnings.clone(),
            interrupted,
            reading: None,
            reward_reading: None,
        }
    }

    async fn rounds(&mut self, records: &mut Records, observer: &mut dyn Observer) -> Result<()> {
        let per_epoch = self.sampler.batches_per_epoch() as u64;
        let mut order: Option<(u64, Vec<Vec<usize>>)> = None;
        loop {
            let step = self.progress.step;
            let due = |every: Option<u64>| every.is_some_and(|every| step.is_multiple_of(every));
            let measures = step == 0 || step == self.total_steps || due(self.config.trainer.eval_every);
            if measures && !self.held_out.is_empty() && !records.is_evaluated(step) {
                self.evaluate(records, observer).await?;
            }
            if step >= self.total_steps {
                return Ok(());
            }
            let (epoch, place) = (step / per_epoch, (step % per_epoch) as usize);
            if order.as_ref().is_none_or(|(of, _)| *of != epoch) {
                order = Some((epoch, self.sampler.epoch(epoch)));
            }
            let tasks = order.iter().flat_map(|(_, batches)| batches[place].clone()).collect::<Vec<_>>();
            self.step(&tasks, records, observer).await?;
            go_on(observer)?;
            if self.config.trainer.save_every.is_some_and(|every| self.progress.step.is_multiple_of(every)) {
                self.learner.save_checkpoint(self.progress).await?;
            }
        }
    }

    /// Takes one step on some prompts.
    async fn step(&mut self, places: &[usize], records: &mut Records, observer: &mut dyn Observer) -> Result<()> {
        let started = Instant::now();
        let step = self.progress.step + 1;
        let tasks: Vec<&Task> = places.iter().map(|place| &self.tasks[*place]).collect();
        let name = format!("step {step}");
        let samples = self.config.rollouts;
        let round = Round { tasks: &tasks, samples, step, seed: self.config.trainer.seed, name: &name };
        let mut rollouts = round.play(&mut self.learner, &mut self.rewards, observer).await?;
        let sampled = Sampled::of(&rollouts);
        if let Some(limit) = self.config.max_kl.filter(|limit| sampled.kl > *limit) {
            // The rollouts that ended the run can be read; a resumed run samples them again.
            records.rollouts(&rollouts)?;
            let problem = format!(
                "step {step}: the KL divergence from the reference model is {:.3}, above --max-kl {limit}",
                sampled.kl
            );
            return Err(Error::run(problem, "use this state, or continue with --resume and a larger --max-kl"));
        }
        let pairing = (self.pairing)(&rollouts, self.config.min_margin);
        pairing.mark(&mut rollouts);
        let learning_rate = self.schedule.at(self.progress.step as usize);
        let update = self.update(&rollouts, &pairing, learning_rate).await?;
        let tokens: usize = rollouts.iter().filter(|r| r.pair.is_some()).map(|r| r.completion.tokens.len()).sum();
        self.progress.step = step;
        self.progress.tokens += tokens as u64;
        self.progress.pairs += pairing.pairs.len() as u64;
        self.progress.updates += u64::from(update.is_some());
        self.progress.skipped += pairing.skipped;
        let drawn: usize = rollouts.iter().map(|rollout| rollout.length).sum();
        let metrics = StepMetrics {
            step,
            epoch: step as f64 / self.sampler.batches_per_epoch() as f64,
            loss: update.as_ref().map_or(f64::NAN, |update| update.loss),
            grad_norm: update.as_ref().map_or(f64::NAN, |update| f64::from(update.grad_norm.norm)),
            learning_rate,
            tokens: self.progress.tokens,
            tokens_per_second: drawn as f64 / started.elapsed().as_secs_f64().max(1e-9),
            measures: sampled
                .named()
                .into_iter()
                .chain(metrics::preference(&rollouts, &pairing, self.config.beta))
                .collect(),
        };
        records.rollouts(&rollouts)?;
        records.step(&metrics, sampled)?;
        observer.on(Event::Step { metrics: &metrics, peak_share: 0.0 });
        if update.is_none() {
            observer.note(&format!("step {step}: no prompt made a pair, so nothing was learned"));
        }
        for sign in self.watch.step(sampled) {
            observer.note(&format!("step {step}: {sign}"));
            self.warnings.push(sign);
        }
        Ok(())
    }

    /// Learns from the pairs of a step, if there are any.
    async fn update(&mut self, rollouts: &[Rollout], pairing: &Pairing, learning_rate: f64) -> Result<Option<Outcome>> {
        if pairing.pairs.is_empty() {
            return Ok(None);
        }
        let learned = |place: usize| {
            let Rollout { completion, reference_log_prob, .. } = &rollouts[place];
            Learned { completion: completion.clone(), reference: *reference_log_prob }
        };
        let pairs: Vec<[Learned; 2]> =
            pairing.pairs.iter().map(|pair| [pair.chosen, pair.rejected].map(learned)).collect();
        let update = self.learner.update(&pairs, self.progress.updates, learning_rate).await?;
        if update.loss.is_finite() && update.grad_norm.finite {
            return Ok(Some(update));
        }
        let step = self.progress.step + 1;
        let what = match &update.grad_norm.worst {
            Some(tensor) => format!("step {step}: the gradient of {tensor} is not finite (loss {})", update.loss),
            None => format!("step {step}: the loss is {}", update.loss),
        };
        Err(Error::run(what, "lower --lr or --max-grad-norm, or inspect the rollouts"))
    }

    /// Samples each held-out prompt once, always with the same random numbers, and records what came of it.
    async fn evaluate(&mut self, records: &mut Records, observer: &mut dyn Observer) -> Result<()> {
        let step = self.progress.step;
        let tasks: Vec<&Task> = self.held_out.iter().collect();
        let round = Round { tasks: &tasks, samples: 1, step, seed: self.config.trainer.seed, name: "held out" };
        let rollouts = round.play(&mut self.learner, &mut self.rewards, observer).await?;
        let sampled = Sampled::of(&rollouts);
        // One sample a prompt has no deviation.
        let named = sampled.named().into_iter().filter(|(name, _)| *name != "objective/scores_std");
        let mut metrics: Map<String, Value> =
            named.map(|(name, value)| (format!("{EVALUATION}{name}"), value.into())).collect();
        metrics.insert(format!("{EVALUATION}prompts"), tasks.len().into());
        records.evaluation(step, &metrics, &rollouts, sampled.scores)?;
        observer.on(Event::Evaluated { step, metrics: &metrics });
        Ok(())
    }
}
