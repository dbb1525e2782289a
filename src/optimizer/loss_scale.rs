//! Dynamic loss scaling (Micikevicius et al. 2017, arXiv 1710.03740), with the constants of PyTorch's
//! `torch.amp.GradScaler`: gradients in f16 are multiplied up, away from the values that f16 loses, and down again before
//! the update. Factors are powers of two, so that scaling rounds nothing.

use serde::{Deserialize, Serialize};

/// The factor that a run begins with.
const INITIAL: f64 = 65536.0;
/// Updates in a row after which the factor is doubled.
const GROWTH_INTERVAL: u64 = 2000;

/// What the loss is multiplied by, and what that depends on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LossScale {
    /// The factor.
    pub factor: f64,
    /// Updates since it last changed.
    pub good_steps: u64,
}

impl Default for LossScale {
    fn default() -> Self {
        Self { factor: INITIAL, good_steps: 0 }
    }
}

impl LossScale {
    /// Goes on from a step whose gradients were finite or not, and says whether that step was skipped and the next is worth
    /// trying. It is not where they are not finite without scaling.
    pub fn skips(&mut self, finite: bool) -> bool {
        if finite {
            self.good_steps += 1;
            if self.good_steps == GROWTH_INTERVAL {
                *self = Self { factor: self.factor * 2.0, good_steps: 0 };
            }
            return false;
        }
        if self.factor <= 1.0 {
            return false;
        }
        *self = Self { factor: self.factor / 2.0, good_steps: 0 };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_at_once_and_doubles_after_many_updates() {
        let mut scale = LossScale::default();
        assert!(!scale.skips(true) && scale.skips(false));
        assert_eq!(scale, LossScale { factor: 32768.0, good_steps: 0 });
        assert!((0..1999).all(|_| !scale.skips(true)));
        assert_eq!((scale.factor, scale.good_steps), (32768.0, 1999));
        scale.skips(true);
        assert_eq!(scale, LossScale { factor: 65536.0, good_steps: 0 });
    }

    #[test]
    fn what_is_not_finite_without_scaling_is_not_tried_again() {
        let mut scale = LossScale::default();
        let tries = std::iter::repeat_with(|| scale.skips(false)).take_while(|skipped| *skipped).count();
        assert_eq!((tries, scale.factor), (16, 1.0));
    }
}
