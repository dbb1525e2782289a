//! Settings of adapters, from users and in the form that the model reads.

use serde::{Deserialize, Serialize};

use crate::gpu::Layout;
use crate::model::base::BaseDtype;
use crate::model::config::{ModelConfig, TensorSpec};
use crate::{Error, Result};

/// The linear layers of a decoder layer, which adapters can be put on.
pub const PROJECTIONS: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
/// All of them, as PEFT calls them.
const ALL: &str = "all-linear";
/// A rank above this is no longer low.
const MAX_RANK: usize = 4096;

/// Flags about adapters that training commands share, part of their settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct LoraSettings {
    /// Rank of the adapters; without one, all weights are trained.
    pub lora_rank: Option<usize>,
    /// Adapters are scaled by this over the rank.
    pub lora_alpha: f64,
    /// Share of an adapter's inputs that is dropped in training.
    pub lora_dropout: f64,
    /// Linear layers that get one: names such as `q_proj`, or `all-linear`.
    pub lora_targets: Vec<String>,
    /// Scale by alpha over the square root of the rank instead.
    pub lora_rslora: bool,
    /// How frozen weights are stored; as in the model when absent.
    pub base_dtype: Option<BaseDtype>,
}

impl Default for LoraSettings {
    fn default() -> Self {
        Self {
            lora_rank: None,
            lora_alpha: 16.0,
            lora_dropout: 0.0,
            lora_targets: vec![ALL.into()],
            lora_rslora: false,
            base_dtype: None,
        }
    }
}

impl LoraSettings {
    /// Checks every value, and says what adapters to train; `None` where all weights are trained.
    ///
    /// # Errors
    /// The first setting that no run can have, by its name.
    pub fn resolve(&self) -> Result<Option<Lora>> {
        let Some(rank) = self.lora_rank else {
            return self.refuse_without_rank().map(|()| None);
        };
        let refuse =
            |setting: &str, value: String, hint: &str| Err(Error::input(setting, format!("cannot be {value}"), hint));
        if !(1..=MAX_RANK).contains(&rank) {
            return refuse("`.lora_rank`", rank.to_string(), "use a number from 1 to 4096, such as 8");
        }
        if !(self.lora_alpha as f32).is_finite() || self.lora_alpha <= 0.0 {
            return refuse("`.lora_alpha`", self.lora_alpha.to_string(), "use a number above 0, such as 16");
        }
        if !(0.0..1.0).contains(&self.lora_dropout) {
            return refuse("`.lora_dropout`", self.lora_dropout.to_string(), "use a number from 0 to below 1");
        }
        let mut targets = vec![];
        for target in &self.lora_targets {
            match target.as_str() {
                ALL => targets.extend(PROJECTIONS.map(str::to_owned)),
                name if PROJECTIONS.contains(&name) => targets.push(name.to_owned()),
                name => return refuse("`.lora_targets`", name.to_owned(), &known_targets()),
            }
        }
        if targets.is_empty() {
            return refuse("`.lora_targets`", "empty".into(), &known_targets());
        }
        let config =
            LoraConfig { rank, alpha: self.lora_alpha, dropout: self.lora_dropout, targets, rslora: self.lora_rslora };
        Ok(Some(Lora { config: config.normalized(), base: self.base_dtype }))
    }

    /// Settings of adapters have no effect without adapters; a user who gives them means something else.
    fn refuse_without_rank(&self) -> Result<()> {
        let defaults = Self::default();
        for (setting, given) in [
            ("`.lora_alpha`", self.lora_alpha != defaults.lora_alpha),
            ("`.lora_dropout`", self.lora_dropout != defaults.lora_dropout),
            ("`.lora_targets`", self.lora_targets != defaults.lora_targets),
            ("`.lora_rslora`", self.lora_rslora),
            ("`.base_dtype`", self.base_dtype.is_some()),
        ] {
            if given {
                return Err(Error::input(
                    setting,
                    "applies to adapters, but there are none",
                    "pass `.lora_rank` as well",
                ));
            }
        }
        Ok(())
    }
}

fn known_targets() -> String {
    format!("use all-linear, or some of {}", PROJECTIONS.join(", "))
}

/// The adapters of a run, and what is under them.
#[derive(Debug, Clone, PartialEq)]
pub struct Lora {
    /// The adapters.
    pub config: LoraConfig,
    /// Storage of frozen matrices; as in the checkpoint when absent.
    pub base: Option<BaseDtype>,
}

/// The adapters of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraConfig {
    /// Rows of A and columns of B.
    pub rank: usize,
    /// Numerator of the scale.
    pub alpha: f64,
    /// Share of the inputs that is dropped in training.
    pub dropout: f64,
    /// Names of linear layers, or ends of names: `q_proj`, `model.layers.0.mlp.up_proj`. Sorted.
    pub targets: Vec<String>,
    /// Whether the scale is alpha over the square root of the rank (arXiv 2312.03732).
    pub rslora: bool,
}

/// A linear layer of the decoder and the sizes of its weight.
#[derive(Debug, Clone)]
pub struct Projection {
    /// Name without `.weight`.
    pub name: String,
    /// Outputs.
    pub out: Layout,
    /// Inputs.
    pub inner: Layout,
}

impl LoraConfig {
    /// The same with targets sorted, each once.
    pub fn normalized(mut self) -> Self {
        self.targets.sort();
        self.targets.dedup();
        self
    }

    /// The factor of the product of A and B.
    pub fn scale(&self) -> f32 {
        let rank = self.rank as f64;
        (self.alpha / if self.rslora { rank.sqrt() } else { rank }) as f32
    }

    /// Checks that a run wants the adapters that the model at `at` has; only dropout may change.
    pub(in crate::model) fn check_same(&self, wanted: &Self, at: &str) -> Result<()> {
        let kinds = |config: &Self| PROJECTIONS.map(|kind| config.targets.iter().any(|name| name.ends_with(kind)));
        for (setting, had, same) in [
            ("`.lora_rank`", self.rank.to_string(), self.rank == wanted.rank),
            ("`.lora_alpha`", self.alpha.to_string(), self.alpha == wanted.alpha),
            ("`.lora_rslora`", self.rslora.to_string(), self.rslora == wanted.rslora),
            ("`.lora_targets`", self.targets.join(","), kinds(self) == kinds(wanted)),
        ] {
            if !same {
                let problem = format!("the adapters in {at} have {had}");
                return Err(Error::input(
                    setting,
                    problem,
                    "train them with the same settings, or start from the base model",
                ));
            }
        }
        Ok(())
    }

    /// Adds what an adapter adds to a weight `[out, in]`, in f32.
    pub fn merge(&self, weight: &mut [f32], a: &[f32], b: &[f32]) {
        let inner = a.len() / self.rank;
        let scale = self.scale();
        for (row, b) in weight.chunks_exact_mut(inner).zip(b.chunks_exact(self.rank)) {
            for (a, b) in a.chunks_exact(inner).zip(b) {
                let factor = scale * b;
                row.iter_mut().zip(a).for_each(|(value, a)| *value += factor * a);
            }
        }
    }

    /// Whether the linear layer called `name` has an adapter.
    pub fn adapts(&self, name: &str) -> bool {
        let ends = |target: &String| name.strip_suffix(target.as_str()).is_some_and(|rest| rest.ends_with('.'));
        self.targets.iter().any(|target| target == name || ends(target))
    }

    /// The linear layers of a model that have adapters, in the order of computation.
    pub fn projections(&self, config: &ModelConfig) -> Vec<Projection> {
        all_projections(config).into_iter().filter(|projection| self.adapts(&projection.name)).collect()
    }

    /// Every tensor of the adapters of a model, `lora_A` before `lora_B`.
    pub fn tensors(&self, config: &ModelConfig) -> Vec<TensorSpec> {
        let pair = |Projection { name, out, inner }: Projection| {
            [
                TensorSpec { name: format!("{name}.lora_A.weight"), shape: vec![self.rank, inner.len()] },
                TensorSpec { name: format!("{name}.lora_B.weight"), shape: vec![out.len(), self.rank] },
            ]
        };
        self.projections(config).into_iter().flat_map(pair).collect()
    }

    /// Values of each matrix of the adapters of a model on the device, padding included.
    pub fn padded_values(&self, config: &ModelConfig) -> Vec<usize> {
        let rank = Layout::plain(self.rank).padded();
        self.projections(config).iter().flat_map(|p| [rank * p.inner.padded(), rank * p.out.padded()]).collect()
    }
}

/// The linear layers of every decoder layer.
pub(super) fn all_projections(config: &ModelConfig) -> Vec<Projection> {
    let hidden = Layout::plain(config.hidden_size);
    let inner = Layout::plain(config.intermediate_size);
    let queries = Layout::heads(config.num_attention_heads, config.head_dim);
    let keys = Layout::heads(config.num_key_value_heads, config.head_dim);
    let of_layer = |layer: usize| {
        [
            ("self_attn.q_proj", queries, hidden),
            ("self_attn.k_proj", keys, hidden),
            ("self_attn.v_proj", keys, hidden),
            ("self_attn.o_proj", hidden, queries),
            ("mlp.gate_proj", inner, hidden),
            ("mlp.up_proj", inner, hidden),
            ("mlp.down_proj", hidden, inner),
        ]
        .map(|(name, out, inner)| Projection { name: format!("model.layers.{layer}.{name}"), out, inner })
    };
    (0..config.num_hidden_layers).flat_map(of_layer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> LoraSettings {
        LoraSettings { lora_rank: Some(4), ..LoraSettings::default() }
    }

    #[test]
    fn the_scale_is_alpha_over_the_rank_or_its_root() {
        let plain = settings().resolve().unwrap().unwrap().config;
        assert_eq!((plain.scale(), plain.targets.len()), (4.0, 7));
        assert_eq!(LoraConfig { rslora: true, ..plain }.scale(), 8.0);
    }

    #[test]
    fn targets_are_names_or_their_ends() {
        let targets = vec!["v_proj".to_owned(), "model.layers.1.mlp.up_proj".to_owned()];
        let config = LoraConfig { targets, ..settings().resolve().unwrap().unwrap().config };
        let adapted = ["model.layers.0.self_attn.v_proj", "model.layers.1.mlp.up_proj"];
        assert!(adapted.iter().all(|name| config.adapts(name)));
        assert!(!["model.layers.0.mlp.up_proj", "model.layers.0.mlp.av_proj"].iter().any(|name| config.adapts(name)));
    }

    #[test]
    fn each_impossible_setting_is_refused_by_its_name() {
        type Spoil = fn(&mut LoraSettings);
        let cases: &[(&str, Spoil)] = &[
            ("`.lora_rank`", |s| s.lora_rank = Some(0)),
            ("`.lora_rank`", |s| s.lora_rank = Some(1 << 20)),
            ("`.lora_alpha`", |s| s.lora_alpha = f64::NAN),
            ("`.lora_alpha`", |s| s.lora_alpha = 0.0),
            ("`.lora_dropout`", |s| s.lora_dropout = 1.0),
            ("`.lora_dropout`", |s| s.lora_dropout = f64::NAN),
            ("`.lora_targets`", |s| s.lora_targets = vec!["lm_head".into()]),
            ("`.lora_targets`", |s| s.lora_targets = vec![]),
            ("`.lora_alpha`", |s| (s.lora_rank, s.lora_alpha) = (None, 8.0)),
            ("`.lora_targets`", |s| (s.lora_rank, s.lora_targets) = (None, vec!["q_proj".into()])),
            ("`.base_dtype`", |s| (s.lora_rank, s.base_dtype) = (None, Some(BaseDtype::F16))),
        ];
        for (setting, spoil) in cases {
            let mut settings = settings();
            spoil(&mut settings);
            let error = settings.resolve().expect_err(setting).to_string();
            assert!(error.starts_with(&format!("{setting}: ")), "{setting}: {error}");
        }
        assert_eq!(LoraSettings::default().resolve().unwrap(), None);
    }
}
