//! From a request to its completions under way.

use std::sync::Arc;

use super::fields::Draw;
use super::queue::{Answers, Generation, Wanted};
use super::served::Served;
use crate::failure::Failure;

/// A prompt as tokens, with the field of the request that holds it.
pub(crate) struct Prompt {
    pub(crate) field: String,
    pub(crate) tokens: Vec<u32>,
}

/// Completions under way.
pub(crate) struct Drawn {
    /// The model that draws them.
    pub(crate) served: Arc<Served>,
    pub(crate) prompts: Vec<Arc<[u32]>>,
    /// Completions of each prompt.
    pub(crate) n: usize,
    pub(crate) answers: Answers,
}

impl Drawn {
    /// Tokenizes the prompts of a request, and has their completions drawn.
    ///
    /// # Errors
    /// A prompt cannot be read, or has no room for its completions; the queue has no place for them.
    pub(crate) async fn start(
        generation: &Generation,
        draw: &Draw,
        max_tokens: Option<usize>,
        log_probs: Option<usize>,
        read: impl Fn(&Served) -> Result<Vec<Prompt>, Failure> + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        let read = Arc::new(read);
        loop {
            let served = generation.served();
            let (model, read) = (served.clone(), read.clone());
            let reading = tokio::task::spawn_blocking(move || read(&model));
            let prompts = reading.await.map_err(|_| Failure::Bug)??;
            let settings =
                prompts.iter().map(|Prompt { field, tokens }| draw.settings(&served, field, tokens, max_tokens));
            let settings = settings.collect::<Result<_, _>>()?;
            let prompts: Vec<Arc<[u32]>> = prompts.into_iter().map(|prompt| prompt.tokens.into()).collect();
            let n = draw.n;
            let wanted = Wanted { prompts: prompts.clone(), n, settings, seed: draw.seed, log_probs };
            if let Some(answers) = generation.draw(&served, wanted)? {
                return Ok(Self { served, prompts, n, answers });
            }
        }
    }

    /// Completions of all prompts.
    pub(crate) fn count(&self) -> usize {
        self.prompts.len() * self.n
    }

    /// Tokens of all prompts.
    pub(crate) fn prompt_tokens(&self) -> usize {
        self.prompts.iter().map(|prompt| prompt.len()).sum()
    }
}
