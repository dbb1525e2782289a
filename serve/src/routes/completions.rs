//! `POST /v1/completions`: texts continued, as clients of OpenAI and vLLM and TRL's asynchronous trainer
//! (`trl/experimental/async_grpo/async_rollout_worker.py`) ask for them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use wgr::generate::Finish;

use super::openai::{Input, Usage};
use crate::app::App;
use crate::body::Body;
use crate::failure::{Failure, Failures};
use crate::generation::{
    Completion, Drawn, Fields, Prompt, Served, TokenText, Writer, check_log_probs, check_others, events, parse,
};

/// Tokens of a completion unless the request says.
const MAX_TOKENS: usize = 16;

/// Prompts to continue as they stand.
#[derive(Deserialize, ToSchema)]
pub(crate) struct CompletionRequest {
    #[serde(flatten)]
    own: Own,
    #[serde(flatten)]
    fields: Fields,
}

/// The fields of this route alone.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = CompletionFields)]
pub(crate) struct Own {
    /// A text, a list of texts, a list of token ids, or a list of such lists.
    prompt: Value,
    /// Whether each text begins with its prompt.
    echo: Option<bool>,
    /// Asks for the log-probability of each token, beside that many of the most likely ones.
    logprobs: Option<usize>,
    /// Whether texts get the tokens that the tokenizer adds; true unless given.
    add_special_tokens: Option<bool>,
}

/// Completions, those of one prompt together, in the order of the prompts.
#[derive(Serialize, ToSchema)]
pub(crate) struct CompletionResponse {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    choices: Vec<CompletionChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

/// A completion; in a stream, what it gained.
#[derive(Serialize, ToSchema)]
pub(crate) struct CompletionChoice {
    index: usize,
    text: String,
    logprobs: Option<CompletionLogProbs>,
    /// `stop` if the model ended it or a stop string came, `length` if it has as many tokens as it may have.
    #[schema(value_type = Option<String>)]
    finish_reason: Option<Finish>,
    /// Its tokens, including the one that ended it, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_ids: Option<Vec<u32>>,
    /// The tokens of its prompt, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_token_ids: Option<Vec<u32>>,
}

/// The tokens of a completion, including the one that ended it, with their log-probabilities under the model's own
/// distribution, before temperature and filters.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct CompletionLogProbs {
    tokens: Vec<String>,
    token_logprobs: Vec<f64>,
    /// For each, the most likely tokens and itself.
    top_logprobs: Vec<Map<String, Value>>,
    /// Characters of the tokens before it.
    text_offset: Vec<usize>,
}

/// Continues prompts.
#[utoipa::path(
    post,
    path = "/v1/completions",
    request_body = CompletionRequest,
    responses((status = 200, body = CompletionResponse), Failures)
)]
pub(crate) async fn completions(
    State(app): State<Arc<App>>,
    Body(body): Body<Map<String, Value>>,
) -> Result<Response, Failure> {
    let CompletionRequest { own, fields } = CompletionRequest { own: parse(&body)?, fields: parse(&body)? };
    check_others::<Own, Fields>(&body)?;
    let draw = fields.draw()?;
    let log_probs = own.logprobs.map(|count| check_log_probs("logprobs", count)).transpose()?;
    let echo = own.echo == Some(true);
    if echo && log_probs.is_some() {
        return Err(Failure::input("logprobs", "is not supported with `echo`: those of prompts are not computed"));
    }
    let prompt: Input = serde_json::from_value(own.prompt).map_err(|e| Failure::input("prompt", e.to_string()))?;
    let special = own.add_special_tokens != Some(false);
    let max_tokens = Some(fields.max_tokens.unwrap_or(MAX_TOKENS));
    let drawn =
        Drawn::start(app.generation()?, &draw, max_tokens, log_probs, move |served| read(served, &prompt, special))
            .await?;
    let (id, created) = app.stamp("cmpl");
    let form = Form { id, created, echo, ids: fields.tells_ids(), log_probs: log_probs.is_some() };
    if fields.is_stream() {
        let count = drawn.count();
        let offsets = vec![0; count];
        let Drawn { answers, served, prompts, n } = drawn;
        let usage = fields.include_usage();
        return Ok(events(count, answers, Chunks { form, served, prompts, n, offsets, usage }));
    }
    let (count, prompt_tokens) = (drawn.count(), drawn.prompt_tokens());
    let Drawn { answers, served, prompts, n } = drawn;
    let completions = Completion::all(count, answers).await?;
    let usage = Usage::generated(prompt_tokens, completions.iter().map(|completion| completion.tokens.len()).sum());
    let mut choices = vec![];
    for (index, completion) in completions.into_iter().enumerate() {
        let prompt = &prompts[index / n];
        let mut choice = form.choice(&served, index, completion, &mut 0)?;
        if echo {
            choice.text.insert_str(0, &served.decode(prompt, true)?);
        }
        choice.prompt_token_ids = form.ids.then(|| prompt.to_vec());
        choices.push(choice);
    }
    Ok(Json(form.response(&served, choices, Some(usage))).into_response())
}

/// The tokens of all prompts.
fn read(served: &Served, prompt: &Input, special: bool) -> Result<Vec<Prompt>, Failure> {
    let text = |field: String, text: &str| Ok(Prompt { tokens: served.text(&field, text, special)?, field });
    let field = |place| format!("prompt[{place}]");
    let prompts: Vec<Prompt> = match prompt {
        Input::Text(whole) => vec![text("prompt".into(), whole)?],
        Input::Texts(texts) => {
            texts.iter().enumerate().map(|(place, each)| text(field(place), each)).collect::<Result<_, Failure>>()?
        }
        Input::Tokens(tokens) => vec![Prompt { field: "prompt".into(), tokens: tokens.clone() }],
        Input::TokenLists(lists) => lists
            .iter()
            .enumerate()
            .map(|(place, tokens)| Prompt { field: field(place), tokens: tokens.clone() })
            .collect(),
    };
    match prompts.is_empty() {
        true => Err(Failure::input("prompt", "is empty")),
        false => Ok(prompts),
    }
}

/// What answers to a request look like.
struct Form {
    id: String,
    created: u64,
    echo: bool,
    ids: bool,
    log_probs: bool,
}

impl Form {
    fn response(&self, served: &Served, choices: Vec<CompletionChoice>, usage: Option<Usage>) -> CompletionResponse {
        let model = served.name.clone();
        CompletionResponse {
            id: self.id.clone(),
            object: "text_completion",
            created: self.created,
            model,
            choices,
            usage,
        }
    }

    /// What a completion gained; `offset` counts the characters of its tokens.
    fn choice(
        &self,
        served: &Served,
        index: usize,
        gained: Completion,
        offset: &mut usize,
    ) -> Result<CompletionChoice, Failure> {
        Ok(CompletionChoice {
            index,
            logprobs: self.log_probs.then(|| log_probs(served, &gained, offset)).transpose()?,
            text: gained.text,
            finish_reason: gained.finish,
            token_ids: self.ids.then_some(gained.tokens),
            prompt_token_ids: None,
        })
    }
}

fn log_probs(served: &Served, gained: &Completion, offset: &mut usize) -> Result<CompletionLogProbs, Failure> {
    let mut all = CompletionLogProbs::default();
    for (token, told) in gained.tokens.iter().zip(&gained.log_probs) {
        let TokenText { text, .. } = TokenText::of(served, *token)?;
        let mut top = Map::new();
        for (token, log_prob) in &told.top {
            top.insert(TokenText::of(served, *token)?.text, json!(log_prob));
        }
        top.insert(text.clone(), json!(told.sampled));
        all.text_offset.push(*offset);
        *offset += text.chars().count();
        all.tokens.push(text);
        all.token_logprobs.push(told.sampled.into());
        all.top_logprobs.push(top);
    }
    Ok(all)
}

/// A stream of completions.
struct Chunks {
    form: Form,
    served: Arc<Served>,
    prompts: Vec<Arc<[u32]>>,
    n: usize,
    /// Characters of the tokens of each completion so far.
    offsets: Vec<usize>,
    /// Whether the end tells the numbers of tokens.
    usage: bool,
}

impl Chunks {
    fn event(&self, choices: Vec<CompletionChoice>, usage: Option<Usage>) -> Value {
        json!(self.form.response(&self.served, choices, usage))
    }
}

impl Writer for Chunks {
    fn begin(&mut self) -> Result<Vec<Value>, Failure> {
        if !self.form.echo && !self.form.ids {
            return Ok(vec![]);
        }
        let mut events = vec![];
        for index in 0..self.offsets.len() {
            let prompt = &self.prompts[index / self.n];
            let mut choice = self.form.choice(&self.served, index, Completion::default(), &mut 0)?;
            if self.form.echo {
                choice.text = self.served.decode(prompt, true)?;
            }
            choice.prompt_token_ids = self.form.ids.then(|| prompt.to_vec());
            events.push(self.event(vec![choice], None));
        }
        Ok(events)
    }

    fn piece(&mut self, index: usize, gained: Completion) -> Result<Vec<Value>, Failure> {
        let choice = self.form.choice(&self.served, index, gained, &mut self.offsets[index])?;
        Ok(vec![self.event(vec![choice], None)])
    }

    fn end(&mut self, tokens: usize) -> Vec<Value> {
        let prompt_tokens = self.prompts.iter().map(|prompt| prompt.len()).sum();
        let usage = self.usage.then(|| Usage::generated(prompt_tokens, tokens));
        usage.into_iter().map(|usage| self.event(vec![], Some(usage))).collect()
    }
}
