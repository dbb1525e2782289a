//! Warnings while they still help: signs that a run learns nothing, or the wrong thing.

use std::collections::VecDeque;

use super::loss::LossConfig;
use super::measures::Measures;
use crate::objective::PreferenceLoss;

/// Steps that a sign must last; one step says little.
const WINDOW: usize = 20;
/// A loss this near to its start has not moved.
const STUCK: f64 = 1e-4;
/// A mean fall of the chosen completions that is worth a word, in nats.
const FALL: f64 = 1.0;

/// Watches the steps of a run; every warning is given once.
#[derive(Debug)]
pub(super) struct Warnings {
    loss: PreferenceLoss,
    beta: f64,
    /// The loss where policy and reference agree.
    start: Option<f64>,
    steps: VecDeque<(f64, Measures)>,
    /// Log-probability of the chosen completions in the first steps.
    first: Option<f64>,
    is_stuck: bool,
    is_falling: bool,
}

impl Warnings {
    /// A watch over a run with this loss.
    pub(super) fn new(config: &LossConfig) -> Self {
        Self {
            loss: config.kind,
            beta: config.beta,
            // The likelihood term moves a loss whatever the pairs say.
            start: initial_loss(config.kind, config.beta).filter(|_| config.sft_weight == 0.0),
            steps: VecDeque::new(),
            first: None,
            is_stuck: false,
            is_falling: false,
        }
    }

    /// Takes in a step and says what there is to say.
    pub(super) fn step(&mut self, loss: f64, measures: Measures) -> Vec<String> {
        self.steps.push_back((loss, measures));
        if self.steps.len() < WINDOW {
            return vec![];
        }
        if self.steps.len() > WINDOW {
            self.steps.pop_front();
        }
        let mean = |value: fn(&Measures) -> f64| {
            self.steps.iter().map(|(_, measures)| value(measures)).sum::<f64>() / WINDOW as f64
        };
        let log_prob = mean(|measures| measures.chosen_log_prob);
        let first = *self.first.get_or_insert(log_prob);
        let mut told = vec![];
        if let Some(start) = self.start
            && !self.is_stuck
            && self.steps.iter().all(|(loss, _)| (loss - start).abs() < STUCK)
        {
            self.is_stuck = true;
            told.push(format!(
                "warning: the loss has stayed at {start:.4}{} for {WINDOW} steps, where policy and reference model \
                 agree: nothing is learned; a higher `.lr` or `.beta` may help",
                if start == 2f64.ln() { " (ln 2)" } else { "" }
            ));
        }
        // How much less likely the chosen completions have become.
        let fall = match self.loss.needs_reference() {
            true => -mean(|measures| measures.chosen_reward) / self.beta,
            false => first - log_prob,
        };
        if fall > FALL && !self.is_falling {
            self.is_falling = true;
            told.push(format!(
                "warning: chosen completions have become less likely, by {fall:.1} nats over the last {WINDOW} steps: margins \
                 grow because rejected ones fall faster; `.sft_weight` or a lower `.lr` counters this"
            ));
        }
        told
    }
}

/// The loss of a policy that is its reference; `None` where that says nothing.
pub(super) fn initial_loss(loss: PreferenceLoss, beta: f64) -> Option<f64> {
    match loss {
        PreferenceLoss::Sigmoid | PreferenceLoss::Cdpo | PreferenceLoss::Robust => Some(2f64.ln()),
        PreferenceLoss::Hinge | PreferenceLoss::ApoZero => Some(1.0),
        PreferenceLoss::Ipo => Some(1.0 / (4.0 * beta * beta)),
        PreferenceLoss::NcaPair => Some(2.0 * 2f64.ln()),
        PreferenceLoss::Simpo | PreferenceLoss::Orpo => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(config: LossConfig, steps: impl Iterator<Item = (f64, Measures)>) -> Vec<String> {
        let mut warnings = Warnings::new(&config);
        steps.flat_map(|(loss, measures)| warnings.step(loss, measures)).collect()
    }

    #[test]
    fn a_loss_that_stays_where_it_began_is_told_once() {
        let ln2 = 2f64.ln();
        let stuck = |steps: usize| std::iter::repeat_n((ln2 + 5e-5, Measures::default()), steps);
        assert!(told(LossConfig::default(), stuck(WINDOW - 1)).is_empty());
        let said = told(LossConfig::default(), stuck(100));
        assert!(said.len() == 1 && said[0].contains("ln 2") && said[0].contains("`.lr`"), "{said:?}");
        let moves = (0..100).map(|step| (ln2 - 0.001 * f64::from(step % 2), Measures::default()));
        assert!(told(LossConfig::default(), moves).is_empty());
        let without_reference = LossConfig { kind: PreferenceLoss::Simpo, ..LossConfig::default() };
        assert!(told(without_reference, stuck(100)).is_empty());
    }

    #[test]
    fn chosen_completions_that_fall_are_told_once() {
        let falling = |step: u32| {
            let fall = f64::from(step) / 10.0;
            let measures =
                Measures { chosen_reward: -0.1 * fall, chosen_log_prob: -50.0 - fall, ..Measures::default() };
            (0.5, measures)
        };
        for loss in [PreferenceLoss::Sigmoid, PreferenceLoss::Orpo] {
            let config = LossConfig { kind: loss, ..LossConfig::default() };
            let said = told(config, (0..100).map(falling));
            assert!(said.len() == 1 && said[0].contains("less likely"), "{loss}: {said:?}");
            let rising = (0..100).map(|step| {
                let (loss, Measures { chosen_reward, chosen_log_prob, .. }) = falling(step);
                (
                    loss,
                    Measures {
                        chosen_reward: -chosen_reward,
                        chosen_log_prob: -100.0 - chosen_log_prob,
                        ..Measures::default()
                    },
                )
            });
            assert!(told(config, rising).is_empty(), "{loss}");
        }
    }
}
