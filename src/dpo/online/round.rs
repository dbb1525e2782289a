//! One round: several completions of every prompt, each with its reward and log-probabilities.

use super::config::OnlineConfig;
use super::learner::{Draw, Learner, LogProbs, Request};
use super::rewards::{Response, Rewards, checked};
use super::rollouts::{Rollout, seed};
use crate::data::Completion;
use crate::data::prompts::Prompt;
use crate::ranks::{self, Ranks};
use crate::{Error, Observer, Result};

/// A prompt with its token ids.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// The prompt.
    pub prompt: Prompt,
    /// The prompt as token ids.
    pub tokens: Vec<u32>,
}

/// The prompts and settings of a round.
#[derive(Clone, Copy)]
pub(super) struct Round<'a> {
    /// Who share its work.
    pub ranks: &'a Ranks,
    /// Settings of the run.
    pub config: &'a OnlineConfig,
    /// The prompts.
    pub tasks: &'a [&'a Task],
    /// Completions per prompt.
    pub samples: usize,
    /// The step that rollouts are of.
    pub step: u64,
    /// Separates the random numbers of this round from those of others.
    pub name: &'a str,
}

impl Round<'_> {
    /// Samples and rates, each rank the completions of its share of the prompts, and gives all of them to all ranks, those of
    /// each prompt adjacent and in the order of prompts.
    ///
    /// # Errors
    /// The learner fails, a reward cannot be had, or a log-probability is not finite; [`Error::Interrupted`] if the user wants
    /// to stop; a rank fails.
    pub(super) async fn play(
        &self,
        learner: &mut impl Learner,
        rewards: &mut impl Rewards,
        observer: &dyn Observer,
    ) -> Result<Vec<Rollout>> {
        let most = |task: &&Task| task.tokens.len() + self.config.max_new_tokens;
        let shares = ranks::deal(&self.tasks.iter().map(most).collect::<Vec<_>>(), self.ranks.size());
        let own: Vec<&Task> = shares[self.ranks.rank()].iter().map(|place| self.tasks[*place]).collect();
        let played = match self.play_own(&own, learner, rewards, observer).await {
            // The others have to know before anything else is asked of them.
            Err(Error::Interrupted(_)) => None,
            played => Some(played?),
        };
        if self.ranks.any(played.is_none()).await? {
            return Err(interrupted());
        }
        let own = played.unwrap_or_default();
        match self.ranks.size() {
            1 => Ok(own),
            _ => self.gather(&shares, own).await,
        }
    }

    /// Samples and rates completions of some prompts.
    async fn play_own(
        &self,
        tasks: &[&Task],
        learner: &mut impl Learner,
        rewards: &mut impl Rewards,
        observer: &dyn Observer,
    ) -> Result<Vec<Rollout>> {
        let go_on = || go_on(observer);
        let asked: Vec<(&Task, usize)> =
            tasks.iter().flat_map(|&task| (0..self.samples).map(move |sample| (task, sample))).collect();
        let seed = |task: &Task, sample| seed(self.config.trainer.seed, self.name, &task.prompt.id, sample);
        let requests: Vec<Request> =
            asked.iter().map(|&(task, sample)| Request { prompt: &task.tokens, seed: seed(task, sample) }).collect();
        let draws = learner.sample(&requests, observer).await?;
        go_on()?;
        let responses: Vec<Response> = asked
            .iter()
            .zip(&draws)
            .map(|((task, _), draw)| Response { prompt: &task.prompt, text: &draw.text })
            .collect();
        let found = checked(rewards, &responses, &go_on).await?;
        let completions: Vec<Completion> =
            asked.iter().zip(&draws).map(|((task, _), draw)| completion(task, &draw.tokens)).collect();
        let said = learner.log_probs(&completions).await?;
        let mut rollouts = vec![];
        for (((task, sample), draw), (reward, said)) in asked.into_iter().zip(draws).zip(found.into_iter().zip(said)) {
            rollouts.push(self.rollout(task, sample, draw, reward, said)?);
        }
        Ok(rollouts)
    }

    /// The rollouts of all ranks, of which each has played its share of the prompts.
    async fn gather(&self, shares: &[Vec<usize>], own: Vec<Rollout>) -> Result<Vec<Rollout>> {
        let drawn: Vec<(&[u32], &str, bool)> =
            own.iter().map(|rollout| (rollout.sampled(), rollout.text.as_str(), rollout.ended)).collect();
        let drawn: Vec<Vec<(Vec<u32>, String, bool)>> = self.ranks.gather_json(&drawn).await?;
        let numbers =
            |rollout: &Rollout| [rollout.reward, rollout.log_prob, rollout.reference_log_prob, rollout.entropy];
        let numbers = self.ranks.gather_values(&own.iter().map(numbers).collect::<Vec<_>>()).await?;
        let mut rollouts = vec![vec![]; self.tasks.len()];
        for (places, (drawn, numbers)) in shares.iter().zip(drawn.into_iter().zip(numbers)) {
            let asked = places.iter().flat_map(|place| (0..self.samples).map(move |sample| (*place, sample)));
            for ((place, sample), (draw, numbers)) in asked.zip(drawn.into_iter().zip(numbers)) {
                let ((tokens, text, ended), [reward, policy, reference, entropy]) = (draw, numbers);
                let said = LogProbs { policy, reference, entropy };
                let draw = Draw { tokens, text, ended };
                rollouts[place].push(self.rollout(self.tasks[place], sample, draw, reward, said)?);
            }
        }
        Ok(rollouts.concat())
    }

    fn rollout(&self, task: &Task, sample: usize, draw: Draw, reward: f64, said: LogProbs) -> Result<Rollout> {
        let LogProbs { policy, reference, entropy } = said;
        if !policy.is_finite() || !reference.is_finite() {
            let of = format!("a completion for prompt {:?} has log-probability {policy}", task.prompt.id);
            let problem = format!("{of} under the policy and {reference} under the reference model");
            return Err(Error::run(problem, "the weights may be damaged, or `.lr` is too large"));
        }
        Ok(Rollout {
            step: self.step,
            prompt_id: task.prompt.id.clone(),
            sample,
            prompt: task.prompt.to_json(),
            text: draw.text,
            length: draw.tokens.len(),
            completion: completion(task, &draw.tokens),
            ended: draw.ended,
            reward,
            pair: None,
            log_prob: policy,
            reference_log_prob: reference,
            entropy,
        })
    }
}

fn completion(task: &Task, drawn: &[u32]) -> Completion {
    Completion { tokens: [&task.tokens, drawn].concat(), prompt: task.tokens.len() }
}

/// Whether the user wants to stop, as an error that says so.
pub(super) fn go_on(observer: &dyn Observer) -> Result<()> {
    match observer.stop_requested() {
        true => Err(interrupted()),
        false => Ok(()),
    }
}

fn interrupted() -> Error {
    Error::Interrupted("the step was not finished".into())
}
