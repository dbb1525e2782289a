//! Requests and answers in the form of the server.

use serde::Deserialize;
use serde_json::json;

use crate::extract::annotator::prompt::{Question, Room};
use crate::extract::turn::Turn;
use crate::http::Failure;

/// The environment variable of the server's key.
pub(super) const KEY_VARIABLE: &str = "WGR_API_KEY";
/// Tokens a model may spend on thoughts, reason and verdict.
const MAX_TOKENS: u32 = 2048;

/// The body of the request for a turn.
pub(super) fn body(model: &str, question: Question, turn: &Turn) -> Vec<u8> {
    let content = question.text(turn, Room::WIDE);
    // Everything in one user message, as some models know no system message.
    let body = json!({
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        "max_tokens": MAX_TOKENS,
    });
    body.to_string().into_bytes()
}

/// An answer with what it cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Completion {
    pub answer: String,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

impl Completion {
    /// Reads the body of a response. A body that is not a completion is a failure that may pass: gateways answer with
    /// pages of their own.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Body {
            choices: Vec<Choice>,
            usage: Option<Tokens>,
        }
        #[derive(Deserialize)]
        struct Choice {
            message: Said,
        }
        #[derive(Deserialize)]
        struct Said {
            /// Null where a server withholds the answer.
            content: Option<String>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Tokens {
            prompt_tokens: u64,
            completion_tokens: u64,
        }
        let body: Body = serde_json::from_slice(body)
            .map_err(|e| Failure::passing(format!("the server's answer is not a chat completion: {e}")))?;
        let tokens = body.usage.unwrap_or_default();
        let choice = body.choices.into_iter().next();
        let choice = choice.ok_or_else(|| Failure::passing("the server's answer has no choice"))?;
        Ok(Self {
            answer: choice.message.content.unwrap_or_default(),
            prompt_tokens: tokens.prompt_tokens,
            completion_tokens: tokens.completion_tokens,
        })
    }
}
