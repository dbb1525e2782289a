//! Prompts as tokens: through the model's own chat template, or as they stand.

use std::collections::BTreeMap;

use tokenizers::Tokenizer;

use crate::data::prompts::{Ask, Prompt};
use crate::data::tokenizer_files::special_token_id;
use crate::data::{ChatTemplate, Message, Role};
use crate::model::Checkpoint;
use crate::{Error, Result};

/// Turns prompts into tokens.
pub struct Prompter {
    tokenizer: Tokenizer,
    /// `None` continues texts as they stand.
    template: Option<ChatTemplate>,
    bos: Option<u32>,
}

impl Prompter {
    /// The prompter of a model; `raw` leaves its chat template out.
    ///
    /// # Errors
    /// The model has no tokenizer, or no chat template where it takes one.
    pub fn new(checkpoint: &Checkpoint, raw: bool) -> Result<Self> {
        let at = checkpoint.path().display().to_string();
        let mut tokenizer = checkpoint.tokenizer()?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| Error::input(&at, e.to_string(), ""))?;
        let tokens = checkpoint.special_tokens()?;
        let bos = special_token_id(&tokens, &tokenizer, "bos_token");
        let bos = bos.or(checkpoint.config().bos_token_id);
        let template = match raw {
            true => None,
            false => {
                let hint = "use an instruction-tuned model, or continue prompts as they stand with `.raw`";
                let template = checkpoint.chat_template()?;
                Some(template.ok_or_else(|| Error::input(&at, "has no chat template", hint))?)
            }
        };
        Ok(Self { tokenizer, template, bos })
    }

    /// The tokenizer, without padding and truncation.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The tokens of a prompt. A rendered conversation contains its special tokens; a text that is continued as it
    /// stands gets those of the tokenizer.
    ///
    /// # Errors
    /// The template refuses the conversation; a conversation is to be continued as it stands.
    pub fn tokens(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        let at = format!("prompt {:?}", prompt.id);
        let text = match (&self.template, &prompt.ask) {
            (None, Ask::Text(text)) => return self.encode(&at, text, true),
            (None, Ask::Chat(_)) => {
                return Err(Error::input(at, "is a conversation, which `.raw` cannot render", "leave `.raw` out"));
            }
            (Some(template), Ask::Text(text)) => {
                template.render(&[Message::new(Role::User, text)], &prompt.inputs, true)
            }
            (Some(template), Ask::Chat(messages)) => template.render(messages, &prompt.inputs, true),
        };
        self.encode(&at, &text.map_err(|error| error.within(&at))?, false)
    }

    /// The tokens of a text that is continued as it stands, with those that the tokenizer adds if `special`; a bos token that
    /// it begins with is not added once more. `at` names it in errors.
    ///
    /// # Errors
    /// The text cannot be tokenized.
    pub fn text_tokens(&self, at: &str, text: &str, special: bool) -> Result<Vec<u32>> {
        let mut tokens = self.encode(at, text, special)?;
        if special
            && let Some(bos) = self.bos
            && tokens.starts_with(&[bos, bos])
        {
            tokens.remove(0);
        }
        Ok(tokens)
    }

    fn encode(&self, at: &str, text: &str, special: bool) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(text, special);
        let encoding = encoding.map_err(|e| Error::input(at, format!("cannot be tokenized: {e}"), ""))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Fields of prompts that the model's chat template does not show, one line each.
    pub fn hidden(&self, prompts: &[Prompt]) -> Vec<String> {
        let Some(template) = &self.template else { return vec![] };
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for prompt in prompts {
            let messages = match &prompt.ask {
                Ask::Text(_) => &[][..],
                Ask::Chat(messages) => messages,
            };
            template
                .hidden(messages, &prompt.inputs)
                .into_iter()
                .for_each(|name| *counts.entry(name).or_default() += 1);
        }
        let line = |(name, count)| format!("prompts with `{name}`, which the chat template does not show: {count}");
        counts.into_iter().map(line).collect()
    }

    /// The warning about prompts that begin with two bos tokens: one of their own and the tokenizer's.
    pub fn doubled_bos<'a>(&self, prompts: impl IntoIterator<Item = &'a [u32]>) -> Option<String> {
        let bos = self.bos?;
        let doubled = prompts.into_iter().filter(|tokens| tokens.starts_with(&[bos, bos])).count();
        let line = || {
            format!(
                "warning: prompts that begin with two bos tokens, because they contain the one that the tokenizer \
                 adds: {doubled}"
            )
        };
        (doubled > 0).then(line)
    }
}
