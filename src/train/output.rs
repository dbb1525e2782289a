//! The output of a training run: what may be replaced, and where it resumes.

use std::path::{Path, PathBuf};

use crate::data::tokenizer_files::{CHAT_TEMPLATES, MORE_TEMPLATES};
use crate::files::fs;
use crate::model::Checkpoint;
use crate::model::companions::CALIBRATION;
use crate::model::lora::{ADAPTER_CONFIG, HEAD_FILE};
use crate::model::travelling::TRAVELLING_FILES;
use crate::{Error, Observer, Result};

use super::config::{TrainConfig, TrainerConfig};
use super::head::Head;
use super::saving::latest_checkpoint;

const CONFIG: &str = "config.json";
const CHECKPOINTS: &str = "checkpoints";

/// Checks that the output may be written; with `resume`, finds the checkpoint to continue from. Changes nothing.
pub(crate) fn check(config: &TrainerConfig) -> Result<Option<PathBuf>> {
    let output = &config.output;
    let latest = if config.resume { latest_checkpoint(output)? } else { None };
    // A run whose first checkpoint could not be written leaves their folder empty.
    let has_checkpoints = fs::entries(&output.join(CHECKPOINTS)).is_ok_and(|entries| !entries.is_empty());
    let occupied = has_checkpoints || [CONFIG, ADAPTER_CONFIG].iter().any(|name| fs::exists(output.join(name)));
    let replaces = config.force && !config.resume;
    if occupied && latest.is_none() && !replaces {
        let hint = if config.resume {
            "it holds no complete checkpoint to resume from; use `.force` to start over"
        } else {
            "use `.resume` to continue or `.force` to start over"
        };
        return Err(Error::input(format!("`.output` {}", output.display()), "already holds a run", hint));
    }
    Ok(latest)
}

/// A run continues with the head it began with: a checkpoint's moments mean nothing for another.
pub(crate) fn check_head(config: &TrainConfig, checkpoint: &Checkpoint) -> Result<()> {
    let Some(head) = Head::written(checkpoint)? else { return Ok(()) };
    let refuse = |setting: String, had: String| {
        let problem = format!("the checkpoint {} was trained with {had}", checkpoint.path().display());
        Err(Error::input(setting, problem, "resume with the same, or start a new run in another `.output`"))
    };
    if head.objective != config.objective {
        return refuse(format!("`.objective` {}", config.objective), head.objective.to_string());
    }
    if head.levels != config.levels {
        return refuse(format!("`.levels` {}", config.levels), format!("{} levels", head.levels));
    }
    Ok(())
}

/// A new run must not replace the model that it starts from, which the user called `name`, nor the base model of that.
pub(crate) fn check_source(output: &Path, source: &Checkpoint, name: &str) -> Result<()> {
    check_apart(output, source.path(), name)?;
    check_apart(output, Path::new(source.base_name()), source.base_name())
}

/// A run must not replace a model that it needs: the one at `path`, which the user called `name`.
pub(crate) fn check_apart(output: &Path, path: &Path, name: &str) -> Result<()> {
    let resolved = |path: &Path| fs::canonical(path).unwrap_or_else(|_| path.to_owned());
    let (model, target) = (resolved(path), resolved(output));
    if model == target || model == target.join(CONFIG) || model.starts_with(target.join(CHECKPOINTS)) {
        let at = format!("`.output` {}", output.display());
        return Err(Error::input(at, format!("contains the model {name}"), "use another directory"));
    }
    Ok(())
}

/// Says that a run starts from random weights, where its model has none.
pub(crate) fn note_new(source: &Checkpoint, seed: u64, observer: &mut dyn Observer) {
    if source.is_new() {
        let place = source.path().display();
        observer.note(&format!("warning: {place} has no weights; they are initialized at random (`.seed` {seed})"));
    }
}

/// Makes the directory. When a run starts, the files of an old one are removed, including its configuration and
/// calibration: until the new run is done, the directory is not a model.
pub(crate) fn open(output: &Path, goes_on: bool) -> Result<()> {
    fs::create_dir_all(output).map_err(|e| Error::io(output, e))?;
    if goes_on {
        return Ok(());
    }
    // Another model may have no such files, and those of the old one would speak for it.
    let of_model = [CONFIG, ADAPTER_CONFIG, CALIBRATION, HEAD_FILE].into_iter().chain(TRAVELLING_FILES);
    for file in of_model.chain(CHAT_TEMPLATES).map(|name| output.join(name)) {
        if fs::exists(&file) {
            fs::remove_file(&file).map_err(|e| Error::io(file, e))?;
        }
    }
    for folder in [CHECKPOINTS, MORE_TEMPLATES].map(|name| output.join(name)) {
        if fs::exists(&folder) {
            fs::remove_dir_all(&folder).map_err(|e| Error::io(folder, e))?;
        }
    }
    Ok(())
}
