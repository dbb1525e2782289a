//! Online DPO as a method of the one loop: prompts, rollouts, rewards, pairs, an update.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::config::OnlineConfig;
use super::curves;
use super::learner::{Learned, Learner};
use super::metrics::{self, Sampled};
use super::pairing::{Pairing, by_prompt};
use super::records::{EVALUATION, Records};
use super::rewards::Rewards;
use super::rollouts::Rollout;
use super::round::{Round, Task};
use super::state::Progress;
use super::summary::OnlineSummary;
use super::warnings::Watch;
use crate::data::{EncodingReport, TruncationReport};
use crate::train::course::{self, Course, Method, Taken, Updated};
use crate::train::{TrainerConfig, saving};
use crate::{Error, Observer, Ranks, Result};

/// A run: who samples and learns, who rates, and how far it has come.
pub(super) struct Run<'a, L, R> {
    /// Samples and learns.
    pub learner: L,
    /// How far it has come.
    pub progress: Progress,
    ranks: Ranks,
    config: &'a OnlineConfig,
    rewards: R,
    tasks: Vec<Task>,
    held_out: Vec<Task>,
    /// How pairs are made; tests put the fault of public code in its place.
    pub pairing: fn(&[Rollout], f64) -> Pairing,
    watch: Watch,
    warnings: Vec<String>,
    /// Those of the first rank, opened when the loop begins.
    records: Option<Records>,
}

impl<'a, L: Learner, R: Rewards> Run<'a, L, R> {
    /// A run that continues from `progress`, with the prompts to learn from and those to measure with.
    pub(super) fn new(
        config: &'a OnlineConfig,
        learner: L,
        rewards: R,
        tasks: Vec<Task>,
        held_out: Vec<Task>,
        progress: Progress,
    ) -> Self {
        Self {
            learner,
            progress,
            ranks: Ranks::alone(),
            config,
            rewards,
            tasks,
            held_out,
            pairing: by_prompt,
            watch: Watch::default(),
            warnings: vec![],
            records: None,
        }
    }

    /// The same, of ranks that draw, rate and learn together.
    pub(super) fn over(self, ranks: &Ranks) -> Self {
        Self { ranks: ranks.clone(), ..self }
    }

    /// The number of prompts to learn from.
    pub(super) fn prompts(&self) -> usize {
        self.tasks.len()
    }

    /// Goes on until the last step, or until it is asked to stop. The learner then holds the trained policy.
    ///
    /// # Errors
    /// Rewards that cannot be had, a policy too far from the reference, a loss or gradient that is no longer finite, in each
    /// case after a checkpoint of the last whole step was written; failures of device and disk.
    pub(super) async fn train(&mut self, observer: &mut dyn Observer) -> Result<OnlineSummary> {
        let (config, begun) = (self.config, self.progress.step);
        let (course, mut progress) = (self.course()?, self.progress.common());
        let ended = course::run(self, course, &config.trainer, None, &mut progress, observer).await;
        self.progress = self.progress.at(progress);
        let training = match ended {
            Ok(training) => training,
            Err(error @ (Error::Run { .. } | Error::Input { .. } | Error::Rank { .. }))
                if self.progress.step > begun && self.ranks.is_first() =>
            {
                curves::write(&config.trainer.output, &self.summary(false))?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        let report = self.report().await?;
        let summary = OnlineSummary { cut: report.cut, ..self.summary(training.interrupted) };
        let cut = Some(report.cut).filter(|cut| *cut != TruncationReport::default()).map(|cut| cut.to_string());
        for line in cut.into_iter().chain(report.notes()) {
            observer.note(&format!("input of the reward model: {line}"));
        }
        if self.ranks.is_first() {
            curves::write(&config.trainer.output, &summary)?;
        }
        Ok(summary)
    }

    /// What was cut or not shown of the completions that any rank rated.
    async fn report(&self) -> Result<EncodingReport> {
        let mut report = EncodingReport::default();
        self.ranks.gather_json(&self.rewards.report()).await?.into_iter().for_each(|theirs| report += theirs);
        Ok(report)
    }

    /// A step sees one batch of prompts. All lengths are alike: it is rollouts that are batched by length.
    fn course(&self) -> Result<Course> {
        let Self { config, tasks, .. } = self;
        let batch_size = config.prompts_per_step();
        let batches = TrainerConfig { batch_size, grad_accum: 1, ..config.trainer.clone() };
        Ok(Course::new(&vec![1; tasks.len()], config.policy.lr, &batches, &self.ranks)?.undivided())
    }

    fn summary(&self, interrupted: bool) -> OnlineSummary {
        let Progress { step, updates, pairs, skipped, .. } = self.progress;
        let taken = self.records.as_ref().map_or(&[][..], |records| &records.steps);
        let held_out = |step| self.records.as_ref()?.evaluated(step);
        OnlineSummary {
            steps: step,
            updates,
            pairs,
            skipped,
            first_score: taken.first().map(|sampled| sampled.scores),
            last_score: taken.last().map(|sampled| sampled.scores),
            kl: taken.last().map(|sampled| sampled.kl),
            held_out_before: held_out(0),
            held_out_after: held_out(step).filter(|_| step > 0),
            cut: TruncationReport::default(),
            warnings: self.warnings.clone(),
            interrupted,
            reading: None,
            reward_reading: None,
        }
    }

    /// Puts something on record where records are kept.
    fn record(&mut self, write: impl FnOnce(&mut Records) -> Result<()>) -> Result<()> {
        self.records.as_mut().map_or(Ok(()), write)
    }

    /// Learns from the pairs of a step, if there are any.
    async fn update(&mut self, rollouts: &[Rollout], pairing: &Pairing, learning_rate: f64) -> Result<Option<Updated>> {
        if pairing.pairs.is_empty() {
            return Ok(None);
        }
        let learned = |place: usize| {
            let Rollout { completion, reference_log_prob, .. } = &rollouts[place];
            Learned { completion: completion.clone(), reference: *reference_log_prob }
        };
        let pairs: Vec<[Learned; 2]> =
            pairing.pairs.iter().map(|pair| [pair.chosen, pair.rejected].map(learned)).collect();
        self.learner.update(&pairs, self.progress.updates, learning_rate).await.map(Some)
    }
}

impl<L: Learner, R: Rewards> Method for Run<'_, L, R> {
    const MEASURES_START: bool = true;

    fn open_records(&mut self, step: u64) -> Result<()> {
        let records = self.records.insert(Records::open(&self.config.trainer.output, step)?);
        // What they are signs of was told when they were taken.
        records.steps.iter().for_each(|sampled| drop(self.watch.step(*sampled)));
        Ok(())
    }

    async fn step(
        &mut self,
        batches: &[Vec<usize>],
        step: u64,
        learning_rate: f64,
        observer: &mut dyn Observer,
    ) -> Result<Taken> {
        let step = step + 1;
        let tasks: Vec<&Task> = batches.iter().flatten().map(|place| &self.tasks[*place]).collect();
        let name = format!("step {step}");
        let samples = self.config.rollouts;
        let round = Round { ranks: &self.ranks, config: self.config, tasks: &tasks, samples, step, name: &name };
        let mut rollouts = round.play(&mut self.learner, &mut self.rewards, observer).await?;
        let sampled = Sampled::of(&rollouts);
        if let Some(limit) = self.config.max_kl.filter(|limit| sampled.kl > *limit) {
            // The rollouts that ended the run can be read; a resumed run samples them again.
            self.record(|records| records.rollouts(&rollouts))?;
            let problem = format!(
                "step {step}: the KL divergence from the reference model is {:.3}, above `.max_kl` {limit}",
                sampled.kl
            );
            return Err(Error::run(problem, "use this state, or continue with `.resume` and a larger `.max_kl`"));
        }
        let pairing = (self.pairing)(&rollouts, self.config.min_margin);
        pairing.mark(&mut rollouts);
        let update = self.update(&rollouts, &pairing, learning_rate).await?;
        let paired = rollouts.iter().filter(|rollout| rollout.pair.is_some());
        let preference = metrics::preference(&rollouts, &pairing, self.config.loss.beta);
        // Every rank has all rollouts, and one counts them.
        let counted = |tokens: u64| if self.ranks.is_first() { tokens } else { 0 };
        let mut taken = Taken {
            update,
            tokens: counted(paired.map(|rollout| rollout.completion.tokens.len() as u64).sum()),
            processed: counted(rollouts.iter().map(|rollout| rollout.length as u64).sum()),
            flops: 0.0,
            measures: sampled.named().into_iter().chain(preference).collect(),
            notes: vec![],
        };
        if taken.update.as_ref().is_some_and(|update| !update.is_finite()) {
            return Ok(taken);
        }
        self.progress.pairs += pairing.pairs.len() as u64;
        self.progress.updates += u64::from(taken.update.is_some());
        self.progress.skipped += pairing.skipped;
        self.record(|records| {
            records.rollouts(&rollouts)?;
            records.steps.push(sampled);
            Ok(())
        })?;
        if taken.update.is_none() {
            taken.notes.push(format!("step {step}: no prompt made a pair, so nothing was learned"));
        }
        for sign in self.watch.step(sampled) {
            taken.notes.push(format!("step {step}: {sign}"));
            self.warnings.push(sign);
        }
        Ok(taken)
    }

    /// Samples each held-out prompt once, always with the same random numbers.
    async fn evaluate(&mut self, step: u64, observer: &mut dyn Observer) -> Result<Option<Map<String, Value>>> {
        let is_known = self.records.as_ref().is_some_and(|records| records.evaluated(step).is_some());
        if self.held_out.is_empty() || self.ranks.any(is_known).await? {
            return Ok(None);
        }
        let tasks: Vec<&Task> = self.held_out.iter().collect();
        let round =
            Round { ranks: &self.ranks, config: self.config, tasks: &tasks, samples: 1, step, name: "held out" };
        let rollouts = round.play(&mut self.learner, &mut self.rewards, observer).await?;
        let sampled = Sampled::of(&rollouts);
        // One sample a prompt has no deviation.
        let named = sampled.named().into_iter().filter(|(name, _)| *name != "objective/scores_std");
        let mut metrics: Map<String, Value> =
            named.map(|(name, value)| (format!("{EVALUATION}{name}"), value.into())).collect();
        metrics.insert(format!("{EVALUATION}prompts"), tasks.len().into());
        self.record(|records| records.evaluation(step, &rollouts, sampled.scores))?;
        Ok(Some(metrics))
    }

    async fn save_checkpoint(&self, progress: saving::Progress) -> Result<PathBuf> {
        self.learner.save_checkpoint(self.progress.at(progress)).await
    }
}
