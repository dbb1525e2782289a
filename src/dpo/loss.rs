//! The loss function of DPO, offline and online, and the numbers that it reads.

use serde::{Deserialize, Serialize};

use crate::kernels::preference::Weights;
use crate::objective::PreferenceLoss;
use crate::train::validate::{check, is_weight};
use crate::{Error, Result};

/// The margin that `simpo` asks for where none is named: that of TRL.
const SIMPO_GAMMA: f64 = 0.5;

/// Settings of the loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct LossConfig {
    /// The loss function.
    #[serde(rename = "loss")]
    pub kind: PreferenceLoss,
    /// Factor of the log-probability ratios; a larger one stays closer to the reference model.
    pub beta: f64,
    /// Share of pairs that are thought to be the wrong way round, for `cdpo` and `robust`.
    pub label_smoothing: f64,
    /// Weight of the token-mean negative log-likelihood of the chosen completion.
    pub sft_weight: f64,
    /// The margin that `simpo` asks for, 0.5 when absent; no other loss has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simpo_gamma: Option<f64>,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self { kind: PreferenceLoss::Sigmoid, beta: 0.1, label_smoothing: 0.0, sft_weight: 0.0, simpo_gamma: None }
    }
}

impl LossConfig {
    /// The margin that `simpo` asks for.
    pub fn gamma(&self) -> f64 {
        self.simpo_gamma.unwrap_or(SIMPO_GAMMA)
    }

    /// The numbers that the loss is given.
    pub fn weights(&self) -> Weights {
        Weights {
            beta: self.beta as f32,
            label_smoothing: self.label_smoothing as f32,
            gamma: self.gamma() as f32,
            sft_weight: self.sft_weight as f32,
        }
    }

    /// Checks every value, and that the loss reads it: one that it does not read was given for a reason, which the run
    /// would not serve.
    ///
    /// # Errors
    /// The first setting that no run can have, by its name.
    pub(super) fn validate(&self) -> Result<()> {
        check(
            "`.beta`",
            (self.beta as f32).is_finite() && self.beta as f32 > 0.0,
            self.beta,
            "use a number above 0, such as 0.1",
        )?;
        let is_share = (0.0..0.5).contains(&self.label_smoothing);
        check("`.label_smoothing`", is_share, self.label_smoothing, "use a number from 0 to below 0.5")?;
        check(
            "`.sft_weight`",
            is_weight(self.sft_weight),
            self.sft_weight,
            "use 0 to turn it off, or a number above 0",
        )?;
        check("`.simpo_gamma`", is_weight(self.gamma()), self.gamma(), "use 0 or a number above 0")?;
        let smooths = [PreferenceLoss::Cdpo, PreferenceLoss::Robust].contains(&self.kind);
        if self.label_smoothing != 0.0 && !smooths {
            return self.ignores("`.label_smoothing`", "use `.loss` cdpo or robust, or leave it out");
        }
        if self.simpo_gamma.is_some() && self.kind != PreferenceLoss::Simpo {
            return self.ignores("`.simpo_gamma`", "use `.loss` simpo, or leave it out");
        }
        Ok(())
    }

    /// Refuses a setting about the reference, where the loss has none.
    ///
    /// # Errors
    /// It was given, by its name.
    pub(super) fn check_reference(&self, setting: &str, is_given: bool) -> Result<()> {
        if is_given && !self.kind.needs_reference() { self.ignores(setting, "leave it out") } else { Ok(()) }
    }

    fn ignores(&self, setting: &str, hint: &str) -> Result<()> {
        Err(Error::input(setting, format!("is not used by `.loss` {}", self.kind), hint))
    }
}
