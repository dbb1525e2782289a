//! Rows to token ids, at most `max_length` of them, with counts of what was cut.

use super::message::Exchange;
use super::preference::Preference;
use super::rows::{Content, Row};
use super::template::Template;
use super::truncate::fit_exchange;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::thread;
use tokenizers::{PostProcessor, Tokenizer, TruncationDirection};

/// A row as the model reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The row's id.
    pub id: String,
    /// Token ids, never empty: one sequence, or chosen and rejected of a pair.
    pub sequences: Vec<Vec<u32>>,
    /// The row's label, always finite.
    pub label: Option<f32>,
}

impl Example {
    /// Tokens over all sequences.
    pub fn tokens(&self) -> usize {
        self.sequences.iter().map(Vec::len).sum()
    }
}

/// Counts of what `max_length` cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruncationReport {
    /// Rows that were cut in any way.
    pub rows: usize,
    /// History messages dropped, oldest first.
    pub history_messages_dropped: usize,
    /// Queries that lost their middle.
    pub queries_cut: usize,
    /// Responses that lost their middle.
    pub responses_cut: usize,
    /// Plain texts that lost their start.
    pub texts_cut: usize,
}

impl std::ops::AddAssign for TruncationReport {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.history_messages_dropped += other.history_messages_dropped;
        self.queries_cut += other.queries_cut;
        self.responses_cut += other.responses_cut;
        self.texts_cut += other.texts_cut;
    }
}

impl fmt::Display for TruncationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, history_messages_dropped, queries_cut, responses_cut, texts_cut } = self;
        write!(
            f,
            "{rows} rows over the token limit: {history_messages_dropped} history messages dropped, \
             {queries_cut} queries, {responses_cut} responses and {texts_cut} plain texts cut"
        )
    }
}

/// Counts of the rows changed by tokenization.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodingReport {
    /// Counts of what `max_length` cut.
    pub cut: TruncationReport,
    /// Rows whose last token is the pad token of the model.
    pub pad_at_end: usize,
    /// Fields of rows that the template does not show, with the number of rows: fields of messages, columns.
    pub hidden_fields: BTreeMap<String, usize>,
}

impl EncodingReport {
    /// Counts the fields of a row that are not shown, each name once.
    pub fn count_hidden<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            *self.hidden_fields.entry(name.to_owned()).or_default() += 1;
        }
    }

    /// Messages about it besides what was cut, one per line.
    pub fn notes(&self) -> Vec<String> {
        let mut lines = vec![];
        if self.pad_at_end > 0 {
            lines.push(format!(
                "warning: rows that end with the model's padding token, from which wgr reads their scores, while \
                 transformers reads one token earlier: {}",
                self.pad_at_end
            ));
        }
        if !self.hidden_fields.is_empty() {
            let fields: Vec<String> =
                self.hidden_fields.iter().map(|(name, rows)| format!("{name} (rows: {rows})")).collect();
            lines.push(format!("warning: rows have fields that the template does not show: {}", fields.join(", ")));
        }
        lines
    }
}

impl std::ops::AddAssign for EncodingReport {
    fn add_assign(&mut self, other: Self) {
        self.cut += other.cut;
        self.pad_at_end += other.pad_at_end;
        for (name, rows) in other.hidden_fields {
            *self.hidden_fields.entry(name).or_default() += rows;
        }
    }
}

/// What becomes of a row that is longer than the maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Overlong {
    /// It loses its oldest history first, then the middle of its query, then that of its response; a plain text loses its
    /// start.
    #[default]
    #[serde(rename = "oldest")]
    Truncate,
    /// It is an error that names its length.
    #[serde(rename = "error")]
    Refuse,
}

/// The facts about a model's tokens that an encoder needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// Rows of the embedding.
    pub size: usize,
    /// The token that sequences begin with.
    pub bos: Option<u32>,
    /// The pad token by which other software finds the end of a sequence; `None` where that does not matter.
    pub pad: Option<u32>,
}

/// Turns rows into [`Example`]s: the one place where training, scoring and evaluation tokenize.
pub struct Encoder {
    tokenizer: Tokenizer,
    name: String,
    template: Template,
    max_length: usize,
    overlong: Overlong,
    vocabulary: Vocabulary,
}

impl Encoder {
    /// An encoder that keeps to `max_length` tokens per sequence and to ids that the embedding has; `name` stands for the
    /// tokenizer in errors. Padding and truncation that the tokenizer's file asks
    /// for are switched off.
    ///
    /// # Errors
    /// `max_length` leaves no room beside the tokenizer's special tokens.
    pub fn new(
        mut tokenizer: Tokenizer,
        name: impl Into<String>,
        template: Template,
        max_length: usize,
        vocabulary: Vocabulary,
    ) -> Result<Self> {
        let name = name.into();
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| Error::input(&name, e.to_string(), ""))?;
        let encoder = Self { tokenizer, name, template, max_length, overlong: Overlong::default(), vocabulary };
        if max_length <= encoder.special_tokens() {
            return Err(Error::input(
                "`.max_length`",
                format!("{max_length} leaves no room for text beside {} special tokens", encoder.special_tokens()),
                "",
            ));
        }
        Ok(encoder)
    }

    /// The encoder with another treatment of rows that are too long.
    pub fn with_overlong(self, overlong: Overlong) -> Self {
        Self { overlong, ..self }
    }

    /// The template of conversations.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The maximum tokens of a sequence.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Encodes rows on all cores, in order.
    ///
    /// # Errors
    /// The first row that has no tokens, or an id the embedding does not have, or no room for its response beside
    /// the template.
    pub fn encode(&self, rows: &[Row]) -> Result<(Vec<Example>, EncodingReport)> {
        let mut examples = Vec::with_capacity(rows.len());
        let mut report = EncodingReport::default();
        for (example, of_row) in on_all_cores(rows, |row| self.encode_row(row))? {
            examples.push(example);
            report += of_row;
        }
        Ok((examples, report))
    }

    /// Encodes one row.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn encode_row(&self, row: &Row) -> Result<(Example, EncodingReport)> {
        let at = format!("row {:?}", row.id);
        let mut report = EncodingReport::default();
        let mut text = |text: &str| self.text(&at, text, &mut report);
        let sequences = match &row.content {
            Content::Text(whole) => vec![text(whole)?],
            Content::Pair(Preference::Text { prompt: None, chosen, rejected }) => vec![text(chosen)?, text(rejected)?],
            Content::Chat(exchange) => vec![self.exchange(&at, exchange, &mut report)?],
            Content::Pair(pair) => {
                let [chosen, rejected] = pair.exchanges(&at)?;
                vec![self.exchange(&at, &chosen, &mut report)?, self.exchange(&at, &rejected, &mut report)?]
            }
        };
        let label = row.label.map(|label| label as f32);
        Ok(self.example(Example { id: row.id.clone(), sequences, label }, report))
    }

    /// Encodes a row of token ids, which get no special tokens; one that is too long keeps its end.
    ///
    /// # Errors
    /// There are no tokens, or ids that the embedding does not have; there are too many, where these are refused.
    pub fn encode_tokens(&self, id: &str, mut tokens: Vec<u32>) -> Result<(Example, EncodingReport)> {
        let at = format!("row {id:?}");
        let mut report = EncodingReport::default();
        if self.is_overlong(&at, &tokens)? {
            tokens = tokens.split_off(tokens.len() - self.max_length);
            report.cut.texts_cut += 1;
        }
        let sequences = vec![self.checked(&at, tokens)?];
        Ok(self.example(Example { id: id.to_owned(), sequences, label: None }, report))
    }

    /// The tokens of a text, whatever their number, with the tokenizer's special tokens around them if these are wanted; a
    /// bos token that the text brings is not doubled.
    ///
    /// # Errors
    /// The tokenizer fails.
    pub fn tokens_of(&self, id: &str, text: &str, special: bool) -> Result<Vec<u32>> {
        let tokens = self.tokenize(&format!("row {id:?}"), text, special)?;
        Ok(if special { self.with_one_bos(tokens) } else { tokens })
    }

    /// An encoded row, with what can be counted of any.
    fn example(&self, example: Example, mut report: EncodingReport) -> (Example, EncodingReport) {
        report.cut.rows = usize::from(report.cut != TruncationReport::default());
        let ends_with_pad =
            |tokens: &Vec<u32>| self.vocabulary.pad.is_some() && tokens.last() == self.vocabulary.pad.as_ref();
        report.pad_at_end = usize::from(example.sequences.iter().any(ends_with_pad));
        (example, report)
    }

    /// Whether tokens must be cut.
    ///
    /// # Errors
    /// They are too many, and such rows are refused.
    fn is_overlong(&self, at: &str, tokens: &[u32]) -> Result<bool> {
        let is_overlong = tokens.len() > self.max_length;
        if is_overlong && self.overlong == Overlong::Refuse {
            let problem = format!("has {} tokens, {} is the maximum", tokens.len(), self.max_length);
            return Err(Error::input(at, problem, "shorten it, or allow more with `.max_length`"));
        }
        Ok(is_overlong)
    }

    /// A plain text with the special tokens around it; one that is too long keeps its end, where the response is.
    fn text(&self, at: &str, text: &str, report: &mut EncodingReport) -> Result<Vec<u32>> {
        let mut tokens = self.with_one_bos(self.tokenize(at, text, true)?);
        if self.is_overlong(at, &tokens)? {
            let fail = |e: tokenizers::Error| self.failed(at, &e);
            let mut bare = self.tokenizer.encode_fast(text, false).map_err(fail)?;
            bare.truncate(self.max_length - self.special_tokens(), 0, TruncationDirection::Left);
            tokens = self.tokenizer.post_process(bare, None, true).map_err(fail)?.get_ids().to_vec();
            report.cut.texts_cut += 1;
        }
        self.checked(at, tokens)
    }

    fn exchange(&self, at: &str, exchange: &Exchange, report: &mut EncodingReport) -> Result<Vec<u32>> {
        let encode = |exchange: &Exchange| {
            let text = self.template.render(exchange).map_err(|error| error.within(at))?;
            // A template that writes the bos token itself needs no second one, as chat templates do not get one either.
            self.tokenize(at, &text, !self.template.is_chat()).map(|tokens| self.with_one_bos(tokens))
        };
        if self.overlong == Overlong::Refuse {
            self.is_overlong(at, &encode(exchange)?)?;
        }
        let Some((tokens, cut)) = fit_exchange(exchange, self.max_length, self.template.is_chat(), encode)? else {
            return Err(Error::input(
                at,
                format!("the prompt template alone is longer than {} tokens", self.max_length),
                "raise `.max_length` or shorten the template",
            ));
        };
        report.cut.history_messages_dropped += cut.history_messages;
        report.cut.queries_cut += usize::from(cut.query);
        report.cut.responses_cut += usize::from(cut.response);
        for name in self.template.hidden(exchange) {
            report.hidden_fields.insert(name.to_owned(), 1);
        }
        self.checked(at, tokens)
    }

    /// Tokens without the second of two bos tokens: one that a text brings is not doubled.
    fn with_one_bos(&self, mut tokens: Vec<u32>) -> Vec<u32> {
        if self.vocabulary.bos.is_some_and(|bos| tokens.starts_with(&[bos, bos])) {
            tokens.remove(0);
        }
        tokens
    }

    fn tokenize(&self, at: &str, text: &str, special: bool) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(text, special).map_err(|e| self.failed(at, &e))?;
        Ok(encoding.get_ids().to_vec())
    }

    fn failed(&self, at: &str, error: &tokenizers::Error) -> Error {
        Error::input(at, format!("{} cannot tokenize the row: {error}", self.name), "")
    }

    /// How many tokens the tokenizer puts around every sequence.
    fn special_tokens(&self) -> usize {
        self.tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false))
    }

    fn checked(&self, at: &str, tokens: Vec<u32>) -> Result<Vec<u32>> {
        if tokens.is_empty() {
            return Err(Error::input(at, format!("has no tokens under {}", self.name), "the text may be blank"));
        }
        match tokens.iter().find(|&&id| id as usize >= self.vocabulary.size) {
            Some(id) => Err(Error::input(
                at,
                format!("{} gives token id {id}, but the embedding has {} rows", self.name, self.vocabulary.size),
                "tokenizer and model do not match",
            )),
            None => Ok(tokens),
        }
    }
}

/// The results of `each` for rows, in order, on all cores.
///
/// # Errors
/// Those of the first row that has one.
pub(crate) fn on_all_cores<R: Sync, T: Send>(rows: &[R], each: impl Fn(&R) -> Result<T> + Sync) -> Result<Vec<T>> {
    let threads = thread::available_parallelism().map_or(1, |n| n.get());
    if threads == 1 {
        return rows.iter().map(each).collect();
    }
    let each = &each;
    let parts: Vec<Result<Vec<T>>> = thread::scope(|scope| {
        let chunks = rows.chunks(rows.len().div_ceil(threads).max(1));
        let workers: Vec<_> = chunks.map(|chunk| scope.spawn(move || chunk.iter().map(each).collect())).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|e| std::panic::resume_unwind(e))).collect()
    });
    let mut made = Vec::with_capacity(rows.len());
    for part in parts {
        made.extend(part?);
    }
    Ok(made)
}

#[cfg(test)]
mod tests;
