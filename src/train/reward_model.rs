//! A trained reward model, opened on the host.

use std::path::Path;

use crate::data::{Encoder, Overlong};
use crate::model::base::BaseDtype;
use crate::model::classifier::HEAD;
use crate::model::{Checkpoint, Reading, reading};
use crate::{Error, Result};

use super::calibration::ModelCalibration;
use super::head::{Head, HeadReading};
use super::inputs;

/// How a reward model is opened where its own files do not decide.
#[derive(Debug, Clone, Copy)]
pub struct RewardOptions<'a> {
    /// Prompt template instead of the one saved with the model.
    pub template: Option<&'a Path>,
    /// Longest sequence in tokens.
    pub max_length: usize,
    /// What becomes of longer ones; truncated as in training unless said otherwise.
    pub overlong: Overlong,
    /// What the outputs of the head mean, for models whose configuration does not say.
    pub head: Option<HeadReading>,
    /// How matrices are held on the device; as stored when absent.
    pub base_dtype: Option<BaseDtype>,
}

impl Default for RewardOptions<'_> {
    fn default() -> Self {
        Self { template: None, max_length: 4096, overlong: Overlong::default(), head: None, base_dtype: None }
    }
}

/// A reward model that nothing has been loaded of yet: its head, and how it reads rows.
pub struct RewardModel {
    pub(crate) source: Checkpoint,
    pub(super) head: Head,
    /// Rows of the head.
    pub(super) outputs: usize,
    /// Renders, tokenizes and truncates rows as in training.
    pub encoder: Encoder,
    /// How the model is read, for people.
    pub reading: Reading,
}

impl RewardModel {
    /// Opens a directory, `.gguf` file or hub name.
    ///
    /// # Errors
    /// The model cannot be read, has no score head or one of unclear meaning, or has a template that fails.
    pub fn open(model: &str) -> Result<Self> {
        Self::open_with(model, RewardOptions::default())
    }

    /// As [`RewardModel::open`], with options.
    ///
    /// # Errors
    /// As [`RewardModel::open`]; a template that cannot be read, or a head that is not as the options say.
    pub fn open_with(model: &str, options: RewardOptions<'_>) -> Result<Self> {
        let RewardOptions { template, max_length, overlong, head, base_dtype } = options;
        let source = Checkpoint::open(model)?.held_in(base_dtype);
        let Some(info) = source.info(HEAD) else { return Err(no_head(&source)) };
        let outputs = info.shape[0];
        let (head, evidence) = Head::of(&source, outputs, head)?;
        let shows_chats = head.is_of_another_method(&source)?;
        let (template, whose) = inputs::template(template, &source, shows_chats)?;
        let words = format!("{}, {} ({evidence})", reading::kept_head(&source, outputs), head.meaning());
        let reading = Reading::of(&source, whose, Some(words))?;
        let encoder = inputs::encoder(&source, template, max_length, source.config().pad_token_id)?;
        let encoder = encoder.with_overlong(overlong);
        Ok(Self { source, head, outputs, encoder, reading })
    }

    /// The head: its objective and levels.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The calibration of its thresholds.
    ///
    /// # Errors
    /// The head has no thresholds, or the directory holds no calibration for them.
    pub fn calibration(&self) -> Result<ModelCalibration> {
        let path = self.path();
        if !self.head.objective.has_thresholds() {
            let problem = format!("is trained with {}, which has no thresholds", self.head.objective);
            return Err(Error::input(path.display().to_string(), problem, "score without `.calibrated`"));
        }
        ModelCalibration::read(&self.source, self.head.levels as usize - 1)
    }

    /// The model's path.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// A hash of everything that decides a score, except for the template and the maximum length.
    ///
    /// # Errors
    /// The files cannot be read.
    pub fn fingerprint(&self) -> Result<u128> {
        self.source.fingerprint()
    }
}

/// The error about a model without a score head, with the tensors that may be one.
pub(super) fn no_head(source: &Checkpoint) -> Error {
    let at = source.path().display().to_string();
    let others: Vec<&str> = source.unread(false).filter(|name| *name != "lm_head.weight").collect();
    if others.is_empty() {
        return Error::input(at, format!("has no {HEAD}: it is not a reward model"), "train one with `wgr train`");
    }
    let problem = format!("has no {HEAD}, but {}", others.join(", "));
    let hint = "a linear layer on the last token's final state can be used if renamed to score.weight, and its bias \
        to score.bias";
    Error::input(at, problem, hint)
}
