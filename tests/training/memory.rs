use wgr::gpu::{Dtype, Limits, Memory};
use wgr::model::Checkpoint;
use wgr::model::activations::Checkpointing;
use wgr::model::base::BaseDtype;
use wgr::model::batch::Capacity;
use wgr::model::classifier::{self, Classifier, Loading};
use wgr::model::lora::{Lora, LoraSettings};
use wgr::model::parameter::Holding;
use wgr::objective::Objective;
use wgr::optimizer::AdamWConfig;
use wgr::train::Stepper;

use crate::harness::*;

/// Adapters of an odd rank on every linear layer.
fn adapters(dropout: f64, base: Option<BaseDtype>) -> Option<Lora> {
    let settings = LoraSettings { lora_rank: Some(3), lora_dropout: dropout, ..LoraSettings::default() };
    settings.resolve().unwrap().map(|lora| Lora { base, ..lora })
}

#[test]
fn the_plan_says_what_is_held() {
    let capacity = Capacity { tokens: 16, sequences: 4, length: 12 };
    for limits in [None, Some(Limits { binding_bytes: 6 << 10 })] {
        for name in ["llama", "qwen2", "qwen3", "mistral"] {
            let place = Place::new();
            let checkpoint = Checkpoint::open(&place.model(name).display().to_string()).unwrap();
            for (holding, adapted) in [
                (Holding::Inference, None),
                (Holding::Training, None),
                (Holding::MixedTraining(Dtype::Bf16), None),
                (Holding::MixedTraining(Dtype::F16), None),
                (Holding::Training, adapters(0.0, None)),
                (Holding::Training, adapters(0.1, Some(BaseDtype::F16))),
                (Holding::MixedTraining(Dtype::Bf16), adapters(0.1, Some(BaseDtype::Bf16))),
                (Holding::Training, adapters(0.0, Some(BaseDtype::Q8))),
                (Holding::Training, adapters(0.0, Some(BaseDtype::Q4))),
            ] {
                for checkpointing in [Checkpointing::None, Checkpointing::Attention, Checkpointing::Layer] {
                    let gpu = open(limits);
                    let lora = adapted.clone();
                    let loading = Loading {
                        holding,
                        checkpointing,
                        logits: 3,
                        new_head: false,
                        biases: vec![],
                        lora,
                        seed: 1,
                        capacity,
                    };
                    let plan = classifier::plan(checkpoint.config(), &checkpoint, &loading);
                    let kept: Box<dyn std::any::Any> = match holding {
                        Holding::Inference => Box::new(Classifier::load(&gpu, &checkpoint, &loading).unwrap()),
                        _ => {
                            let settings = AdamWConfig::default();
                            Box::new(
                                Stepper::new(&gpu, &checkpoint, &loading, Objective::Ordinal, 4, settings, 1).unwrap(),
                            )
                        }
                    };
                    let ledger = gpu.ledger();
                    drop(kept);
                    let what = format!("{name} {holding:?} {adapted:?} {checkpointing:?} {limits:?}");
                    for (memory, planned) in [
                        (Memory::Weights, plan.weights),
                        (Memory::Gradients, plan.gradients),
                        (Memory::Optimizer, plan.optimizer),
                        (Memory::Activations, plan.activations),
                    ] {
                        let held = ledger.current(memory);
                        // A vector's moments are padded to four rows, which is seen only in models as tiny as these.
                        let tolerance = if memory == Memory::Optimizer { planned / 10 } else { 0 };
                        assert!(
                            held.abs_diff(planned) <= tolerance,
                            "{what}: {memory:?} planned {planned}, held {held}"
                        );
                    }
                }
            }
        }
    }
}
