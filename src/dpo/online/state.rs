//! The progress of a run: everything that a resumed run needs besides weights and moments.
//!
//! The order of prompts and the seed of every completion are functions of the run's seed and the step, so there is no
//! random generator state to keep.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::pairing::Skipped;
use crate::train::saving;
use crate::{Error, Result};

/// Its file in a checkpoint.
const STATE: &str = "online.json";

/// Counts since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Steps taken, those without a pair included.
    pub step: u64,
    /// Updates of the weights.
    pub updates: u64,
    /// Tokens of all pairs that were learned from.
    pub tokens: u64,
    /// Pairs that were learned from.
    pub pairs: u64,
    /// Prompts that made no pair.
    pub skipped: Skipped,
    /// Steps that the run was planned to take, on which its learning rates depend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_steps: Option<u64>,
}

impl Progress {
    /// What every trainer counts.
    pub(super) fn common(self) -> saving::Progress {
        let Self { step, tokens, planned_steps, .. } = self;
        saving::Progress { step, tokens, planned_steps, ..saving::Progress::default() }
    }

    /// The same, with what every trainer counts as it is now.
    pub(super) fn at(self, common: saving::Progress) -> Self {
        let saving::Progress { step, tokens, planned_steps, .. } = common;
        Self { step, tokens, planned_steps, ..self }
    }

    /// It as a file of a checkpoint.
    pub(super) fn file(&self) -> (String, Vec<u8>) {
        (STATE.to_owned(), serde_json::to_vec_pretty(self).expect("numbers serialize"))
    }

    /// Reads that of a checkpoint.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub(super) fn read(checkpoint: &Path) -> Result<Self> {
        let path = checkpoint.join(STATE);
        let at = path.display().to_string();
        let bytes = crate::files::read_if_there(&path)?.ok_or_else(|| {
            Error::input(
                &at,
                "is missing: the checkpoint is not one of online DPO",
                "resume with the settings of the run",
            )
        })?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::input(&at, e.to_string(), "remove this checkpoint to resume from an earlier one"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_kept_and_its_absence_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = Progress::read(folder.path()).unwrap_err();
        assert!(error.to_string().contains("not one of online DPO") && error.exit_code() == 2, "{error}");
        let skipped = Skipped { ties: 1, small_margins: 2, identical: 3 };
        let progress = Progress { step: 7, updates: 5, tokens: 900, pairs: 20, skipped, planned_steps: Some(9) };
        let (name, bytes) = progress.file();
        std::fs::write(folder.path().join(name), bytes).unwrap();
        assert_eq!(Progress::read(folder.path()).unwrap(), progress);
    }
}
