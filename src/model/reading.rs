//! How a model is read, in one line: its template, its head, the tokens around a sequence, and its unused weights.

use std::fmt;
use std::ops::Not;

use serde::Serialize;
use tokenizers::Tokenizer;

use super::classifier::{HEAD, HEAD_BIAS};
use super::companions::TEMPLATE;
use super::weights::Checkpoint;
use crate::Result;
use crate::data::tokenizer_files::special_token_id;

/// The names of unused tensors that are shown; there may be thousands.
const SHOWN: usize = 8;

/// A token, by both its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Its row of the embedding.
    pub id: u32,
    /// Its text; empty where the tokenizer does not know it.
    pub text: String,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.text.is_empty() {
            true => write!(f, "token {}", self.id),
            false => write!(f, "{} ({})", self.text, self.id),
        }
    }
}

/// How a model is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Its location.
    pub model: String,
    /// The template of conversations, and its origin.
    pub template: String,
    /// The score head: kept or new, how many outputs, what they mean; absent for causal models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// The token that sequences begin with.
    pub bos_token: Option<Token>,
    /// Whether the tokenizer puts it before plain texts.
    pub adds_bos: bool,
    /// The pad token, which is never computed with here.
    pub pad_token: Option<Token>,
    /// The tokens that end a sequence.
    pub end_tokens: Vec<Token>,
    /// The prefix that a wrapper added to all names of tensors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_prefix: Option<String>,
    /// Whether the model has its own code (`auto_map`), which is not run.
    #[serde(skip_serializing_if = "Not::not")]
    pub ignores_code: bool,
    /// Whether the language-model head is its own although the configuration ties it to the embedding.
    #[serde(skip_serializing_if = "Not::not")]
    pub is_untied: bool,
    /// Tensors that were packed into 4 bits by bitsandbytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub packed_weights: usize,
    /// Tensors that nothing reads.
    pub unused_weights: Vec<String>,
}

impl Reading {
    /// How a causal model is read: with its own chat template, where it has one.
    ///
    /// # Errors
    /// The tokenizer or the template cannot be read.
    pub fn of_causal(checkpoint: &Checkpoint) -> Result<Self> {
        let template = checkpoint.chat_template()?;
        let words = template.map_or("none".into(), |template| format!("of the model, {}", template.place()));
        Self::of(checkpoint, words, None)
    }

    /// How a model is read that is only converted: a causal one as by [`Self::of_causal`], a classifier with its own
    /// template and head.
    ///
    /// # Errors
    /// The tokenizer or the template cannot be read.
    pub fn as_stored(checkpoint: &Checkpoint) -> Result<Self> {
        let Some(info) = checkpoint.info(HEAD) else { return Self::of_causal(checkpoint) };
        let head = kept_head(checkpoint, info.shape[0]);
        let template = match checkpoint.companion(TEMPLATE)? {
            Some(_) => format!("saved with the model, {TEMPLATE}"),
            None => Self::of_causal(checkpoint)?.template,
        };
        Self::of(checkpoint, template, Some(head))
    }

    /// How a checkpoint is read with a `template`, which is described in words, and a head, if it has one.
    ///
    /// # Errors
    /// The tokenizer cannot be read.
    pub fn of(checkpoint: &Checkpoint, template: String, head: Option<String>) -> Result<Self> {
        let (config, tokenizer, tokens) = (checkpoint.config(), checkpoint.tokenizer()?, checkpoint.special_tokens()?);
        let id = |name: &str| special_token_id(&tokens, &tokenizer, name);
        let token = |id: u32| Token { id, text: tokenizer.id_to_token(id).unwrap_or_default() };
        let bos = id("bos_token").or(config.bos_token_id);
        // A classifier ends nothing; what ends its texts matters all the same.
        let unused = checkpoint.unread(head.is_none());
        Ok(Self {
            model: checkpoint.path().display().to_string(),
            template,
            bos_token: bos.map(token),
            adds_bos: bos.is_some_and(|bos| begins_with(&tokenizer, bos)),
            pad_token: config.pad_token_id.or(id("pad_token")).map(token),
            end_tokens: checkpoint.end_tokens()?.into_iter().map(token).collect(),
            removed_prefix: checkpoint.prefix().map(str::to_owned),
            ignores_code: config.extra("auto_map").is_some(),
            is_untied: head.is_none() && checkpoint.is_untied(),
            packed_weights: checkpoint.packed(),
            unused_weights: unused.map(str::to_owned).collect(),
            head,
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The head that a checkpoint has, in words.
pub(crate) fn kept_head(checkpoint: &Checkpoint, count: usize) -> String {
    let bias = if checkpoint.contains(HEAD_BIAS) { " and a bias" } else { "" };
    format!("kept: {HEAD} with {}{bias}", outputs(count))
}

/// A number of outputs, in words.
pub(crate) fn outputs(count: usize) -> String {
    format!("{count} output{}", if count == 1 { "" } else { "s" })
}

/// Whether the tokenizer puts a token before a text.
fn begins_with(tokenizer: &Tokenizer, token: u32) -> bool {
    tokenizer.encode_fast("a", true).is_ok_and(|encoding| encoding.get_ids().first() == Some(&token))
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let named = |token: &Option<Token>| token.as_ref().map_or("none".into(), Token::to_string);
        write!(f, "reading {}: template {}", self.model, self.template)?;
        if let Some(head) = &self.head {
            write!(f, "; head {head}")?;
        }
        write!(f, "; bos {}", named(&self.bos_token))?;
        if self.bos_token.is_some() {
            f.write_str(if self.adds_bos {
                ", which the tokenizer adds to texts"
            } else {
                ", which the tokenizer does not add"
            })?;
        }
        let ends: Vec<String> = self.end_tokens.iter().map(Token::to_string).collect();
        write!(
            f,
            "; pad {}; end {}",
            named(&self.pad_token),
            if ends.is_empty() { "none".into() } else { ends.join(", ") }
        )?;
        if let Some(prefix) = &self.removed_prefix {
            write!(f, "; the prefix {prefix:?} was removed from the names of the weights")?;
        }
        if self.is_untied {
            f.write_str(
                "; lm_head.weight differs from the embedding and is used, although the configuration ties them",
            )?;
        }
        if self.ignores_code {
            f.write_str("; the model's own code (auto_map) is not run")?;
        }
        if self.packed_weights > 0 {
            let packed = self.packed_weights;
            write!(
                f,
                "; {packed} weights in 4 bits (bitsandbytes) are computed with as the values that they stand for"
            )?;
        }
        if !self.unused_weights.is_empty() {
            let shown = self.unused_weights.len().min(SHOWN);
            write!(f, "; weights not used: {}", self.unused_weights[..shown].join(", "))?;
            if shown < self.unused_weights.len() {
                write!(f, " and {} more", self.unused_weights.len() - shown)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tiny::Tiny;
    use crate::model::{Dtype, Family};
    use serde_json::json;

    #[test]
    fn one_line_says_how_a_model_is_read() {
        let tiny = Tiny::new(Family::Llama, json!({"pad_token_id": 400, "eos_token_id": [1, 2]}), Dtype::F32);
        let causal = Reading::of(&tiny.open(), "of the model".into(), None).unwrap().to_string();
        let expected = "template of the model; bos <s> (0), which the tokenizer adds to texts; pad token 400; \
                        end </s> (1), <think> (2)";
        assert!(causal.ends_with(expected), "{causal}");
        let head = Some("new, 3 outputs".to_owned());
        let classifier = Reading::of(&tiny.open(), "built in".into(), head).unwrap().to_string();
        assert!(
            classifier.contains("; head new, 3 outputs; bos")
                && classifier.ends_with("weights not used: lm_head.weight"),
            "{classifier}"
        );
        let config = json!({"architectures": ["LlamaForSequenceClassification"], "num_labels": 1});
        let stored = Reading::as_stored(&Tiny::new(Family::Llama, config, Dtype::F32).open()).unwrap().to_string();
        assert!(stored.contains("; head kept: score.weight with 1 output; bos"), "{stored}");
    }
}
