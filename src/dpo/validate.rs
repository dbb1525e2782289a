//! Validation of settings, before anything is read or allocated.

use std::path::Path;

use crate::model::lora::Lora;
use crate::objective::PreferenceLoss;
use crate::train::output::check_apart;
use crate::train::validate::{check, given, is_weight, learning_rate};
use crate::{Error, Result};

use super::config::DpoConfig;

impl DpoConfig {
    /// Checks every value that can be wrong on its own.
    ///
    /// # Errors
    /// The first setting that no run can have, named as its flag.
    pub fn validate(&self) -> Result<()> {
        given("--policy", !self.policy.is_empty())?;
        given("--data", !self.data.is_empty())?;
        self.validate_loss()?;
        if let Some(reference) = &self.reference {
            check_apart(&self.trainer.output, Path::new(reference), reference)?;
        }
        self.adapters()?;
        self.trainer.validate()
    }

    /// The adapters to train; `None` where all weights are trained.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub(super) fn adapters(&self) -> Result<Option<Lora>> {
        let lora = self.lora.resolve()?;
        if self.lora.lora_dropout != 0.0 {
            let problem = "would make the policy differ from itself as the reference model";
            return Err(Error::input("--lora-dropout", problem, "leave it out; it is for `wgr train`"));
        }
        Ok(lora)
    }

    /// Checks what is minimised, and at which rate.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub(super) fn validate_loss(&self) -> Result<()> {
        check(
            "--beta",
            (self.beta as f32).is_finite() && self.beta as f32 > 0.0,
            self.beta,
            "use a number above 0, such as 0.1",
        )?;
        let is_share = (0.0..0.5).contains(&self.label_smoothing);
        check("--label-smoothing", is_share, self.label_smoothing, "use a number from 0 to below 0.5")?;
        check(
            "--sft-weight",
            is_weight(self.sft_weight),
            self.sft_weight,
            "use 0 to turn it off, or a number above 0",
        )?;
        check("--simpo-gamma", is_weight(self.gamma()), self.gamma(), "use 0 or a number above 0")?;
        learning_rate(self.lr)?;
        self.refuse_what_the_loss_ignores()
    }

    /// A setting that the loss does not read was given for a reason, which the run would not serve.
    fn refuse_what_the_loss_ignores(&self) -> Result<()> {
        let smooths = [PreferenceLoss::Cdpo, PreferenceLoss::Robust].contains(&self.loss);
        if self.label_smoothing != 0.0 && !smooths {
            let problem = format!("is not used by --loss {}", self.loss);
            return Err(Error::input("--label-smoothing", problem, "use --loss cdpo or robust, or leave it out"));
        }
        if self.simpo_gamma.is_some() && self.loss != PreferenceLoss::Simpo {
            let problem = format!("is not used by --loss {}", self.loss);
            return Err(Error::input("--simpo-gamma", problem, "use --loss simpo, or leave it out"));
        }
        let references =
            [("--reference", self.reference.is_some()), ("--reference-cache", self.reference_cache.is_some())];
        for (flag, is_given) in references {
            if is_given && !self.loss.needs_reference() {
                return Err(Error::input(flag, format!("is not used by --loss {}", self.loss), "leave it out"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::TrainerConfig;

    fn whole() -> DpoConfig {
        let trainer = TrainerConfig { output: "o".into(), ..TrainerConfig::default() };
        DpoConfig { policy: "m".into(), data: vec!["d".into()], trainer, ..DpoConfig::default() }
    }

    #[test]
    fn the_defaults_can_run() {
        whole().validate().unwrap();
    }

    #[test]
    fn each_impossible_value_is_refused_by_its_flag() {
        type Spoil = fn(&mut DpoConfig);
        let cases: &[(&str, Spoil)] = &[
            ("--policy", |c| c.policy.clear()),
            ("--data", |c| c.data.clear()),
            ("--output", |c| c.trainer.output = "".into()),
            ("--beta", |c| c.beta = 0.0),
            ("--beta", |c| c.beta = f64::NAN),
            ("--beta", |c| c.beta = 1e39),
            ("--beta", |c| c.beta = 1e-50),
            ("--label-smoothing", |c| (c.loss, c.label_smoothing) = (PreferenceLoss::Robust, 0.5)),
            ("--label-smoothing", |c| (c.loss, c.label_smoothing) = (PreferenceLoss::Cdpo, -0.1)),
            ("--label-smoothing", |c| c.label_smoothing = 0.1),
            ("--sft-weight", |c| c.sft_weight = f64::INFINITY),
            ("--simpo-gamma", |c| (c.loss, c.simpo_gamma) = (PreferenceLoss::Simpo, Some(-1.0))),
            ("--simpo-gamma", |c| c.simpo_gamma = Some(0.5)),
            ("--lr", |c| c.lr = 0.0),
            ("--reference", |c| (c.loss, c.reference) = (PreferenceLoss::Simpo, Some("m".into()))),
            ("--reference-cache", |c| (c.loss, c.reference_cache) = (PreferenceLoss::Orpo, Some("c".into()))),
            ("--lora-rank", |c| c.lora.lora_rank = Some(0)),
            ("--lora-dropout", |c| (c.lora.lora_rank, c.lora.lora_dropout) = (Some(4), 0.1)),
            ("--epochs", |c| c.trainer.epochs = 0),
        ];
        for (flag, spoil) in cases {
            let mut config = whole();
            spoil(&mut config);
            let error = config.validate().expect_err(flag);
            assert!(error.to_string().starts_with(&format!("{flag}: ")), "{flag}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn settings_survive_a_file_and_unknown_ones_are_refused() {
        let mut config = whole();
        config.loss = PreferenceLoss::ApoZero;
        config.trainer.max_steps = Some(3);
        let text = toml::to_string(&config).unwrap();
        assert!(text.contains("loss = \"apo_zero\"") && text.contains("max-steps = 3"), "{text}");
        assert_eq!(toml::from_str::<DpoConfig>(&text).unwrap(), config);
        assert_eq!(toml::from_str::<DpoConfig>("").unwrap(), DpoConfig::default());
        let error = toml::from_str::<DpoConfig>("batch-sise = 3").unwrap_err().to_string();
        assert!(error.contains("batch-sise"), "{error}");
    }
}
