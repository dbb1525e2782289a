//! Preference pairs to token ids: both completions follow the same tokens of the prompt.
//!
//! Prompt and completion are tokenized separately, as in TRL, so that no token straddles the boundary between them.

use std::collections::BTreeMap;

use serde::Serialize;
use tokenizers::Tokenizer;

use crate::data::tokenize::on_all_cores;
use crate::data::tokenizer_files::special_token_id;
use crate::data::{ChatTemplate, Completion, Content, Message, Preference, Role, Row, SpecialTokens, TemplateInputs};
use crate::model::Checkpoint;
use crate::{Error, Result};

/// A preference pair as token ids; the prompt is the same in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPair {
    /// The row's id.
    pub id: String,
    /// The prompt with the completion that was preferred.
    pub chosen: Completion,
    /// The prompt with the other one.
    pub rejected: Completion,
}

impl TokenPair {
    /// A pair of a prompt and two completions of it.
    pub fn new(id: String, prompt: &[u32], [chosen, rejected]: [&[u32]; 2]) -> Self {
        let with = |completion: &[u32]| Completion { tokens: [prompt, completion].concat(), prompt: prompt.len() };
        Self { id, chosen: with(chosen), rejected: with(rejected) }
    }

    /// Chosen and rejected.
    pub fn sides(&self) -> [&Completion; 2] {
        [&self.chosen, &self.rejected]
    }

    /// Tokens of both sides.
    pub fn tokens(&self) -> usize {
        self.chosen.tokens.len() + self.rejected.tokens.len()
    }

    /// Tokens that the pair has in a batch, in which both sides may share the prompt.
    pub fn packed_tokens(&self, shares_prompt: bool) -> usize {
        self.tokens() - if shares_prompt { self.chosen.prompt } else { 0 }
    }

    /// Tokens of both completions.
    pub fn predictions(&self) -> usize {
        self.tokens() - 2 * self.chosen.prompt
    }

    /// Tokens of the longer side.
    pub fn longest(&self) -> usize {
        self.chosen.tokens.len().max(self.rejected.tokens.len())
    }
}

/// Rows that something happened to: how many, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// How many.
    pub pairs: usize,
    /// The id of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
}

impl Counted {
    fn add(&mut self, id: &str) {
        self.pairs += 1;
        self.first.get_or_insert_with(|| id.to_owned());
    }

    fn told(&self, what: &str) -> Option<String> {
        let Self { pairs, first } = self;
        first.as_ref().map(|first| format!("{pairs} pairs {what}; the first is row {first:?}"))
    }

    fn merge(&mut self, other: Self) {
        self.pairs += other.pairs;
        self.first = self.first.take().or(other.first);
    }
}

/// Counts of the rows of a file that were changed or dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PairReport {
    /// Pairs that are trained on.
    pub pairs: usize,
    /// Their tokens.
    pub tokens: u64,
    /// Dropped: chosen and rejected are the same, at least up to where they were cut.
    pub equal: Counted,
    /// Dropped: a completion without text.
    pub empty: Counted,
    /// Prompts that lost their beginning.
    pub prompts_cut: Counted,
    /// Pairs in which a completion lost its end.
    pub completions_cut: Counted,
    /// Prompts that begin with two bos tokens.
    pub doubled_bos: Counted,
    /// Fields of rows that the chat template does not show, with the number of pairs: fields of messages, columns.
    pub hidden_fields: BTreeMap<String, usize>,
}

impl PairReport {
    /// Messages about it, one per line; `max_length` is the token limit.
    pub fn notes(&self, max_length: usize) -> Vec<String> {
        let cut = [
            (&self.prompts_cut, "their prompts lost their beginning"),
            (&self.completions_cut, "completions lost their end"),
        ];
        let mut lines = vec![format!("tokenized {} pairs, {} tokens", self.pairs, self.tokens)];
        lines.extend(cut.iter().filter_map(|(cut, what)| cut.told(&format!("are over {max_length} tokens: {what}"))));
        lines.extend(self.warnings());
        lines
    }

    /// The parts of it that suggest an error in the rows.
    pub fn warnings(&self) -> Vec<String> {
        let faults = [
            (&self.equal, "were dropped, as chosen and rejected are equal"),
            (&self.empty, "were dropped, as a completion is empty"),
            (&self.doubled_bos, "begin with two bos tokens: their prompts contain the one that the tokenizer adds"),
        ];
        let told = faults.iter().filter_map(|(fault, what)| Some(format!("warning: {}", fault.told(what)?)));
        let hidden = self.hidden_fields.iter().map(|(name, pairs)| {
            format!("warning: pairs with `{name}`, which the chat template does not show: {pairs}")
        });
        told.chain(hidden).collect()
    }

    fn merge(&mut self, other: Self) {
        self.pairs += other.pairs;
        self.tokens += other.tokens;
        self.equal.merge(other.equal);
        self.empty.merge(other.empty);
        self.prompts_cut.merge(other.prompts_cut);
        self.completions_cut.merge(other.completions_cut);
        self.doubled_bos.merge(other.doubled_bos);
        for (name, pairs) in other.hidden_fields {
            *self.hidden_fields.entry(name).or_default() += pairs;
        }
    }
}

/// A pair as text, ready to be tokenized.
struct TextPair {
    prompt: String,
    chosen: String,
    rejected: String,
    /// Whether the tokenizer adds its special tokens to the prompt, and eos ends each completion; a chat template writes
    /// them itself.
    is_plain: bool,
}

/// Turns preference rows into [`TokenPair`]s.
pub struct PairEncoder {
    tokenizer: Tokenizer,
    /// The model's path, for errors.
    name: String,
    template: Option<ChatTemplate>,
    /// See [`Self::sources`].
    sources: [String; 2],
    bos: Option<u32>,
    eos: Option<u32>,
    max_length: usize,
    vocab_size: usize,
}

impl PairEncoder {
    /// An encoder for a model that keeps to `max_length` tokens per sequence, and to the model's positions.
    ///
    /// # Errors
    /// The tokenizer or the chat template cannot be read; `max_length` leaves no room for a prompt and a completion.
    pub fn new(checkpoint: &Checkpoint, max_length: usize) -> Result<Self> {
        let name = checkpoint.path().display().to_string();
        let config = checkpoint.config();
        let mut tokenizer = checkpoint.tokenizer()?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| Error::input(&name, e.to_string(), ""))?;
        let tokens = checkpoint.special_tokens()?;
        let id = |name: &str| special_token_id(&tokens, &tokenizer, name);
        let template = checkpoint.chat_template()?;
        let max_length = max_length.min(config.max_position_embeddings);
        if max_length < 2 {
            let problem = format!("{max_length} leaves no room for a prompt and a completion");
            return Err(Error::input("`.max_length`", problem, "use at least 2"));
        }
        let written = tokenizer.to_string(false).map_err(|e| Error::input(&name, format!("tokenizer: {e}"), ""))?;
        Ok(Self {
            bos: id("bos_token").or(config.bos_token_id),
            eos: id("eos_token").or(config.eos_token_id.first().copied()),
            sources: [written, sources(&tokens, template.as_ref())],
            template,
            tokenizer,
            max_length,
            vocab_size: config.vocab_size,
            name,
        })
    }

    /// The maximum tokens of a sequence.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The first token that another tokenizer spells otherwise, and how; `None` where the vocabularies are the same.
    pub fn difference(&self, other: &Tokenizer) -> Option<String> {
        let by_id = |tokenizer: &Tokenizer| -> BTreeMap<u32, String> {
            tokenizer.get_vocab(true).into_iter().map(|(token, id)| (id, token)).collect()
        };
        let (ours, theirs) = (by_id(&self.tokenizer), by_id(other));
        let id = ours.keys().chain(theirs.keys()).filter(|id| ours.get(id) != theirs.get(id)).min()?;
        let spelled = |vocabulary: &BTreeMap<u32, String>| match vocabulary.get(id) {
            Some(token) => format!("{token:?}"),
            None => "none".to_owned(),
        };
        Some(format!("{id} is {} there and {} here", spelled(&theirs), spelled(&ours)))
    }

    /// Everything that decides the tokens of a text: the tokenizer, and the chat template with its tokens.
    pub fn sources(&self) -> [&str; 2] {
        [&self.sources[0], &self.sources[1]]
    }

    /// Encodes rows on all cores, in order.
    ///
    /// # Errors
    /// The first row that is not a pair, has no prompt, or does not fit the template or the model's vocabulary; a file
    /// with no rows left.
    pub fn encode(&self, rows: &[Row]) -> Result<(Vec<TokenPair>, PairReport)> {
        let mut pairs = Vec::with_capacity(rows.len());
        let mut report = PairReport::default();
        for (pair, of_row) in on_all_cores(rows, |row| self.encode_row(row))? {
            pairs.extend(pair);
            report.merge(of_row);
        }
        if pairs.is_empty() {
            let PairReport { equal, empty, .. } = report;
            let problem = format!(
                "none of {} pairs can be trained on: {} have equal completions and {} an empty one",
                rows.len(),
                equal.pairs,
                empty.pairs
            );
            return Err(Error::input("`.data`", problem, "a pair holds two different completions"));
        }
        Ok((pairs, report))
    }

    /// Encodes one row; there is no pair where it was dropped.
    fn encode_row(&self, row: &Row) -> Result<(Option<TokenPair>, PairReport)> {
        let at = format!("row {:?}", row.id);
        let mut report = PairReport::default();
        let Content::Pair(preference) = &row.content else {
            return Err(Error::input(at, "is not a preference pair", "a pair has `prompt`, `chosen` and `rejected`"));
        };
        let text = match preference {
            preference if is_empty(preference) => None,
            preference if is_equal(preference) => {
                report.equal.add(&row.id);
                return Ok((None, report));
            }
            preference => Some(self.text(&at, preference)?),
        };
        if let (Some(template), Preference::Chat { prompt, chosen, rejected, inputs }) = (&self.template, preference) {
            let hidden = |side| template.hidden([prompt, side].into_iter().flatten(), inputs);
            let hidden = [chosen, rejected].into_iter().flat_map(hidden);
            report.hidden_fields.extend(hidden.map(|name| (name.to_owned(), 1)));
        }
        let Some(text) = text.filter(|text| !text.chosen.is_empty() && !text.rejected.is_empty()) else {
            report.empty.add(&row.id);
            return Ok((None, report));
        };
        let mut prompt = self.tokens(&at, &text.prompt, text.is_plain)?;
        if prompt.is_empty() {
            let problem = "has no prompt, so nothing predicts the first token of its completions";
            return Err(Error::input(at, problem, "chosen and rejected continue the same `prompt`"));
        }
        if let Some(bos) = self.bos
            && prompt.starts_with(&[bos, bos])
        {
            report.doubled_bos.add(&row.id);
        }
        let completion = |text: &str, ends: bool| {
            let mut tokens = self.tokens(&at, text, false)?;
            if ends {
                let eos = self.eos.ok_or_else(|| {
                    let hint = "set eos_token in its tokenizer_config.json";
                    Error::input(&self.name, "has no end-of-sequence token", hint)
                })?;
                if tokens.last() != Some(&eos) {
                    tokens.push(eos);
                }
            }
            Ok::<_, Error>(tokens)
        };
        let mut sides = [completion(&text.chosen, text.is_plain)?, completion(&text.rejected, text.is_plain)?];
        let longest = sides[0].len().max(sides[1].len());
        let room = prompt_room(self.max_length, prompt.len(), longest);
        if room < prompt.len() {
            prompt = self.without_beginning(&prompt, room);
            report.prompts_cut.add(&row.id);
        }
        let left = self.max_length - prompt.len();
        if longest > left {
            sides.iter_mut().for_each(|side| side.truncate(left));
            report.completions_cut.add(&row.id);
        }
        if sides[0] == sides[1] {
            report.equal.add(&row.id);
            return Ok((None, report));
        }
        let pair = TokenPair::new(row.id.clone(), &prompt, [&sides[0], &sides[1]]);
        (report.pairs, report.tokens) = (1, pair.tokens() as u64);
        Ok((Some(pair), report))
    }

    /// The last tokens of a prompt, `room` in all, behind its bos token if it has one.
    fn without_beginning(&self, prompt: &[u32], room: usize) -> Vec<u32> {
        let kept = usize::from(self.bos.is_some_and(|bos| prompt[0] == bos) && room > 1);
        [&prompt[..kept], &prompt[prompt.len() - (room - kept)..]].concat()
    }

    fn text(&self, at: &str, preference: &Preference) -> Result<TextPair> {
        match preference {
            Preference::Text { prompt, chosen, rejected } => {
                let (prompt, chosen, rejected) = match prompt {
                    Some(prompt) => (prompt.as_str(), chosen.as_str(), rejected.as_str()),
                    None => {
                        let shared = shared_beginning(chosen, rejected);
                        (&chosen[..shared], &chosen[shared..], &rejected[shared..])
                    }
                };
                Ok(TextPair {
                    prompt: prompt.to_owned(),
                    chosen: chosen.to_owned(),
                    rejected: rejected.to_owned(),
                    is_plain: true,
                })
            }
            Preference::Chat { prompt, chosen, rejected, inputs } => {
                let template = self.template.as_ref().ok_or_else(|| {
                    let hint = format!("{at} has messages: use an instruction-tuned model, or rows of strings");
                    Error::input(&self.name, "has no chat template", hint)
                })?;
                render(template, at, prompt, inputs, [chosen, rejected])
            }
        }
    }

    fn tokens(&self, at: &str, text: &str, special: bool) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(text, special);
        let encoding = encoding.map_err(|e| Error::input(at, format!("cannot be tokenized: {e}"), ""))?;
        match encoding.get_ids().iter().find(|id| **id as usize >= self.vocab_size) {
            Some(id) => {
                let problem =
                    format!("has token id {id}, but the embedding of {} has {} rows", self.name, self.vocab_size);
                Err(Error::input(at, problem, "tokenizer and model do not match"))
            }
            None => Ok(encoding.get_ids().to_vec()),
        }
    }
}

/// How many tokens a prompt keeps: what the longer completion leaves of the limit, and half of the limit at least.
fn prompt_room(max_length: usize, prompt: usize, completion: usize) -> usize {
    prompt.min(max_length.saturating_sub(completion).max(max_length / 2))
}

fn is_empty(preference: &Preference) -> bool {
    match preference {
        Preference::Text { chosen, rejected, .. } => chosen.is_empty() || rejected.is_empty(),
        Preference::Chat { chosen, rejected, .. } => {
            // A call of a tool says something without a text.
            let is_silent = |message: &Message| message.content.is_empty() && message.extra_fields().next().is_none();
            [chosen, rejected].iter().any(|side| side.iter().all(is_silent))
        }
    }
}

fn is_equal(preference: &Preference) -> bool {
    match preference {
        Preference::Text { chosen, rejected, .. } => chosen == rejected,
        Preference::Chat { chosen, rejected, .. } => chosen == rejected,
    }
}

/// Bytes that two whole texts begin with, as far as whole words go: a completion begins with the blank before its first.
fn shared_beginning(a: &str, b: &str) -> usize {
    let differ = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y);
    let shared = differ.map_or(a.len().min(b.len()), |((place, _), _)| place);
    let ends_word = |text: &str| text[shared..].chars().next().is_none_or(char::is_whitespace);
    if ends_word(a) && ends_word(b) { shared } else { a[..shared].rfind(char::is_whitespace).unwrap_or(0) }
}

/// Everything that decides how a conversation is rendered.
fn sources(tokens: &SpecialTokens, template: Option<&ChatTemplate>) -> String {
    let tokens = serde_json::Value::from(tokens.clone()).to_string();
    template.iter().flat_map(|template| template.sources()).fold(tokens, |all, source| format!("{all}\n{source}"))
}

/// Renders a pair through the model's chat template. The prompt opens the assistant's message; where the template then
/// writes something else when the message is there (a place for thoughts, say), the prompt ends before that.
fn render(
    template: &ChatTemplate,
    at: &str,
    prompt: &[Message],
    inputs: &TemplateInputs,
    sides: [&Vec<Message>; 2],
) -> Result<TextPair> {
    let shown =
        |messages: &[Message], opens: bool| template.render(messages, inputs, opens).map_err(|error| error.within(at));
    let opens = sides.iter().all(|side| side.first().is_some_and(|message| message.role == Role::Assistant));
    let opened = shown(prompt, opens)?;
    let whole = |side: &Vec<Message>| shown(&[prompt, side].concat(), false);
    let [chosen, rejected] = [whole(sides[0])?, whole(sides[1])?];
    let shared = |whole: &str| {
        let differ = opened.char_indices().zip(whole.chars()).find(|((_, x), y)| x != y);
        differ.map_or(opened.len().min(whole.len()), |((place, _), _)| place)
    };
    let end = shared(&chosen).min(shared(&rejected));
    if end < shown(prompt, false)?.trim_end().len() {
        let problem = "the chat template renders the prompt differently when a response follows";
        return Err(Error::input(at, problem, "render the rows to strings first, or use another template"));
    }
    Ok(TextPair {
        prompt: opened[..end].to_owned(),
        chosen: chosen[end..].to_owned(),
        rejected: rejected[end..].to_owned(),
        is_plain: false,
    })
}

#[cfg(test)]
mod tests;
