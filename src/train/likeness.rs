//! Ranks that train one model must be alike: the same program, settings, model, rows and checkpoint on every host.

use serde::Serialize;
use twox_hash::XxHash3_128;

use crate::data::Example;
use crate::model::Checkpoint;
use crate::ranks::Ranks;
use crate::{Error, Result};

use super::saving::Progress;

/// A hash of rows as tokens and labels, in their order.
pub(super) fn of_examples<'a>(examples: impl Iterator<Item = &'a Example>) -> u128 {
    let mut hashes: Vec<u8> = vec![];
    for example in examples {
        hashes.extend(example.label.unwrap_or(f32::NAN).to_ne_bytes());
        let of_sequence = |tokens: &Vec<u32>| XxHash3_128::oneshot(bytemuck::cast_slice(tokens)).to_ne_bytes();
        hashes.extend(example.sequences.iter().flat_map(of_sequence));
    }
    XxHash3_128::oneshot(&hashes)
}

/// Waits for the other ranks and compares what they are about to begin: program, settings, model, rows (by the hash that
/// `rows` gives) and checkpoint. A rank that is alone computes nothing.
///
/// # Errors
/// The first rank that differs from the first, and in what; a rank failed or does not answer.
pub(crate) async fn check(
    ranks: &Ranks,
    config: &impl Serialize,
    model: &Checkpoint,
    progress: Progress,
    rows: impl FnOnce() -> u128,
) -> Result<()> {
    if ranks.size() == 1 {
        return Ok(());
    }
    let facts = [
        ("a model", format!("{:x}", model.fingerprint()?)),
        ("rows", format!("{:x}", rows())),
        ("a checkpoint", progress.step.to_string()),
    ];
    check_program(ranks, config, &facts).await
}

/// As [`check`], of one more model, which errors call `what`.
///
/// # Errors
/// As [`check`].
pub(crate) async fn check_model(ranks: &Ranks, what: &str, model: &Checkpoint) -> Result<()> {
    match ranks.size() {
        1 => Ok(()),
        _ => ranks.agree(&[(what, format!("{:x}", model.fingerprint()?))]).await,
    }
}

/// As [`check`] on several ranks, of program, settings and other facts.
///
/// # Errors
/// As [`check`].
pub(crate) async fn check_program(ranks: &Ranks, config: &impl Serialize, facts: &[(&str, String)]) -> Result<()> {
    let program = std::env::current_exe().and_then(std::fs::read).map_err(|e| Error::io("the program itself", e))?;
    let settings = toml::to_string(config).map_err(|e| Error::run(format!("settings: {e}"), ""))?;
    let own = [
        ("a program", format!("{} {:x}", env!("CARGO_PKG_VERSION"), XxHash3_128::oneshot(&program))),
        ("settings", format!("{:x}", XxHash3_128::oneshot(settings.as_bytes()))),
    ];
    ranks.agree(&[&own, facts].concat()).await
}
