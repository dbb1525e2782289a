//! Questions as token ids, through the model's own chat template, and the tokens that spell the answers.

use tokenizers::Tokenizer;

use crate::data::{ChatTemplate, Message, Role, TemplateInputs};
use crate::extract::annotator::prompt::{Question, Room};
use crate::extract::turn::Turn;
use crate::model::Checkpoint;
use crate::{Error, Result};

/// The parts into which the room for a turn is divided: if a turn's prompt does not fit, as many are shown as do.
const PARTS: usize = 1000;
/// The answer begins so, and a verdict follows after a space.
const LEAD: &str = "Verdict:";

/// Turns questions into token ids.
pub(super) struct Prompter {
    tokenizer: Tokenizer,
    template: ChatTemplate,
    /// Tokens of the longest prompt.
    limit: usize,
    /// Rows of the embedding.
    vocabulary: usize,
    /// Names the model in errors.
    at: String,
}

/// How a model spells the verdicts of a question: after a prompt that ends with `lead`, one token for each.
///
/// A verdict of several tokens is identified by the first token that no other verdict has in its place. Its probability
/// is that of all words that begin so, of which only one was offered; and one pass over the prompt gives those of all
/// verdicts, while the sum over whole names would favour short ones and take a pass for each.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spelling {
    /// Tokens at the end of a prompt that give way to `lead`, because they merge with what follows.
    cut: usize,
    /// The common beginning of all verdicts.
    lead: Vec<u32>,
    /// The token of each verdict.
    pub tokens: Vec<u32>,
}

impl Prompter {
    /// A prompter for prompts of at most `limit` tokens.
    ///
    /// # Errors
    /// The model has no tokenizer or no chat template.
    pub(super) fn new(checkpoint: &Checkpoint, limit: usize) -> Result<Self> {
        let at = checkpoint.path().display().to_string();
        let template = checkpoint.chat_template()?.ok_or_else(|| {
            Error::input(&at, "has no chat template", "use an instruction-tuned model as `.annotator_model`")
        })?;
        let mut tokenizer = checkpoint.tokenizer()?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| Error::input(&at, e.to_string(), ""))?;
        Ok(Self { tokenizer, template, limit, vocabulary: checkpoint.config().vocab_size, at })
    }

    /// The question about a turn, shortened until it fits.
    ///
    /// # Errors
    /// Not even the question without the turn fits.
    pub(super) fn prompt(&self, question: Question, turn: &Turn, spelling: &Spelling) -> Result<Vec<u32>> {
        let attempt = |parts: usize| {
            let mut prompt = self.tokens(&self.text(question, turn, parts)?)?;
            prompt.truncate(prompt.len().saturating_sub(spelling.cut));
            prompt.extend(&spelling.lead);
            Ok::<_, Error>(Some(prompt).filter(|prompt| prompt.len() <= self.limit))
        };
        if let Some(prompt) = attempt(PARTS)? {
            return Ok(prompt);
        }
        let Some(mut best) = attempt(0)? else {
            let problem = format!("the question alone is longer than {} tokens", self.limit);
            return Err(Error::input(&self.at, problem, "use a model with a longer context"));
        };
        let (mut fits, mut fails) = (0, PARTS);
        while fails > fits + 1 {
            let middle = fits.midpoint(fails);
            match attempt(middle)? {
                Some(prompt) => (fits, best) = (middle, prompt),
                None => fails = middle,
            }
        }
        Ok(best)
    }

    fn text(&self, question: Question, turn: &Turn, parts: usize) -> Result<String> {
        let of = |room: usize| room * parts / PARTS;
        let Room { history, query, response, feedback } = Room::WIDE;
        let room = Room { history: of(history), query: of(query), response: of(response), feedback: of(feedback) };
        let (task, shown, choices) = (question.task(), question.shown(turn, room), question.choices().join(", "));
        let text = format!("{task}{shown}\nAnswer with one word, your verdict. It is one of: {choices}.");
        let question = [Message::new(Role::User, text)];
        Ok(self.template.render(&question, &TemplateInputs::default(), true)? + LEAD)
    }

    fn tokens(&self, text: &str) -> Result<Vec<u32>> {
        let failed = |e: tokenizers::Error| Error::input(&self.at, format!("cannot tokenize a question: {e}"), "");
        let tokens = self.tokenizer.encode_fast(text, false).map_err(failed)?.get_ids().to_vec();
        match tokens.iter().find(|id| **id as usize >= self.vocabulary) {
            None => Ok(tokens),
            Some(id) => {
                let problem = format!("token id {id} has no row in the embedding of {} rows", self.vocabulary);
                Err(Error::input(&self.at, problem, "tokenizer and model do not match"))
            }
        }
    }

    /// How the model spells the verdicts of a question; `turn` may be any.
    ///
    /// # Errors
    /// Two verdicts cannot be distinguished by one token.
    pub(super) fn spelling(&self, question: Question, turn: &Turn) -> Result<Spelling> {
        let text = self.text(question, turn, PARTS)?;
        let bare = self.tokens(&text)?;
        let answers = question.choices().into_iter().map(|name| self.tokens(&format!("{text} {name}")));
        let answers: Vec<Vec<u32>> = answers.collect::<Result<_>>()?;
        let same = |place: &usize| answers.iter().all(|a| a.get(*place).is_some_and(|id| answers[0][*place] == *id));
        let common = (0..answers[0].len()).take_while(same).count();
        let tokens: Vec<u32> = answers.iter().filter_map(|answer| answer.get(common).copied()).collect();
        let distinct = tokens.iter().enumerate().all(|(i, token)| !tokens[..i].contains(token));
        if tokens.len() < answers.len() || !distinct {
            let problem = "its tokenizer spells two verdicts with the same first token";
            return Err(Error::input(&self.at, problem, "use another model as `.annotator_model`"));
        }
        let cut = bare.len().saturating_sub(common);
        Ok(Spelling { cut, lead: answers[0][bare.len() - cut..common].to_vec(), tokens })
    }
}
