//! Policies on disk: Hugging Face directories of causal models, and checkpoints to resume from.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::read_if_there;
use crate::gpu::Gpu;
use crate::model::Checkpoint;
use crate::model::causal::Causal;
use crate::model::lora::LoraConfig;
use crate::model::weights::Dtype;
use crate::objective::PreferenceLoss;
use crate::train::saving::{save_adapter, write_parameters};
use crate::{Error, Result};

use super::loss::LossConfig;

/// The file in which a checkpoint records its run's loss function.
const AIM: &str = "dpo.json";

/// Writes a policy as a Hugging Face directory, or its adapters as PEFT's, complete or not at all. `files` are more files
/// for it.
///
/// # Errors
/// The device or the disk fails.
pub(super) async fn save_policy(
    gpu: &Gpu,
    causal: &Causal,
    lora: Option<&LoraConfig>,
    source: &Checkpoint,
    directory: &Path,
    mut files: Vec<(String, Vec<u8>)>,
) -> Result<()> {
    files.extend(source.travelling_files()?);
    if let Some(lora) = lora {
        return save_adapter(gpu, &causal.trained().collect::<Vec<_>>(), lora, source, directory, files).await;
    }
    let mut config = source.config().to_json(Dtype::F32);
    config["architectures"] = vec![format!("{}ForCausalLM", source.config().family.class_prefix())].into();
    write_parameters(gpu, directory, &config, &files, &causal.parameters().collect::<Vec<_>>()).await
}

/// The loss function of a run; a resumed run must have the same one, because a checkpoint's moments mean nothing for
/// another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Aim {
    loss: PreferenceLoss,
    beta: f64,
    label_smoothing: f64,
    sft_weight: f64,
    simpo_gamma: f64,
}

impl Aim {
    /// The loss function of these settings.
    pub(super) fn of(config: &LossConfig) -> Self {
        let LossConfig { kind, beta, label_smoothing, sft_weight, .. } = *config;
        Self { loss: kind, beta, label_smoothing, sft_weight, simpo_gamma: config.gamma() }
    }

    /// It as a file of a checkpoint.
    pub(super) fn file(&self) -> (String, Vec<u8>) {
        (AIM.to_owned(), serde_json::to_vec_pretty(self).expect("numbers and a name serialize"))
    }

    /// Checks that a checkpoint is after the same.
    ///
    /// # Errors
    /// The setting that differs, by its name; the file is missing or damaged.
    pub(super) fn check(&self, checkpoint: &Path) -> Result<()> {
        let path = checkpoint.join(AIM);
        let at = path.display().to_string();
        let bytes = read_if_there(&path)?
            .ok_or_else(|| Error::input(&at, "is missing: the checkpoint is not one of `wgr dpo`", ""))?;
        let had: Self = serde_json::from_slice(&bytes)
            .map_err(|e| Error::input(&at, e.to_string(), "remove this checkpoint to resume from an earlier one"))?;
        let refuse = |setting: &str, now: String, had: String| match now == had {
            true => Ok(()),
            false => {
                let problem = format!("the checkpoint {} was trained with {had}", checkpoint.display());
                let hint = "resume with the same, or start a new run in another `.output`";
                Err(Error::input(format!("{setting} {now}"), problem, hint))
            }
        };
        refuse("`.loss`", self.loss.to_string(), had.loss.to_string())?;
        for (setting, now, had) in [
            ("`.beta`", self.beta, had.beta),
            ("`.label_smoothing`", self.label_smoothing, had.label_smoothing),
            ("`.sft_weight`", self.sft_weight, had.sft_weight),
            ("`.simpo_gamma`", self.simpo_gamma, had.simpo_gamma),
        ] {
            refuse(setting, now.to_string(), had.to_string())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_with_what_it_was_after() {
        let folder = tempfile::tempdir().unwrap();
        let config = LossConfig { beta: 0.3, ..LossConfig::default() };
        assert!(Aim::of(&config).check(folder.path()).unwrap_err().to_string().contains("dpo.json"));
        let (name, bytes) = Aim::of(&config).file();
        std::fs::write(folder.path().join(name), bytes).unwrap();
        Aim::of(&config).check(folder.path()).unwrap();
        for (setting, other) in [
            ("`.beta` 0.1", LossConfig::default()),
            ("`.loss` ipo", LossConfig { kind: PreferenceLoss::Ipo, ..config }),
            ("`.sft_weight` 1", LossConfig { sft_weight: 1.0, ..config }),
        ] {
            let error = Aim::of(&other).check(folder.path()).unwrap_err();
            assert!(error.to_string().starts_with(setting) && error.exit_code() == 2, "{error}");
        }
    }
}
