//! The memory of training before there is any data.

use crate::Result;
use crate::model::Checkpoint;
use crate::model::activations::Checkpointing;
use crate::model::base::BaseDtype;
use crate::model::batch::Capacity;
use crate::model::classifier::{self, HEAD, Loading};
use crate::model::fitting::Smaller;
use crate::model::lora::{Lora, LoraSettings};
use crate::model::plan::MemoryPlan;
use crate::objective::Objective;

use super::config::{Precision, TrainConfig, TrainerConfig};
use super::reward_model::no_head;
use super::scorer;

/// Rank of the adapters that are proposed.
const RANK: usize = 16;

/// The most memory that a run of training needs: that of micro-batches whose rows all have the maximum length. Nothing is
/// allocated, and of the model only configuration and header are read.
///
/// # Errors
/// A setting that no run can have, or adapters that the model cannot have.
pub fn plan(config: &TrainConfig, source: &Checkpoint) -> Result<MemoryPlan> {
    let per_row = if config.objective == Objective::Pairwise { 2 } else { 1 };
    let (sequences, length) = (config.trainer.batch_size * per_row, config.trainer.max_length);
    let thresholds = if config.objective == Objective::Coral { config.levels as usize - 1 } else { 0 };
    let lora = adapters_to_plan(config.lora.resolve()?, source)?;
    let barred = config.trainer.bars_f16(lora.is_some());
    config.trainer.precision.check(barred)?;
    let loading = Loading {
        holding: config.trainer.precision.largest(barred).holding(),
        checkpointing: config.trainer.checkpointing,
        logits: config.objective.logits(config.levels as usize),
        new_head: config.new_head,
        biases: vec![0.0; thresholds],
        lora,
        seed: config.trainer.seed,
        capacity: Capacity { tokens: sequences * length, sequences, length },
    };
    Ok(classifier::plan(source.config(), source, &loading))
}

/// The most memory that scoring needs: that of full batches and of rows of the maximum length.
///
/// # Errors
/// The model has no score head.
pub fn plan_scoring(batch_size: usize, max_length: usize, source: &Checkpoint) -> Result<MemoryPlan> {
    let stored = source.info(HEAD).map(|info| info.shape[0]);
    let logits = stored.or(source.config().num_labels).ok_or_else(|| no_head(source))?;
    let capacity = scorer::largest(batch_size, max_length);
    Ok(classifier::plan(source.config(), source, &scorer::loading(logits, vec![], capacity)))
}

/// As for a run, except that a model without weights, which only a plan can adapt, gets the type that its configuration names.
pub(crate) fn adapters_to_plan(wanted: Option<Lora>, source: &Checkpoint) -> Result<Option<Lora>> {
    if !source.is_new() {
        return source.adapters_to_train(wanted);
    }
    Ok(wanted.map(|lora| Lora { base: lora.base.or_else(|| source.config().named_dtype()), ..lora }))
}

/// The settings that have to change for a run to need no more than `memory` bytes, as few as can be of those that change
/// its results least: what is computed again, smaller micro-batches, mixed precision, adapters, and how their base is
/// stored. `None` if all of them are not enough. `plan` says what a run with other settings needs.
///
/// # Errors
/// Those of `plan`.
pub fn fitting(
    trainer: &TrainerConfig,
    lora: &LoraSettings,
    memory: u64,
    plan: impl Fn(&TrainerConfig, &LoraSettings) -> Result<MemoryPlan>,
) -> Result<Option<Smaller>> {
    let (mut trainer, mut lora) = (trainer.clone(), lora.clone());
    let mut smaller = Smaller { changes: vec![], plan: plan(&trainer, &lora)? };
    for change in CHANGES {
        if smaller.plan.total() <= memory {
            break;
        }
        let (mut other, mut adapters) = (trainer.clone(), lora.clone());
        let Some(settings) = change(&mut other, &mut adapters) else { continue };
        let plan = plan(&other, &adapters)?;
        if plan.total() < smaller.plan.total() {
            smaller.plan = plan;
            smaller.changes.retain(|(name, _)| !settings.iter().any(|(new, _)| new == name));
            smaller.changes.extend(settings);
            (trainer, lora) = (other, adapters);
        }
    }
    Ok((smaller.plan.total() <= memory).then_some(smaller))
}

/// Changes some settings and says which, or has nothing to change.
type Change = fn(&mut TrainerConfig, &mut LoraSettings) -> Option<Vec<(&'static str, String)>>;

const CHANGES: [Change; 7] = [
    |trainer, _| {
        let old = std::mem::replace(&mut trainer.checkpointing, Checkpointing::Layer);
        (old != Checkpointing::Layer).then(|| vec![("checkpointing", "layer".into())])
    },
    |trainer, _| {
        trainer.grad_accum *= std::mem::replace(&mut trainer.batch_size, 1);
        Some(vec![("batch-size", "1".into()), ("grad-accum", trainer.grad_accum.to_string())])
    },
    |trainer, _| {
        trainer.precision = Precision::Mixed;
        Some(vec![("precision", "mixed".into())])
    },
    |trainer, lora| {
        let mut settings = vec![("lora-rank", RANK.to_string())];
        if trainer.precision == Precision::MixedF16 {
            trainer.precision = Precision::MixedBf16;
            settings.push(("precision", "mixed-bf16".into()));
        }
        lora.lora_rank.replace(RANK).is_none().then_some(settings)
    },
    |_, lora| base(lora, BaseDtype::Bf16, "bf16"),
    |_, lora| base(lora, BaseDtype::Q8, "q8"),
    |_, lora| base(lora, BaseDtype::Q4, "q4"),
];

fn base(lora: &mut LoraSettings, dtype: BaseDtype, name: &str) -> Option<Vec<(&'static str, String)>> {
    lora.lora_rank?;
    lora.base_dtype = Some(dtype);
    Some(vec![("base-dtype", name.into())])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::tiny::Tiny;
    use crate::model::{Dtype, Family};

    fn model() -> Tiny {
        // Wide enough that adapters are smaller than the layers they adapt.
        let sizes = json!({"hidden_size": 64, "intermediate_size": 256, "head_dim": 16, "tie_word_embeddings": true,
                           "dtype": "bfloat16"});
        Tiny::new(Family::Llama, sizes, Dtype::BF16)
    }

    fn settings() -> TrainConfig {
        let mut config = TrainConfig::default();
        (config.trainer.batch_size, config.trainer.grad_accum, config.trainer.max_length) = (4, 2, 64);
        config
    }

    #[test]
    fn a_plan_covers_rows_of_the_maximum_length() {
        let source = model().open();
        let plan = |config: &TrainConfig| super::plan(config, &source).unwrap();
        let usual = plan(&settings());
        assert_eq!(usual.tokens, 4 * 64);
        // Four bytes of weight and gradient each, and eight of moments.
        assert_eq!([usual.gradients, usual.optimizer], [usual.weights, 2 * usual.weights]);
        let pairs = plan(&TrainConfig { objective: Objective::Pairwise, ..settings() });
        assert_eq!(pairs.tokens, 2 * usual.tokens);
    }

    #[test]
    fn a_rank_of_several_that_share_moments_holds_its_part_of_them() {
        let whole = plan(&settings(), &model().open()).unwrap();
        let (moments, others) = (whole.optimizer, whole.total() - whole.optimizer);
        let largest = 8 * *whole.trained.iter().max().unwrap() as u64;
        for ranks in 1..5 {
            let shared = whole.clone().on_ranks(ranks);
            assert_eq!(shared.total() - shared.optimizer, others);
            let equal = moments / ranks as u64;
            assert!((equal..=equal + largest).contains(&shared.optimizer), "{ranks} ranks: {}", shared.optimizer);
        }
    }

    #[test]
    fn the_fewest_changes_that_fit_are_proposed() {
        let source = model().open();
        let full = plan(&settings(), &source).unwrap().total();
        let changes = |memory: u64| {
            let TrainConfig { trainer, lora, .. } = settings();
            let plan = |trainer: &TrainerConfig, lora: &LoraSettings| {
                super::plan(&TrainConfig { trainer: trainer.clone(), lora: lora.clone(), ..settings() }, &source)
            };
            let smaller = fitting(&trainer, &lora, memory, plan).unwrap()?;
            assert!(smaller.plan.total() <= memory);
            Some(smaller.changes.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>())
        };
        assert_eq!(changes(full).unwrap(), [""; 0]);
        assert_eq!(changes(full - 1).unwrap(), ["checkpointing layer"]);
        // The least that all changes together need, found by halving.
        let (mut low, mut high) = (0, full);
        while high - low > 1 {
            let middle = u64::midpoint(low, high);
            if changes(middle).is_some() { high = middle } else { low = middle }
        }
        let all = changes(high).unwrap();
        for change in ["checkpointing layer", "batch-size 1", "grad-accum 8", "lora-rank 16", "base-dtype q4"] {
            assert!(all.iter().any(|other| other == change), "{change}: {all:?}");
        }
    }

    #[test]
    fn scoring_needs_weights_once_and_a_head() {
        let config = json!({"architectures": ["LlamaForSequenceClassification"], "num_labels": 3});
        let source = Tiny::new(Family::Llama, config, Dtype::BF16).open();
        let plan = |rows, length| plan_scoring(rows, length, &source).unwrap();
        let (one, many, long) = (plan(1, 256), plan(4, 256), plan(1, 1024));
        assert_eq!((one.gradients, one.optimizer, one.weights), (0, 0, many.weights));
        assert_eq!((one.tokens, many.tokens, long.tokens), (256, 1024, 1024));
        assert!(many.activations > one.activations);
        assert!(plan_scoring(1, 256, &model().open()).unwrap_err().to_string().contains("is not a reward model"));
    }

    #[test]
    fn a_configuration_alone_is_enough() {
        let tiny = model();
        let source = tiny.open();
        let alone = Checkpoint::open(tiny.path("model/config.json").to_str().unwrap()).unwrap();
        let mut config = settings();
        assert_eq!(plan(&config, &alone).unwrap().total(), plan(&config, &source).unwrap().total());
        config.lora.lora_rank = Some(4);
        assert_eq!(plan(&config, &alone).unwrap().total(), plan(&config, &source).unwrap().total());
    }
}
