//! Shared by training and scoring before they use the device: checkpoint, template, rows, tokens.

use std::path::{Path, PathBuf};

use crate::data::tokenizer_files::special_token_id;
use crate::data::{Encoder, Example, Purpose, RatingScale, Row, Template, Vocabulary, read_rated_rows};
use crate::model::Checkpoint;
use crate::model::companions::TEMPLATE;
use crate::objective::Objective;
use crate::{Event, Observer, Result};

/// The purpose of a run's rows.
pub(super) fn purpose(objective: Objective, levels: u32) -> Purpose {
    match objective {
        Objective::Pairwise => Purpose::Preference,
        Objective::Regression => Purpose::Regression,
        Objective::Ordinal | Objective::Coral | Objective::Corn => Purpose::Levels(levels),
    }
}

/// The template the user named, else the one that `wgr` saved with the model, else, for a reward model that was trained on
/// chats (`shows_chats`), its own chat template, else the built-in one; and whose it is, in words.
pub(super) fn template(named: Option<&Path>, checkpoint: &Checkpoint, shows_chats: bool) -> Result<(Template, String)> {
    if let Some(path) = named {
        let template = Template::from_file(path, &checkpoint.special_tokens()?)?;
        return Ok((template, format!("of `.template`, {}", path.display())));
    }
    if let Some(bytes) = checkpoint.companion(TEMPLATE)? {
        let name = checkpoint.path().join(TEMPLATE).display().to_string();
        let template = Template::from_bytes(&name, bytes, &checkpoint.special_tokens()?)?;
        return Ok((template, format!("saved with the model, {name}")));
    }
    if shows_chats && let Some(chat) = checkpoint.chat_template()? {
        let words = format!("of the model, its chat template in {}", chat.place());
        return Ok((Template::of_chat(chat), words));
    }
    Ok((Template::builtin(), if shows_chats { "built in, as the model has none".into() } else { "built in".into() }))
}

/// An encoder for a checkpoint. Sequences are never longer than the model's positions; those that end with `pad` are
/// counted.
pub(super) fn encoder(
    checkpoint: &Checkpoint,
    template: Template,
    max_length: usize,
    pad: Option<u32>,
) -> Result<Encoder> {
    let config = checkpoint.config();
    let max_length = max_length.min(config.max_position_embeddings);
    let name = format!("{}: tokenizer", checkpoint.path().display());
    let tokenizer = checkpoint.tokenizer()?;
    let tokens = checkpoint.special_tokens()?;
    let bos = special_token_id(&tokens, &tokenizer, "bos_token");
    let vocabulary = Vocabulary { size: config.vocab_size, bos: bos.or(config.bos_token_id), pad };
    Encoder::new(tokenizer, name, template, max_length, vocabulary)
}

/// Where the rows of a run are.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    /// In files.
    Files(&'a [PathBuf]),
    /// In memory.
    Given(&'a [Row]),
}

impl Rows<'_> {
    /// Whether there are none.
    pub(super) fn is_empty(self) -> bool {
        match self {
            Self::Files(files) => files.is_empty(),
            Self::Given(rows) => rows.is_empty(),
        }
    }
}

/// Reads and tokenizes rows.
pub(super) fn examples(
    rows: Rows<'_>,
    purpose: Purpose,
    scale: RatingScale,
    encoder: &Encoder,
    observer: &mut dyn Observer,
) -> Result<Vec<Example>> {
    let (examples, encoded) = match rows {
        Rows::Files(files) => {
            let (rows, read) = read_rated_rows(files, purpose, scale)?;
            let encoded = encoder.encode(&rows)?;
            read.notes().iter().for_each(|line| observer.note(line));
            encoded
        }
        Rows::Given(rows) => {
            rows.iter().try_for_each(|row| row.check(purpose))?;
            encoder.encode(rows)?
        }
    };
    let tokens = examples.iter().map(|example| example.tokens() as u64).sum();
    observer.on(Event::Tokenized { rows: examples.len(), tokens, truncation: &encoded.cut });
    encoded.notes().iter().for_each(|line| observer.note(line));
    Ok(examples)
}
