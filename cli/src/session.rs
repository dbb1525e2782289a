//! The beginning and the end of every command that computes: opening the adapter with a display of the progress, saving
//! the settings and printing the result.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wgr::gpu::{AdapterChoice, Gpu};
use wgr::kernels::{self, Passes};
use wgr::{Observer, Ranks, Result};

use crate::print;
use crate::progress::Progress;
use crate::settings::{OutputArgs, Settings};

/// Opens the adapter of a run, and the display that shows its progress until it is dropped.
///
/// # Errors
/// There is no such adapter, or it fails its self-test.
pub(crate) async fn open(adapter: &AdapterChoice, passes: Passes, show: &OutputArgs) -> Result<(Gpu, Progress)> {
    let gpu = kernels::open(adapter, passes).await?;
    let mut progress = Progress::new(show.quiet);
    progress.runs_on(&gpu);
    Ok((gpu, progress))
}

/// The same for one of several ranks, which takes the adapter of its place on its host unless one is named.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_on(
    ranks: &Ranks,
    adapter: &AdapterChoice,
    passes: Passes,
    show: &OutputArgs,
) -> Result<(Gpu, Progress)> {
    let (choice, shared) = ranks.adapter(adapter).await?;
    let (gpu, mut progress) = open(&choice, passes, show).await?;
    shared.iter().for_each(|line| (&mut progress as &mut dyn Observer).note(line));
    Ok((gpu, progress))
}

/// The same for a rank of a run that only needs an adapter, for forward passes, if `needed` says so.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_if(
    needed: bool,
    ranks: &Ranks,
    adapter: &AdapterChoice,
    show: &OutputArgs,
) -> Result<(Option<Gpu>, Progress)> {
    if !needed {
        return Ok((None, Progress::new(show.quiet)));
    }
    let (gpu, progress) = open_on(ranks, adapter, Passes::Forward, show).await?;
    Ok((Some(gpu), progress))
}

/// Saves the settings of a run as `file` and prints its result: `summary` for programs, or what `text` prints for people.
///
/// # Errors
/// `file` or stdout cannot be written.
pub(crate) fn conclude<C: DeserializeOwned + Serialize>(
    settings: &Settings<C>,
    file: &Path,
    show: &OutputArgs,
    summary: &impl Serialize,
    text: impl FnOnce() -> Result<()>,
) -> Result<()> {
    settings.save(file)?;
    if show.json {
        print::json(summary)
    } else if show.quiet {
        Ok(())
    } else {
        text()
    }
}
