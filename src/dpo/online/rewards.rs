//! Sources of rewards: a local reward model, a reward server, or anything that implements [`Rewards`].

use std::path::Path;

use crate::data::prompts::Prompt;
use crate::data::{EncodingReport, Row, SpecialTokens, Template};
use crate::gpu::Gpu;
use crate::http::RewardServer;
use crate::train::{RewardModel, Scorer};
use crate::{Error, Observer, Result};

/// Responses per request.
const BATCH: usize = 16;

/// A completion to rate, with what it answers.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// The prompt.
    pub prompt: &'a Prompt,
    /// The completion, without special tokens.
    pub text: &'a str,
}

/// Rates completions; a larger number is better.
pub trait Rewards {
    /// One number a response, in their order. `go_on` is asked now and then; its error ends the call.
    ///
    /// # Errors
    /// Where a reward cannot be had. Nothing may be put in its place.
    fn rewards(
        &mut self,
        responses: &[Response<'_>],
        go_on: &dyn Fn() -> Result<()>,
    ) -> impl Future<Output = Result<Vec<f64>>>;

    /// Counts of what was cut of the responses rated so far, or not shown, to make them inputs of a reward model.
    fn report(&self) -> EncodingReport {
        EncodingReport::default()
    }
}

/// Rewards that are one finite number a response.
///
/// # Errors
/// As [`Rewards::rewards`]; a wrong count or a number that is not finite, with the prompt it belongs to.
pub(super) async fn checked(
    rewards: &mut impl Rewards,
    responses: &[Response<'_>],
    go_on: &dyn Fn() -> Result<()>,
) -> Result<Vec<f64>> {
    let found = rewards.rewards(responses, go_on).await?;
    if found.len() != responses.len() {
        let problem = format!("{} rewards for {} completions", found.len(), responses.len());
        return Err(Error::run(problem, "every completion of a step needs a reward"));
    }
    match found.iter().zip(responses).find(|(reward, _)| !reward.is_finite()) {
        Some((reward, response)) => {
            let problem = format!("the reward of a completion for prompt {:?} is {reward}", response.prompt.id);
            Err(Error::run(problem, "rewards must be finite numbers"))
        }
        None => Ok(found),
    }
}

/// A reward model on the device: prompt and completion go through its template as in training.
pub struct ModelRewards<'a>(Scorer<'a>);

impl<'a> ModelRewards<'a> {
    /// Loads the weights, with room for batches of responses as long as the model reads.
    ///
    /// # Errors
    /// The model does not fit the adapter, or the device fails.
    pub fn load(gpu: &'a Gpu, model: &'a RewardModel, observer: &mut dyn Observer) -> Result<Self> {
        Ok(Self(model.load(gpu, observer)?))
    }
}

impl Rewards for ModelRewards<'_> {
    async fn rewards(&mut self, responses: &[Response<'_>], go_on: &dyn Fn() -> Result<()>) -> Result<Vec<f64>> {
        let row =
            |response: &Response| Ok(Row::new(response.prompt.id.as_str(), response.prompt.exchange(response.text)?));
        let rows = responses.iter().map(row).collect::<Result<Vec<Row>>>()?;
        let scores = self.0.score_rows(&rows, go_on).await?;
        Ok(scores.into_iter().map(|score| score.score).collect())
    }

    fn report(&self) -> EncodingReport {
        self.0.report().clone()
    }
}

/// A reward server, asked with conversations rendered through a template.
pub struct ServerRewards {
    server: RewardServer,
    template: Template,
    report: EncodingReport,
}

impl ServerRewards {
    /// The server at `url`; `template` replaces the built-in prompt template.
    ///
    /// # Errors
    /// The address is none, or the template cannot be used.
    pub fn open(url: &str, template: Option<&Path>) -> Result<Self> {
        let from_file = |path| Template::from_file(path, &SpecialTokens::new());
        let template = template.map_or_else(|| Ok(Template::builtin()), from_file)?;
        Ok(Self { server: RewardServer::open("`.reward`", url)?, template, report: EncodingReport::default() })
    }
}

impl Rewards for ServerRewards {
    async fn rewards(&mut self, responses: &[Response<'_>], go_on: &dyn Fn() -> Result<()>) -> Result<Vec<f64>> {
        let mut rewards = vec![];
        for batch in responses.chunks(BATCH) {
            let mut texts = vec![];
            for response in batch {
                let exchange = response.prompt.exchange(response.text)?;
                self.report.count_hidden(self.template.hidden(&exchange));
                texts.push(self.template.render(&exchange)?);
            }
            rewards.extend(self.server.rewards(&texts, go_on)?);
        }
        Ok(rewards)
    }

    fn report(&self) -> EncodingReport {
        self.report.clone()
    }
}
