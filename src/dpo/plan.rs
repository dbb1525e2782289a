//! The memory of offline DPO before there is any data.

use crate::Result;
use crate::model::Checkpoint;
use crate::model::plan::MemoryPlan;
use crate::train::adapters_to_plan;

use super::config::DpoConfig;
use super::room::Room;
use super::trainer;
use super::validate::{BARS_F16, adapters};

/// The most memory that a run of DPO needs: that of micro-batches whose pairs have two sides of the maximum length with
/// nothing in common. Nothing is allocated, and of the model only configuration and header are read.
///
/// # Errors
/// A setting that no run can have, or adapters that the model cannot have.
pub fn plan(config: &DpoConfig, source: &Checkpoint) -> Result<MemoryPlan> {
    config.trainer.precision.check(Some(BARS_F16))?;
    let lora = adapters_to_plan(adapters(&config.lora)?, source)?;
    let (pairs, length) = (config.trainer.batch_size, config.trainer.max_length);
    let tokens = 2 * pairs * length;
    let room = Room { tokens, pairs, length, predictions: tokens, shares_prompts: source.config().shares_prompts() };
    Ok(trainer::plan(config, source, lora.as_ref(), &room))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::tiny::Tiny;
    use crate::model::{Dtype, Family};
    use crate::train::TrainerConfig;

    #[test]
    fn a_plan_covers_pairs_of_the_maximum_length() {
        // Wide enough that adapters are smaller than the layers they adapt.
        let sizes = json!({"hidden_size": 64, "intermediate_size": 256, "head_dim": 16, "tie_word_embeddings": true});
        let tiny = Tiny::new(Family::Llama, sizes, Dtype::F32);
        let source = tiny.open();
        let trainer = TrainerConfig { batch_size: 3, max_length: 64, ..TrainerConfig::default() };
        let mut config = DpoConfig { trainer, ..DpoConfig::default() };
        let whole = plan(&config, &source).unwrap();
        assert_eq!(whole.tokens, 3 * 2 * 64);
        assert_eq!([whole.gradients, whole.optimizer], [whole.weights, 2 * whole.weights]);
        config.trainer.max_length = 128;
        assert!(plan(&config, &source).unwrap().activations > whole.activations);
        config.lora.lora_rank = Some(4);
        assert!(plan(&config, &source).unwrap().optimizer < whole.optimizer);
        config.lora.lora_dropout = 0.1;
        assert!(plan(&config, &source).unwrap_err().to_string().contains("lora_dropout"));
    }
}
