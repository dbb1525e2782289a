//! Prompts as tokens: through the model's own chat template, or as they stand.

use tokenizers::Tokenizer;

use crate::data::prompts::{Ask, Prompt};
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
        let template = match raw {
            true => None,
            false => {
                let hint = "name an instruction-tuned model, or continue prompts as they stand with --raw";
                let template = checkpoint.chat_template()?;
                Some(template.ok_or_else(|| Error::input(&at, "has no chat template", hint))?)
            }
        };
        Ok(Self { tokenizer, template, bos: checkpoint.config().bos_token_id })
    }

    /// The tokenizer, without padding and truncation.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The tokens of a prompt. A rendered conversation brings its special tokens along; a text that is continued as it
    /// stands gets those of the tokenizer, but not a second bos token where it begins with one.
    ///
    /// # Errors
    /// The template refuses the conversation; a conversation is to be continued as it stands.
    pub fn tokens(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        let at = format!("prompt {:?}", prompt.id);
        let text = match (&self.template, &prompt.ask) {
            (None, Ask::Text(text)) => return self.encode(&at, text, true),
            (None, Ask::Chat(_)) => {
                return Err(Error::input(at, "is a conversation, which --raw cannot render", "leave --raw out"));
            }
            (Some(template), Ask::Text(text)) => {
                template.render(&[Message::new(Role::User, text)], &prompt.inputs, true)
            }
            (Some(template), Ask::Chat(messages)) => template.render(messages, &prompt.inputs, true),
        };
        self.encode(&at, &text.map_err(|error| error.within(&at))?, false)
    }

    fn encode(&self, at: &str, text: &str, special: bool) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(text, special);
        let encoding = encoding.map_err(|e| Error::input(at, format!("cannot be tokenized: {e}"), ""))?;
        let tokens = encoding.get_ids();
        let doubled = self.bos.is_some_and(|bos| tokens.starts_with(&[bos, bos]));
        Ok(tokens[usize::from(doubled)..].to_vec())
    }
}
