//! Validation of settings, before anything is read or allocated.

use std::path::Path;

use crate::model::lora::{Lora, LoraSettings};
use crate::train::output::check_apart;
use crate::train::validate::{given, learning_rate};
use crate::{Error, Result};

use super::config::DpoConfig;

/// Why policies cannot train in f16.
pub(super) const BARS_F16: &str = "the losses of policies are not scaled";

impl DpoConfig {
    /// Checks every value that can be wrong on its own.
    ///
    /// # Errors
    /// The first setting that no run can have, by its name.
    pub fn validate(&self) -> Result<()> {
        given("policy", !self.policy.model.is_empty())?;
        given("data", !self.data.is_empty())?;
        self.loss.validate()?;
        learning_rate(self.policy.lr)?;
        self.loss.check_reference("`.reference`", self.policy.reference.is_some())?;
        self.loss.check_reference("`.reference_cache`", self.reference_cache.is_some())?;
        if let Some(reference) = &self.policy.reference {
            check_apart(&self.trainer.output, Path::new(reference), reference)?;
        }
        adapters(&self.lora)?;
        self.trainer.precision.check(Some(BARS_F16))?;
        self.trainer.validate()
    }
}

/// The adapters to train; `None` where all weights are trained.
///
/// # Errors
/// The first setting that no run can have, by its name.
pub(super) fn adapters(settings: &LoraSettings) -> Result<Option<Lora>> {
    let lora = settings.resolve()?;
    if settings.lora_dropout != 0.0 {
        let problem = "would make the policy differ from itself as the reference model";
        return Err(Error::input("`.lora_dropout`", problem, "leave it out; it is for `wgr train`"));
    }
    Ok(lora)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dpo::PolicyConfig;
    use crate::objective::PreferenceLoss;
    use crate::train::{Precision, TrainerConfig};

    fn whole() -> DpoConfig {
        let trainer = TrainerConfig { output: "o".into(), ..TrainerConfig::default() };
        DpoConfig {
            policy: PolicyConfig { model: "m".into(), ..PolicyConfig::default() },
            data: vec!["d".into()],
            trainer,
            ..DpoConfig::default()
        }
    }

    #[test]
    fn the_defaults_can_run() {
        whole().validate().unwrap();
    }

    #[test]
    fn each_impossible_value_is_refused_by_its_name() {
        type Spoil = fn(&mut DpoConfig);
        let cases: &[(&str, Spoil)] = &[
            ("`.policy`", |c| c.policy.model.clear()),
            ("`.data`", |c| c.data.clear()),
            ("`.output`", |c| c.trainer.output = "".into()),
            ("`.beta`", |c| c.loss.beta = 0.0),
            ("`.beta`", |c| c.loss.beta = f64::NAN),
            ("`.beta`", |c| c.loss.beta = 1e39),
            ("`.beta`", |c| c.loss.beta = 1e-50),
            ("`.label_smoothing`", |c| (c.loss.kind, c.loss.label_smoothing) = (PreferenceLoss::Robust, 0.5)),
            ("`.label_smoothing`", |c| (c.loss.kind, c.loss.label_smoothing) = (PreferenceLoss::Cdpo, -0.1)),
            ("`.label_smoothing`", |c| c.loss.label_smoothing = 0.1),
            ("`.sft_weight`", |c| c.loss.sft_weight = f64::INFINITY),
            ("`.simpo_gamma`", |c| (c.loss.kind, c.loss.simpo_gamma) = (PreferenceLoss::Simpo, Some(-1.0))),
            ("`.simpo_gamma`", |c| c.loss.simpo_gamma = Some(0.5)),
            ("`.lr`", |c| c.policy.lr = 0.0),
            ("`.reference`", |c| (c.loss.kind, c.policy.reference) = (PreferenceLoss::Simpo, Some("m".into()))),
            ("`.reference_cache`", |c| (c.loss.kind, c.reference_cache) = (PreferenceLoss::Orpo, Some("c".into()))),
            ("`.lora_rank`", |c| c.lora.lora_rank = Some(0)),
            ("`.lora_dropout`", |c| (c.lora.lora_rank, c.lora.lora_dropout) = (Some(4), 0.1)),
            ("`.precision` mixed-f16", |c| c.trainer.precision = Precision::MixedF16),
            ("`.epochs`", |c| c.trainer.epochs = 0),
        ];
        for (setting, spoil) in cases {
            let mut config = whole();
            spoil(&mut config);
            let error = config.validate().expect_err(setting);
            assert!(error.to_string().starts_with(&format!("{setting}: ")), "{setting}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn settings_survive_a_file_and_unknown_ones_are_refused() {
        let mut config = whole();
        config.loss.kind = PreferenceLoss::ApoZero;
        config.trainer.max_steps = Some(3);
        let text = toml::to_string(&config).unwrap();
        assert!(text.contains("loss = \"apo_zero\"") && text.contains("max-steps = 3"), "{text}");
        assert_eq!(toml::from_str::<DpoConfig>(&text).unwrap(), config);
        assert_eq!(toml::from_str::<DpoConfig>("").unwrap(), DpoConfig::default());
        for unknown in ["batch-sise", "bta"] {
            let error = toml::from_str::<DpoConfig>(&format!("{unknown} = 3")).unwrap_err().to_string();
            assert!(error.contains(unknown), "{error}");
        }
    }
}
