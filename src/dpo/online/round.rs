//! One round: several completions of every prompt, each with its reward and log-probabilities.

use super::learner::{Draw, Learner, LogProbs, Request};
use super::rewards::{Response, Rewards, checked};
use super::rollouts::{Rollout, seed};
use crate::data::Completion;
use crate::data::prompts::Prompt;
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
#[derive(Clone, Copy, Debug)]
pub(super) struct Round<'a> {
    /// The prompts.
    pub tasks: &'a [&'a Task],
    /// Completions per prompt.
    pub samples: usize,
    /// The step that rollouts are of.
    pub step: u64,
    /// Seed of the run.
    pub seed: u64,
    /// Separates the random numbers of this round from those of others.
    pub name: &'a str,
}

impl Round<'_> {
    /// Samples and rates. The completions of each prompt are adjacent.
    ///
    /// # Errors
    /// The learner fails, a reward cannot be had, or a log-probability is not finite; [`Error::Interrupted`] if the user wants
    /// to stop.
    pub(super) async fn play(
        &self,
        learner: &mut impl Learner,
        rewards: &mut impl Rewards,
        observer: &dyn Observer,
    ) -> Result<Vec<Rollout>> {
        let go_on = || go_on(observer);
        let asked: Vec<(&Task, usize)> =
            self.tasks.iter().flat_map(|&task| (0..self.samples).map(move |sample| (task, sample))).collect();
        let seed = |task: &Task, sample| seed(self.seed, self.name, &task.prompt.id, sample);
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
        let completions: Vec<Completion> = asked
            .iter()
            .zip(&draws)
            .map(|((task, _), draw)| Completion {
                tokens: [&task.tokens[..], &draw.tokens].concat(),
                prompt: task.tokens.len(),
            })
            .collect();
        let said = learner.log_probs(&completions).await?;
        let mut rollouts = vec![];
        for ((((task, sample), draw), completion), (reward, said)) in
            asked.into_iter().zip(draws).zip(completions).zip(found.into_iter().zip(said))
        {
            rollouts.push(self.rollout(task, sample, draw, completion, reward, said)?);
        }
        Ok(rollouts)
    }

    fn rollout(
        &self,
        task: &Task,
        sample: usize,
        draw: Draw,
        completion: Completion,
        reward: f64,
        said: LogProbs,
    ) -> Result<Rollout> {
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
            length: completion.tokens.len() - completion.prompt,
            completion,
            ended: draw.ended,
            reward,
            pair: None,
            log_prob: policy,
            reference_log_prob: reference,
            entropy,
        })
    }
}

/// Whether the user wants to stop, as an error that says so.
pub(super) fn go_on(observer: &dyn Observer) -> Result<()> {
    match observer.stop_requested() {
        true => Err(Error::Interrupted("the step was not finished".into())),
        false => Ok(()),
    }
}
