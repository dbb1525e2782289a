//! Learning rates with warm-up, the same numbers as the schedulers of Hugging Face `transformers`.

use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The course of the learning rate after warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Straight down to zero.
    #[default]
    Linear,
    /// Down to zero along half a cosine.
    Cosine,
    /// Stays at its peak.
    Constant,
}

impl Schedule {
    /// Every schedule.
    pub const ALL: [Self; 3] = [Self::Linear, Self::Cosine, Self::Constant];

    /// The name in flags and configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::Constant => "constant",
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|schedule| schedule.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::input("`.schedule`", format!("there is no schedule \"{name}\""), format!("one of {known}"))
        })
    }
}

/// The learning rate of every step of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRate {
    schedule: Schedule,
    peak: f64,
    warmup_ratio: f64,
    warmup_steps: usize,
    total_steps: usize,
}

impl LearningRate {
    /// Rises linearly from zero to `peak` over the first `warmup_ratio` of the steps, rounded up, then follows the
    /// schedule to the end of the run.
    pub fn new(schedule: Schedule, peak: f64, warmup_ratio: f64, total_steps: usize) -> Self {
        let warmup_steps = (warmup_ratio * total_steps as f64).ceil() as usize;
        Self { schedule, peak, warmup_ratio, warmup_steps, total_steps }
    }

    /// The learning rate of optimizer step `step`, counted from 0.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return self.peak * step as f64 / self.warmup_steps as f64;
        }
        let rest = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let progress = ((step - self.warmup_steps) as f64 / rest).min(1.0);
        self.peak
            * match self.schedule {
                Schedule::Linear => 1.0 - progress,
                Schedule::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
                Schedule::Constant => 1.0,
            }
    }
}

impl LearningRate {
    /// Checks that a run of `planned` steps, of which `taken` are done, may continue as this one: those steps have the
    /// same learning rates in both.
    ///
    /// # Errors
    /// They have not, as the schedule depends on the number of steps.
    pub fn check_extends(&self, planned: u64, taken: u64) -> Result<()> {
        let before = Self::new(self.schedule, self.peak, self.warmup_ratio, planned as usize);
        if (0..taken as usize).all(|step| before.at(step) == self.at(step)) {
            return Ok(());
        }
        let problem = format!(
            "the first {taken} steps belong to a run of {planned}, and the {} schedule with its warm-up gives them \
             other learning rates in a run of {}",
            self.schedule, self.total_steps
        );
        let hint = "runs that will be extended need `.schedule` constant from the start; or start a new run from the \
            trained model";
        Err(Error::input("`.resume`", problem, hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers are those of `transformers.get_scheduler` for a peak of 0.001.
    #[test]
    fn learning_rates_are_those_of_transformers() {
        let cases: [(Schedule, f64, &[f64]); 5] = [
            (
                Schedule::Linear,
                0.3,
                &[
                    0.0,
                    3.333333e-4,
                    6.666667e-4,
                    1e-3,
                    8.571429e-4,
                    7.142857e-4,
                    5.714286e-4,
                    4.285714e-4,
                    2.857143e-4,
                    1.428571e-4,
                ],
            ),
            (
                Schedule::Cosine,
                0.25,
                &[
                    0.0,
                    3.333333e-4,
                    6.666667e-4,
                    1e-3,
                    9.504844e-4,
                    8.117449e-4,
                    6.112605e-4,
                    3.887395e-4,
                    1.882551e-4,
                    4.951557e-5,
                ],
            ),
            (Schedule::Constant, 0.25, &[0.0, 3.333333e-4, 6.666667e-4, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3]),
            (
                Schedule::Linear,
                0.0,
                &[1e-3, 8.571429e-4, 7.142857e-4, 5.714286e-4, 4.285714e-4, 2.857143e-4, 1.428571e-4],
            ),
            (Schedule::Cosine, 0.1, &[0.0, 1e-3, 5e-4]),
        ];
        for (schedule, ratio, expected) in cases {
            let rate = LearningRate::new(schedule, 1e-3, ratio, expected.len());
            for (step, expected) in expected.iter().enumerate() {
                assert!((rate.at(step) - expected).abs() < 1e-9, "{schedule} {step}: {} not {expected}", rate.at(step));
            }
        }
    }

    #[test]
    fn a_run_that_is_all_warm_up_or_overruns_stays_in_range() {
        let rate = LearningRate::new(Schedule::Linear, 1.0, 1.0, 4);
        assert_eq!([0, 3, 4, 9].map(|step| rate.at(step)), [0.0, 0.75, 1.0, 0.0]);
        assert_eq!(LearningRate::new(Schedule::Cosine, 1.0, 0.5, 0).at(0), 1.0);
    }

    #[test]
    fn names_go_both_ways() {
        for schedule in Schedule::ALL {
            assert_eq!(schedule.to_string().parse::<Schedule>().unwrap(), schedule);
        }
        assert!("step".parse::<Schedule>().unwrap_err().to_string().contains("cosine"));
    }

    #[test]
    fn a_run_is_extended_only_where_its_steps_keep_their_rates() {
        let rate = |schedule, warmup, steps| LearningRate::new(schedule, 1e-3, warmup, steps);
        rate(Schedule::Constant, 0.05, 4).check_extends(2, 2).unwrap();
        rate(Schedule::Linear, 0.0, 4).check_extends(4, 3).unwrap();
        // The first step of a linear schedule has the peak rate, whatever its length.
        rate(Schedule::Linear, 0.0, 4).check_extends(2, 1).unwrap();
        for (schedule, warmup) in [(Schedule::Linear, 0.0), (Schedule::Cosine, 0.0), (Schedule::Constant, 0.5)] {
            let error = rate(schedule, warmup, 40).check_extends(20, 20).unwrap_err();
            assert!(error.to_string().contains("`.schedule` constant") && error.exit_code() == 2, "{error}");
        }
    }
}
