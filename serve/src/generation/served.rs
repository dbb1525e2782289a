//! The causal model that is served, and how it reads prompts.

use serde_json::{Map, Value};
use wgr::data::ReadReport;
use wgr::data::prompts::parse_chat;
use wgr::generate::{CausalModel, Generator, Prompter, capacity};
use wgr::gpu::{Dtype, Gpu};
use wgr::model::base::BaseDtype;
use wgr::{Observer, Result};

use crate::failure::Failure;

/// Completions that are drawn at once; further ones wait.
const SEQUENCES: usize = 32;
/// As many of them may have the maximum length; most are far shorter.
const LONGEST: usize = 8;

/// A model, with what turns requests into its tokens and tokens into text.
pub(crate) struct Served {
    /// What clients call it.
    pub(crate) name: String,
    /// Tokens of a sequence, prompt included.
    pub(crate) max_model_len: usize,
    model: CausalModel,
    texts: Prompter,
    /// Absent where the model has no chat template.
    chats: Option<Prompter>,
}

impl Served {
    /// Opens a model, held in `base` or as stored, for sequences of at most `max_length` tokens.
    ///
    /// # Errors
    /// It cannot be read, is not a causal model, or has a chat template that is not valid.
    pub(crate) fn open(
        name: &str,
        base: Option<BaseDtype>,
        max_length: usize,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let model = CausalModel::open(name, base)?;
        let checkpoint = model.checkpoint();
        model.suggested()?.iter().for_each(|line| observer.note(line));
        let texts = Prompter::new(checkpoint, true)?;
        let chats = match checkpoint.chat_template()? {
            Some(_) => Some(Prompter::new(checkpoint, false)?),
            None => {
                observer.note("warning: the model has no chat template, so /v1/chat/completions is not answered");
                None
            }
        };
        let max_model_len = checkpoint.config().max_position_embeddings.min(max_length);
        Ok(Self { name: name.to_owned(), max_model_len, model, texts, chats })
    }

    /// Loads the weights, and makes room for completions.
    ///
    /// # Errors
    /// The model does not fit the adapter, or the device fails.
    pub(crate) fn load(&self, gpu: &Gpu, observer: &mut dyn Observer) -> Result<Generator> {
        let config = self.model.checkpoint().config();
        let mut room = capacity(gpu, config, SEQUENCES, self.max_model_len, Dtype::F32)?;
        room.pages = room.pages.min(LONGEST * room.pages_a_sequence());
        self.model.load(gpu, self.texts.tokenizer(), room, Dtype::F32, "use a smaller `.max_length`", observer)
    }

    /// The tokens of a text that is continued as it stands; `special` adds those that the tokenizer adds.
    pub(crate) fn text(&self, field: &str, text: &str, special: bool) -> Result<Vec<u32>, Failure> {
        self.texts.text_tokens(field, text, special).map_err(|error| Failure::of_row(field, &error))
    }

    /// The tokens of a conversation, rendered by the chat template up to where the answer begins. `fields` are those of a
    /// request.
    pub(crate) fn chat(&self, mut fields: Map<String, Value>) -> Result<Vec<u32>, Failure> {
        let Some(chats) = &self.chats else {
            return Err(Failure::input("messages", "the model has no chat template; use /v1/completions"));
        };
        let refused = |error| Failure::of_row("messages", &error);
        let prompt = parse_chat("messages", &mut fields, &mut ReadReport::default()).map_err(refused)?;
        chats.tokens(&prompt).map_err(refused)
    }

    /// The text of tokens, with special ones where they are to be seen.
    pub(crate) fn decode(&self, tokens: &[u32], special: bool) -> Result<String, Failure> {
        self.texts.tokenizer().decode(tokens, !special).map_err(|error| {
            tracing::error!("the tokenizer cannot decode its tokens: {error}");
            Failure::Bug
        })
    }

    /// Refuses a prompt that has no room for `max_tokens` further tokens, or has others than the model knows.
    pub(crate) fn check(&self, field: &str, tokens: &[u32], max_tokens: usize) -> Result<(), Failure> {
        let (length, limit) = (tokens.len(), self.max_model_len);
        let vocabulary = self.model.checkpoint().config().vocab_size;
        let refuse = |problem: String| Err(Failure::input(field, problem));
        if length == 0 {
            return refuse("has no tokens".into());
        }
        if let Some(id) = tokens.iter().find(|id| **id as usize >= vocabulary) {
            return refuse(format!("has the token {id}, but the vocabulary has {vocabulary}"));
        }
        if length.saturating_add(max_tokens.max(1)) > limit {
            return refuse(format!(
                "has {length} tokens and asks for {max_tokens} more, but `max_model_len` is {limit}"
            ));
        }
        Ok(())
    }
}
