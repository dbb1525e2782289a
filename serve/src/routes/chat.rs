//! `POST /v1/chat/completions`: conversations answered, as clients of OpenAI and vLLM ask for it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use wgr::generate::Finish;

use super::openai::Usage;
use crate::app::App;
use crate::body::Body;
use crate::failure::{Failure, Failures};
use crate::generation::{
    Completion, Drawn, Fields, Prompt, Served, TokenText, Writer, check_log_probs, check_others, events, parse,
};

/// A conversation to answer.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ChatRequest {
    #[serde(flatten)]
    own: Own,
    #[serde(flatten)]
    fields: Fields,
}

/// The fields of this route alone.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = ChatFields)]
pub(crate) struct Own {
    /// The messages, of which the last is the user's or the result of a tool; they go through the model's chat template.
    #[schema(value_type = Vec<Object>)]
    messages: Value,
    /// Tools that the chat template shows. Calls are not read out of the answer, so they need `tool_choice` `none`.
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Value,
    /// `none`: the answer is text.
    tool_choice: Value,
    /// Documents that the chat template shows.
    #[schema(value_type = Option<Vec<Object>>)]
    documents: Value,
    /// Variables of the chat template, such as `enable_thinking`.
    #[schema(value_type = Option<Object>)]
    chat_template_kwargs: Value,
    /// The newer name of `max_tokens`.
    max_completion_tokens: Option<usize>,
    /// Whether to tell the log-probability of each token.
    logprobs: Option<bool>,
    /// With `logprobs`, as many of the most likely tokens.
    top_logprobs: Option<usize>,
}

/// Answers to a conversation.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChatResponse {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    choices: Vec<ChatChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// The tokens of the conversation, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_token_ids: Option<Vec<u32>>,
}

/// An answer; in a stream, what it gained.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChatChoice {
    index: usize,
    /// The answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<ChatMessage>,
    /// What it gained, in a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<ChatMessage>,
    logprobs: Option<ChatLogProbs>,
    /// `stop` if the model ended it or a stop string came, `length` if it has as many tokens as it may have.
    #[schema(value_type = Option<String>)]
    finish_reason: Option<Finish>,
    /// Its tokens, including the one that ended it, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_ids: Option<Vec<u32>>,
}

/// A message of the assistant, or a part of one.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChatMessage {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    content: String,
}

/// The tokens of an answer, including the one that ended it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChatLogProbs {
    content: Vec<ChatLogProb>,
}

/// A token with its log-probability under the model's own distribution, before temperature and filters.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChatLogProb {
    #[serde(flatten)]
    token: LikelyToken,
    top_logprobs: Vec<LikelyToken>,
}

/// A token, and how likely it was.
#[derive(Serialize, ToSchema)]
pub(crate) struct LikelyToken {
    token: String,
    logprob: f64,
    /// Its bytes; null if it is only a part of a character.
    bytes: Option<Vec<u8>>,
}

/// Answers conversations.
#[utoipa::path(
    post,
    path = "/v1/chat/completions",
    request_body = ChatRequest,
    responses((status = 200, body = ChatResponse), Failures)
)]
pub(crate) async fn chat(
    State(app): State<Arc<App>>,
    Body(body): Body<Map<String, Value>>,
) -> Result<Response, Failure> {
    let ChatRequest { own, fields } = ChatRequest { own: parse(&body)?, fields: parse(&body)? };
    check_others::<Own, Fields>(&body)?;
    let draw = fields.draw()?;
    let log_probs = own.log_probs()?;
    own.check_tools()?;
    let max_tokens = own.max_tokens(&fields)?;
    let drawn = Drawn::start(app.generation()?, &draw, max_tokens, log_probs, move |served| {
        Ok(vec![Prompt { field: "messages".into(), tokens: served.chat(body.clone())? }])
    });
    let drawn = drawn.await?;
    let (id, created) = app.stamp("chatcmpl");
    let (count, prompt_tokens) = (drawn.count(), drawn.prompt_tokens());
    let Drawn { answers, served, prompts, .. } = drawn;
    let prompt = prompts.into_iter().next().filter(|_| fields.tells_ids()).map(|prompt| prompt.to_vec());
    let form =
        Form { id, created, ids: fields.tells_ids(), log_probs: log_probs.is_some(), stream: fields.is_stream() };
    if fields.is_stream() {
        let usage = fields.include_usage().then_some(prompt_tokens);
        return Ok(events(count, answers, Chunks { form, served, prompt, count, usage }));
    }
    let completions = Completion::all(count, answers).await?;
    let usage = Usage::generated(prompt_tokens, completions.iter().map(|completion| completion.tokens.len()).sum());
    let choices =
        completions.into_iter().enumerate().map(|(index, completion)| form.choice(&served, index, completion));
    let mut response = form.response(&served, choices.collect::<Result<_, _>>()?, Some(usage));
    response.prompt_token_ids = prompt;
    Ok(Json(response).into_response())
}

impl Own {
    fn log_probs(&self) -> Result<Option<usize>, Failure> {
        match (self.logprobs == Some(true), self.top_logprobs) {
            (true, count) => check_log_probs("top_logprobs", count.unwrap_or(0)).map(Some),
            (false, Some(1..)) => Err(Failure::input("top_logprobs", "needs `logprobs`")),
            (false, _) => Ok(None),
        }
    }

    /// Refuses tools whose calls somebody may expect to be read out of the answer.
    fn check_tools(&self) -> Result<(), Failure> {
        let has_tools = self.tools.as_array().is_some_and(|tools| !tools.is_empty());
        match self.tool_choice.as_str() {
            Some("none") => Ok(()),
            None if self.tool_choice.is_null() && !has_tools => Ok(()),
            Some("auto") if !has_tools => Ok(()),
            _ => Err(Failure::input(
                "tool_choice",
                "must be `none` where there are tools: the chat template shows them, but calls are not read out of the answer",
            )),
        }
    }

    fn max_tokens(&self, fields: &Fields) -> Result<Option<usize>, Failure> {
        match (self.max_completion_tokens, fields.max_tokens) {
            (Some(0), _) => Err(Failure::input("max_completion_tokens", "cannot be 0")),
            (Some(newer), Some(older)) if newer != older => {
                Err(Failure::input("max_completion_tokens", "differs from `max_tokens`; leave one of them out"))
            }
            (newer, older) => Ok(newer.or(older)),
        }
    }
}

/// What answers to a request look like.
struct Form {
    id: String,
    created: u64,
    ids: bool,
    log_probs: bool,
    stream: bool,
}

impl Form {
    fn response(&self, served: &Served, choices: Vec<ChatChoice>, usage: Option<Usage>) -> ChatResponse {
        let object = if self.stream { "chat.completion.chunk" } else { "chat.completion" };
        let (id, model) = (self.id.clone(), served.name.clone());
        ChatResponse { id, object, created: self.created, model, choices, usage, prompt_token_ids: None }
    }

    /// What an answer gained.
    fn choice(&self, served: &Served, index: usize, gained: Completion) -> Result<ChatChoice, Failure> {
        let logprobs = self.log_probs.then(|| log_probs(served, &gained)).transpose()?;
        let role = (!self.stream).then_some("assistant");
        let message = ChatMessage { role, content: gained.text };
        let (message, delta) = if self.stream { (None, Some(message)) } else { (Some(message), None) };
        let token_ids = self.ids.then_some(gained.tokens);
        Ok(ChatChoice { index, message, delta, logprobs, finish_reason: gained.finish, token_ids })
    }
}

fn log_probs(served: &Served, gained: &Completion) -> Result<ChatLogProbs, Failure> {
    let likely = |token, log_prob: f32| {
        let TokenText { text, bytes } = TokenText::of(served, token)?;
        Ok(LikelyToken { token: text, logprob: log_prob.into(), bytes })
    };
    let tokens = gained.tokens.iter().zip(&gained.log_probs).map(|(token, told)| {
        let top = told.top.iter().map(|(token, log_prob)| likely(*token, *log_prob)).collect::<Result<_, Failure>>()?;
        Ok(ChatLogProb { token: likely(*token, told.sampled)?, top_logprobs: top })
    });
    Ok(ChatLogProbs { content: tokens.collect::<Result<_, Failure>>()? })
}

/// A stream of answers.
struct Chunks {
    form: Form,
    served: Arc<Served>,
    /// The tokens of the conversation, if asked for.
    prompt: Option<Vec<u32>>,
    /// Answers.
    count: usize,
    /// Tokens of the conversation, if the end tells their numbers.
    usage: Option<usize>,
}

impl Writer for Chunks {
    fn begin(&mut self) -> Result<Vec<Value>, Failure> {
        let mut events = vec![];
        for index in 0..self.count {
            let mut choice = self.form.choice(&self.served, index, Completion::default())?;
            choice.delta = Some(ChatMessage { role: Some("assistant"), content: String::new() });
            let mut response = self.form.response(&self.served, vec![choice], None);
            response.prompt_token_ids = self.prompt.take();
            events.push(json!(response));
        }
        Ok(events)
    }

    fn piece(&mut self, index: usize, gained: Completion) -> Result<Vec<Value>, Failure> {
        let choice = self.form.choice(&self.served, index, gained)?;
        Ok(vec![json!(self.form.response(&self.served, vec![choice], None))])
    }

    fn end(&mut self, tokens: usize) -> Vec<Value> {
        let usage = self.usage.map(|prompt_tokens| Usage::generated(prompt_tokens, tokens));
        usage.into_iter().map(|usage| json!(self.form.response(&self.served, vec![], Some(usage)))).collect()
    }
}
