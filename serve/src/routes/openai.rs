//! What routes in the manner of OpenAI's API share.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wgr::data::Row;

use crate::rewards::{self, Content, Keep};

/// Texts or token ids, one row or several.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a string, a list of strings, a list of token ids or a list of such lists")]
pub(crate) enum Input {
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// The tokens of a row.
    Tokens(Vec<u32>),
    /// The tokens of several rows.
    TokenLists(Vec<Vec<u32>>),
}

impl Input {
    /// The rows to score. `special` says whether texts get the tokenizer's special tokens, `keep` which part of a row is
    /// scored.
    pub(crate) fn rows(self, special: bool, keep: Option<Keep>) -> Vec<rewards::Input> {
        let text = |field: String, text: String| {
            let content = match special && keep.is_none() {
                true => Content::Row(Row::new(field.clone(), text).into()),
                false => Content::Text { text, special, keep },
            };
            rewards::Input::new(field, content)
        };
        let tokens = |field: String, tokens| rewards::Input::new(field, Content::Tokens(tokens, keep));
        let place = |place: usize| format!("input[{place}]");
        match self {
            Self::Text(whole) => vec![text("input".into(), whole)],
            Self::Texts(texts) => texts.into_iter().enumerate().map(|(at, each)| text(place(at), each)).collect(),
            Self::Tokens(list) => vec![tokens("input".into(), list)],
            Self::TokenLists(lists) => {
                lists.into_iter().enumerate().map(|(at, list)| tokens(place(at), list)).collect()
            }
        }
    }
}

/// Tokens of a request.
#[derive(Serialize, ToSchema)]
pub(crate) struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
}

impl Usage {
    /// Of a request in which nothing was generated.
    pub(crate) fn of(rows: impl Iterator<Item = usize>) -> Self {
        let tokens = rows.sum();
        Self::generated(tokens, 0)
    }

    /// Of prompts, each counted once, and of all their completions.
    pub(crate) fn generated(prompt_tokens: usize, completion_tokens: usize) -> Self {
        Self { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
    }
}
