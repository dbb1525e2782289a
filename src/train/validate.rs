//! Validation of settings, before anything is read or allocated.

use super::{ScoreConfig, TrainConfig, TrainerConfig};
use crate::{Error, Result};

/// More levels than any rating scale has, and few enough for a head of any width.
const MAX_LEVELS: u32 = 256;

impl TrainConfig {
    /// Checks every value that can be wrong on its own.
    ///
    /// # Errors
    /// The first setting that no run can have, by its name.
    pub fn validate(&self) -> Result<()> {
        self.validate_for(!self.data.is_empty(), !self.trainer.eval_data.is_empty())
    }

    /// As [`TrainConfig::validate`], for rows in memory too: whether there are any, and any to evaluate on.
    pub(crate) fn validate_for(&self, trains: bool, evaluates: bool) -> Result<()> {
        given("model", !self.model.is_empty())?;
        given("data", trains)?;
        let levels = 2..=MAX_LEVELS;
        check(
            "`.levels`",
            levels.contains(&self.levels),
            self.levels,
            "use a number from 2 to 256; labels run from 1 to this number",
        )?;
        let rating = self.max_rating;
        check("`.max_rating`", rating.is_finite() && rating > 1.0, rating, "use a number above 1, such as 5")?;
        learning_rate(self.lr)?;
        self.trainer.precision.check(self.trainer.bars_f16(self.lora.resolve()?.is_some()))?;
        self.trainer.validate_for(evaluates)
    }
}

impl TrainerConfig {
    /// Checks every value that can be wrong on its own.
    ///
    /// # Errors
    /// The first setting that no run can have, by its name.
    pub fn validate(&self) -> Result<()> {
        self.validate_for(!self.eval_data.is_empty())
    }

    /// As [`TrainerConfig::validate`], for rows in memory too: whether there are any to evaluate on.
    fn validate_for(&self, evaluates: bool) -> Result<()> {
        given("output", !self.output.as_os_str().is_empty())?;
        check("`.epochs`", self.epochs > 0, self.epochs, "use at least 1")?;
        check("`.batch_size`", self.batch_size > 0, self.batch_size, "use at least 1")?;
        check("`.grad_accum`", self.grad_accum > 0, self.grad_accum, "use at least 1")?;
        check("`.max_length`", self.max_length > 0, self.max_length, "use at least 1")?;
        for (setting, steps) in [
            ("`.max_steps`", self.max_steps),
            ("`.save_every`", self.save_every),
            ("`.eval_every`", self.eval_every),
            ("`.sync_every`", self.sync_every),
        ] {
            check(setting, steps != Some(0), 0, "use at least 1, or leave it out")?;
        }
        if let Some(sync_every) = self.sync_every {
            if self.shard_optimizer {
                let problem = "contradicts `.shard_optimizer`: ranks that take steps of their own need all moments";
                return Err(Error::input("`.sync_every`", problem, "leave one of them out"));
            }
            if let Some(eval_every) = self.eval_every.filter(|every| !every.is_multiple_of(sync_every)) {
                let problem = format!("is no multiple of `.sync_every` {sync_every}, between which ranks differ");
                return Err(Error::input(format!("`.eval_every` {eval_every}"), problem, "evaluate after syncs"));
            }
        }
        let ratio = 0.0..=1.0;
        check("`.warmup_ratio`", ratio.contains(&self.warmup_ratio), self.warmup_ratio, "use a number from 0 to 1")?;
        for (setting, value) in [("`.weight_decay`", self.weight_decay), ("`.max_grad_norm`", self.max_grad_norm)] {
            check(setting, is_weight(value), value, "use 0 to turn it off, or a number above 0")?;
        }
        if self.eval_every.is_some() && !evaluates {
            return Err(Error::input(
                "`.eval_every`",
                "there are no rows to evaluate on",
                "pass them with `.eval_data`",
            ));
        }
        if self.resume && self.force {
            return Err(Error::input(
                "`.resume`",
                "contradicts `.force`",
                "`.resume` continues from the checkpoint in the output, `.force` replaces the output",
            ));
        }
        Ok(())
    }
}

/// Checks a learning rate. Numbers reach the device as f32.
pub(crate) fn learning_rate(lr: f64) -> Result<()> {
    check("`.lr`", (lr as f32).is_finite() && lr > 0.0, lr, "use a number above 0, such as 1e-5")
}

/// Whether a number can stand before a term: 0 switches that off.
pub(crate) fn is_weight(value: f64) -> bool {
    (value as f32).is_finite() && value >= 0.0
}

impl ScoreConfig {
    /// Checks every value that can be wrong on its own.
    ///
    /// # Errors
    /// The first setting that no run can have, by its name.
    pub fn validate(&self) -> Result<()> {
        given("model", !self.model.is_empty())?;
        given("input", !self.input.as_os_str().is_empty())?;
        given("output", !self.output.as_os_str().is_empty())?;
        check("`.batch_size`", self.batch_size > 0, self.batch_size, "use at least 1")?;
        check("`.max_length`", self.max_length > 0, self.max_length, "use at least 1")
    }
}

/// Refuses to run without a setting.
pub(crate) fn given(setting: &'static str, present: bool) -> Result<()> {
    if present { Ok(()) } else { Err(Error::Missing { setting }) }
}

/// Refuses the value of a setting unless something holds.
pub(crate) fn check(setting: &str, holds: bool, value: impl std::fmt::Display, hint: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::input(setting, format!("cannot be {value}"), hint)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Precision;

    fn whole() -> TrainConfig {
        let trainer = TrainerConfig { output: "o".into(), ..TrainerConfig::default() };
        TrainConfig { model: "m".into(), data: vec!["d".into()], trainer, ..TrainConfig::default() }
    }

    #[test]
    fn the_defaults_can_run() {
        whole().validate().unwrap();
    }

    #[test]
    fn each_impossible_value_is_refused_by_its_name() {
        type Spoil = fn(&mut TrainConfig);
        let cases: &[(&str, Spoil)] = &[
            ("`.model`", |c| c.model.clear()),
            ("`.data`", |c| c.data.clear()),
            ("`.output`", |c| c.trainer.output.clear()),
            ("`.levels`", |c| c.levels = 1),
            ("`.levels`", |c| c.levels = u32::MAX),
            ("`.max_rating`", |c| c.max_rating = 1.0),
            ("`.precision` mixed-f16", |c| {
                (c.trainer.precision, c.lora.lora_rank) = (Precision::MixedF16, Some(4));
            }),
            ("`.epochs`", |c| c.trainer.epochs = 0),
            ("`.batch_size`", |c| c.trainer.batch_size = 0),
            ("`.grad_accum`", |c| c.trainer.grad_accum = 0),
            ("`.max_length`", |c| c.trainer.max_length = 0),
            ("`.max_steps`", |c| c.trainer.max_steps = Some(0)),
            ("`.save_every`", |c| c.trainer.save_every = Some(0)),
            ("`.eval_every`", |c| c.trainer.eval_every = Some(0)),
            ("`.eval_every`", |c| c.trainer.eval_every = Some(5)),
            ("`.sync_every`", |c| c.trainer.sync_every = Some(0)),
            ("`.sync_every`", |c| (c.trainer.sync_every, c.trainer.shard_optimizer) = (Some(2), true)),
            ("`.eval_every` 3", |c| {
                c.trainer.eval_data = vec!["e".into()];
                (c.trainer.sync_every, c.trainer.eval_every) = (Some(2), Some(3));
            }),
            ("`.precision` mixed-f16", |c| {
                (c.trainer.precision, c.trainer.sync_every) = (Precision::MixedF16, Some(2));
            }),
            ("`.lr`", |c| c.lr = 0.0),
            ("`.lr`", |c| c.lr = f64::NAN),
            ("`.lr`", |c| c.lr = f64::INFINITY),
            ("`.warmup_ratio`", |c| c.trainer.warmup_ratio = 1.1),
            ("`.warmup_ratio`", |c| c.trainer.warmup_ratio = f64::NAN),
            ("`.weight_decay`", |c| c.trainer.weight_decay = -0.1),
            ("`.max_grad_norm`", |c| c.trainer.max_grad_norm = -1.0),
            ("`.resume`", |c| (c.trainer.resume, c.trainer.force) = (true, true)),
        ];
        for (setting, spoil) in cases {
            let mut config = whole();
            spoil(&mut config);
            let error = config.validate().expect_err(setting);
            assert!(error.to_string().starts_with(&format!("{setting}: ")), "{setting}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
