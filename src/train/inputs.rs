//! What training and scoring share before the device is touched: checkpoint, template, rows, tokens.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::data::{Encoder, Example, Purpose, Template, read_rows};
use crate::model::Checkpoint;
use crate::model::companions::TEMPLATE;
use crate::objective::Objective;

use super::observer::Observer;

/// What the rows of a run are read for.
pub fn purpose(objective: Objective, levels: u32) -> Purpose {
    match objective {
        Objective::Pairwise => Purpose::Preference,
        Objective::Regression => Purpose::Regression,
        Objective::Ordinal | Objective::Coral | Objective::Corn => Purpose::Levels(levels),
    }
}

/// The template the user named, else the one saved with the model, else the built-in one.
pub fn template(named: Option<&Path>, checkpoint: &Checkpoint) -> Result<Template> {
    if let Some(path) = named {
        return Template::from_file(path);
    }
    match checkpoint.companion(TEMPLATE)? {
        Some(bytes) => Template::from_bytes(&checkpoint.path().join(TEMPLATE).display().to_string(), bytes),
        None => Ok(Template::builtin()),
    }
}

/// An encoder for a checkpoint. Sequences are never longer than the model's positions.
pub fn encoder(checkpoint: &Checkpoint, template: Template, max_length: usize) -> Result<Encoder> {
    let config = checkpoint.config();
    let max_length = max_length.min(config.max_position_embeddings);
    let name = format!("{}: tokenizer", checkpoint.path().display());
    Encoder::new(checkpoint.tokenizer()?, name, template, max_length, config.vocab_size)
}

/// Reads and tokenizes files.
pub fn examples(
    files: &[PathBuf],
    purpose: Purpose,
    encoder: &Encoder,
    observer: &mut dyn Observer,
) -> Result<Vec<Example>> {
    let rows = read_rows(files, purpose)?;
    let (examples, truncation) = encoder.encode(&rows)?;
    let tokens = examples.iter().map(|example| example.tokens() as u64).sum();
    observer.tokenized(examples.len(), tokens, &truncation);
    Ok(examples)
}
