//! Losses over pairs of completions, and the numbers they are given.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::gpu::Recorder;
use crate::kernels::preference::{self as kernels, Pairs, Weights};
use crate::{Error, Result};

/// What a policy is trained to do with a pair. Log-probabilities are summed over the tokens of a completion; c and r are
/// those of the chosen and of the rejected one less the reference's, δ = c − r, and l their means over tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreferenceLoss {
    /// DPO: −log σ(βδ).
    #[default]
    Sigmoid,
    /// DPO that expects a share ε of pairs to be the wrong way round.
    Cdpo,
    /// DPO whose expectation under such pairs is that without them.
    Robust,
    /// max(0, 1 − βδ).
    Hinge,
    /// (c/n_w − r/n_l − 1/(2β))².
    Ipo,
    /// −log σ(β(l_w − l_l) − γ), without a reference.
    Simpo,
    /// −l_w − β log σ(log-odds), without a reference.
    Orpo,
    /// 1 − σ(βc) + σ(βr).
    ApoZero,
    /// −log σ(βc) − ½ log σ(−βc) − ½ log σ(−βr).
    NcaPair,
}

impl PreferenceLoss {
    /// Every loss.
    pub const ALL: [Self; 9] = [
        Self::Sigmoid,
        Self::Cdpo,
        Self::Robust,
        Self::Hinge,
        Self::Ipo,
        Self::Simpo,
        Self::Orpo,
        Self::ApoZero,
        Self::NcaPair,
    ];

    /// The name in flags, configs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sigmoid => "sigmoid",
            Self::Cdpo => "cdpo",
            Self::Robust => "robust",
            Self::Hinge => "hinge",
            Self::Ipo => "ipo",
            Self::Simpo => "simpo",
            Self::Orpo => "orpo",
            Self::ApoZero => "apo_zero",
            Self::NcaPair => "nca_pair",
        }
    }

    /// Whether the loss depends on the reference; the others need none.
    pub fn needs_reference(self) -> bool {
        !matches!(self, Self::Simpo | Self::Orpo)
    }

    /// Records the loss of a micro-batch and its gradients.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn record(self, recorder: &mut Recorder, pairs: &Pairs, weights: Weights) -> Result<()> {
        let kernel = match self {
            Self::Sigmoid => kernels::sigmoid,
            Self::Cdpo => kernels::cdpo,
            Self::Robust => kernels::robust,
            Self::Hinge => kernels::hinge,
            Self::Ipo => kernels::ipo,
            Self::Simpo => kernels::simpo,
            Self::Orpo => kernels::orpo,
            Self::ApoZero => kernels::apo_zero,
            Self::NcaPair => kernels::nca_pair,
        };
        kernel(recorder, pairs, weights)
    }
}

impl fmt::Display for PreferenceLoss {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PreferenceLoss {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|loss| loss.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::input("`.loss`", format!("there is no loss function \"{name}\""), format!("one of {known}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_a_wrong_one_lists_them() {
        for loss in PreferenceLoss::ALL {
            assert_eq!(loss.to_string().parse::<PreferenceLoss>().unwrap(), loss);
            assert_eq!(serde_json::to_string(&loss).unwrap(), format!("\"{loss}\""));
        }
        let error = "dpo".parse::<PreferenceLoss>().unwrap_err().to_string();
        assert!(error.contains("\"dpo\"") && error.contains("apo_zero"), "{error}");
    }
}
