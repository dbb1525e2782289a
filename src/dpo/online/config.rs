//! Settings of `wgr dpo --online`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dpo::validate::adapters;
use crate::dpo::{LossConfig, PolicyConfig};
use crate::generate::Sampling;
use crate::http::is_address;
use crate::model::lora::LoraSettings;
use crate::train::output::check_apart;
use crate::train::validate::{check, given, learning_rate};
use crate::train::{HeadReading, Precision, TrainerConfig};
use crate::{Error, Result};

/// Settings of online DPO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OnlineConfig {
    /// Says in a file of settings that they are those of online DPO.
    pub online: bool,
    /// The model to train, and how far it may move.
    #[serde(flatten)]
    pub policy: PolicyConfig<true>,
    /// Prompts to learn from.
    pub prompts: Vec<PathBuf>,
    /// The reward model that rates completions, or the address of a reward server; the name of a custom reward.
    pub reward: String,
    /// Prompt template of the reward; the one saved with the model, or the built-in one, when absent.
    pub template: Option<PathBuf>,
    /// The meaning of the outputs of the reward model's head, if the model does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadReading>,
    /// Completions per prompt.
    pub rollouts: usize,
    /// Sampling temperature; log-probabilities are always those at temperature 1.
    pub temperature: f64,
    /// Share of the probability that the most likely tokens kept have together.
    pub top_p: f64,
    /// Maximum number of tokens kept; 0 keeps all.
    pub top_k: usize,
    /// Least probability of tokens kept, as a share of the largest.
    pub min_p: f64,
    /// Longest completion in tokens.
    pub max_new_tokens: usize,
    /// The minimum difference of rewards that makes a pair.
    pub min_margin: f64,
    /// Stop when the divergence from the reference exceeds this, in nats per completion.
    pub max_kl: Option<f64>,
    /// The loss function and the numbers that it reads.
    #[serde(flatten)]
    pub loss: LossConfig,
    /// The settings shared with other trainers. A micro-batch is one of prompts; held-out rows are prompts, too.
    #[serde(flatten)]
    pub trainer: TrainerConfig,
    /// Adapters to train instead of all weights.
    #[serde(flatten)]
    pub lora: LoraSettings,
}

impl Default for OnlineConfig {
    fn default() -> Self {
        Self {
            online: true,
            policy: PolicyConfig::default(),
            prompts: vec![],
            reward: String::new(),
            template: None,
            head: None,
            rollouts: 8,
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            max_new_tokens: 256,
            min_margin: 0.0,
            max_kl: None,
            loss: LossConfig::default(),
            trainer: TrainerConfig::default(),
            lora: LoraSettings::default(),
        }
    }
}

impl OnlineConfig {
    /// Prompts of an optimizer step.
    pub fn prompts_per_step(&self) -> usize {
        self.trainer.batch_size.saturating_mul(self.trainer.grad_accum)
    }

    /// How completions are drawn.
    pub fn sampling(&self) -> Sampling {
        let Self { temperature, top_p, top_k, min_p, .. } = *self;
        Sampling { temperature, top_p, top_k, min_p, ..Sampling::default() }
    }

    /// Checks every value that can be wrong on its own.
    ///
    /// # Errors
    /// The first setting that no run can have, by its name.
    pub fn validate(&self) -> Result<()> {
        given("policy", !self.policy.model.is_empty())?;
        given("prompts", !self.prompts.is_empty())?;
        given("reward", !self.reward.is_empty())?;
        if self.head.is_some() && is_address(&self.reward) {
            return Err(Error::input("`.head`", "is not used with a reward server", "leave it out"));
        }
        check("`.rollouts`", self.rollouts > 1, self.rollouts, "use at least 2, which make a pair")?;
        let is_positive = |value: f64| (value as f32).is_finite() && value > 0.0;
        check(
            "`.temperature`",
            is_positive(self.temperature),
            self.temperature,
            "use a number above 0; greedy rollouts of a prompt are all alike",
        )?;
        self.sampling().validate()?;
        check("`.max_new_tokens`", self.max_new_tokens > 0, self.max_new_tokens, "use at least 1")?;
        let margin = self.min_margin;
        check("`.min_margin`", margin.is_finite() && margin >= 0.0, margin, "use 0 or a number above 0")?;
        if let Some(kl) = self.max_kl {
            check("`.max_kl`", kl.is_finite() && kl > 0.0, kl, "use a number above 0, or leave it out")?;
        }
        if self.trainer.precision != Precision::F32 {
            let problem = "would give the policy log-probabilities of a different precision from the reference model's";
            return Err(Error::input(
                format!("`.precision` {}", self.trainer.precision),
                problem,
                "online DPO uses f32",
            ));
        }
        if self.trainer.sync_every.is_some() {
            let problem = "is for trainers whose rows are given; rollouts are those of one policy";
            return Err(Error::input("`.sync_every`", problem, "leave it out"));
        }
        self.loss.validate()?;
        self.loss.check_reference("`.reference`", self.policy.reference.is_some())?;
        for model in self.policy.reference.iter().chain([&self.reward]) {
            check_apart(&self.trainer.output, Path::new(model), model)?;
        }
        adapters(&self.lora)?;
        learning_rate(self.policy.lr)?;
        self.trainer.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> OnlineConfig {
        OnlineConfig {
            policy: PolicyConfig { model: "p".into(), ..PolicyConfig::default() },
            prompts: vec!["f".into()],
            reward: "r".into(),
            trainer: TrainerConfig { output: "o".into(), ..TrainerConfig::default() },
            ..OnlineConfig::default()
        }
    }

    #[test]
    fn the_defaults_can_run() {
        whole().validate().unwrap();
    }

    #[test]
    fn settings_are_read_from_a_flat_file_with_defaults_of_their_own() {
        let read = |text: &str| toml::from_str::<OnlineConfig>(text);
        assert_eq!(read("").unwrap(), OnlineConfig::default());
        assert_eq!(OnlineConfig::default().policy.lr, 5e-7);
        let given = read("policy = 'p'\nreference = 'r'\nlr = 1e-4\nbeta = 0.2\nmax-length = 9").unwrap();
        assert_eq!(given.policy, PolicyConfig { model: "p".into(), reference: Some("r".into()), lr: 1e-4 });
        assert_eq!((given.loss.beta, given.trainer.max_length), (0.2, 9));
        assert!(read("modle = 'm'").unwrap_err().to_string().contains("modle"));
    }

    #[test]
    fn each_impossible_value_is_refused_by_its_name() {
        type Spoil = fn(&mut OnlineConfig);
        let cases: &[(&str, Spoil)] = &[
            ("`.policy`", |c| c.policy.model.clear()),
            ("`.prompts`", |c| c.prompts.clear()),
            ("`.reward`", |c| c.reward.clear()),
            ("`.rollouts`", |c| c.rollouts = 1),
            ("`.temperature`", |c| c.temperature = 0.0),
            ("`.temperature`", |c| c.temperature = f64::NAN),
            ("`.top_p`", |c| c.top_p = 0.0),
            ("`.top_p`", |c| c.top_p = 1.5),
            ("`.max_new_tokens`", |c| c.max_new_tokens = 0),
            ("`.min_margin`", |c| c.min_margin = -0.1),
            ("`.min_margin`", |c| c.min_margin = f64::NAN),
            ("`.max_kl`", |c| c.max_kl = Some(0.0)),
            ("`.beta`", |c| c.loss.beta = 0.0),
            ("`.lr`", |c| c.policy.lr = 0.0),
            ("`.lora_rank`", |c| c.lora.lora_rank = Some(0)),
            ("`.batch_size`", |c| c.trainer.batch_size = 0),
            ("`.precision` mixed", |c| c.trainer.precision = Precision::Mixed),
            ("`.precision` mixed-f16", |c| c.trainer.precision = Precision::MixedF16),
        ];
        for (setting, spoil) in cases {
            let mut config = whole();
            spoil(&mut config);
            let error = config.validate().expect_err(setting);
            assert!(error.to_string().starts_with(setting), "{setting}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
