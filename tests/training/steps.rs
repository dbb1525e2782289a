use wgr::data::Packed;
use wgr::gpu::{Dtype, Limits, Mode};
use wgr::model::Checkpoint;
use wgr::model::activations::Checkpointing;
use wgr::model::batch::Capacity;
use wgr::model::classifier::Loading;
use wgr::model::parameter::Holding;
use wgr::objective::Objective;
use wgr::optimizer::{AdamWConfig, LossScale};
use wgr::train::{Precision, Stepper};

use crate::harness::*;

/// Root mean square of the differences over that of the values.
fn distance(a: &[(String, Vec<f32>)], b: &[(String, Vec<f32>)]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let flat =
        |side: &[(String, Vec<f32>)]| side.iter().flat_map(|(_, v)| v.clone()).map(f64::from).collect::<Vec<_>>();
    let (a, b) = (flat(a), flat(b));
    assert_eq!(a.len(), b.len());
    (square(&mut a.iter().zip(&b).map(|(a, b)| a - b)) / square(&mut b.iter().copied())).sqrt()
}

#[test]
fn accumulation_changes_nothing_but_memory() {
    // 11 rows make a partial last step; the losses of all its rows still weigh the same.
    for objective in Objective::ALL {
        let place = Place::new();
        let base = place.run(objective, 11).with(|c| {
            c.trainer.epochs = 2;
            c.trainer.shuffle = false;
        });
        let cut = |batch_size, grad_accum| {
            let output = place.path(&format!("out-{batch_size}-{grad_accum}"));
            let config = base.with(|c| {
                c.trainer.batch_size = batch_size;
                c.trainer.grad_accum = grad_accum;
                c.trainer.output = output;
            });
            let losses = losses(&config);
            (losses, tensors(&config.trainer.output.join("model.safetensors")))
        };
        let (whole, weights) = cut(8, 1);
        assert_eq!(whole.len(), 4);
        for (batch_size, grad_accum) in [(1, 8), (4, 2)] {
            let (accumulated, other) = cut(batch_size, grad_accum);
            assert_eq!(accumulated.len(), 4, "{objective}: {grad_accum} x {batch_size}");
            for (a, b) in accumulated.iter().zip(&whole) {
                assert!((a - b).abs() <= 2e-6 * b.abs(), "{objective}: {grad_accum} x {batch_size}: loss {a}, not {b}");
            }
            let off = distance(&other, &weights);
            assert!(off < 2e-6, "{objective}: {grad_accum} x {batch_size}: weights off by {off:.1e}");
        }
    }
}

#[test]
fn checkpointing_changes_no_loss() {
    for precision in [Precision::F32, Precision::MixedBf16, Precision::MixedF16] {
        let place = Place::new();
        let with = |checkpointing| {
            losses(&place.run(Objective::Ordinal, 12).with(|c| {
                c.trainer.checkpointing = checkpointing;
                c.trainer.precision = precision;
                c.trainer.force = true;
            }))
        };
        let kept = with(Checkpointing::None);
        assert_eq!(kept.len(), 3);
        assert_eq!(with(Checkpointing::Attention), kept, "{precision:?}");
        assert_eq!(with(Checkpointing::Layer), kept, "{precision:?}");
    }
}

#[test]
fn mixed_precision_follows_f32() {
    let place = Place::new();
    let with = |precision| {
        losses(&place.run(Objective::Ordinal, 40).with(|c| {
            c.trainer.precision = precision;
            c.trainer.force = true;
        }))
    };
    let exact = with(Precision::F32);
    // bf16 keeps eight bits and f16 eleven; a loss is a mean over many rounded values.
    for (precision, tolerance) in [(Precision::MixedBf16, 0.01), (Precision::MixedF16, 0.002)] {
        let mixed = with(precision);
        assert_eq!((exact.len(), mixed.len()), (10, 10));
        assert_ne!(exact, mixed, "{precision} rounds");
        for (step, (mixed, exact)) in mixed.iter().zip(&exact).enumerate() {
            assert!(
                (mixed - exact).abs() < tolerance * exact,
                "step {}: {mixed} in {precision}, {exact} in f32",
                step + 1
            );
        }
    }
}

#[test]
fn steps_that_a_loss_scale_skips_leave_no_trace() {
    let place = Place::new();
    let checkpoint = Checkpoint::open(&place.model("qwen3").display().to_string()).unwrap();
    let batch = Packed { tokens: (3..27).collect(), offsets: vec![0, 5, 14, 24], labels: vec![1.0, 4.0, 2.0] };
    let loading = Loading {
        holding: Holding::MixedTraining(Dtype::F16),
        checkpointing: Checkpointing::None,
        logits: 3,
        new_head: false,
        biases: vec![],
        lora: None,
        seed: 1,
        capacity: Capacity { tokens: 24, sequences: 3, length: 10 },
    };
    let gpu = open_in(Mode::Trusted, None);
    let stepper =
        || Stepper::new(&gpu, &checkpoint, &loading, Objective::Ordinal, 4, AdamWConfig::default(), 1).unwrap();
    let step = |stepper: &mut Stepper, step| {
        pollster::block_on(stepper.step(&gpu, std::slice::from_ref(&batch), step, 1e-3)).unwrap()
    };
    let (mut usual, mut large) = (stepper(), stepper());
    large.loss_scale = Some(LossScale { factor: 2f64.powi(40), ..LossScale::default() });
    let skipped = (0..40).take_while(|number| step(&mut large, *number).skipped).count() as u64;
    let scale = large.loss_scale.unwrap();
    assert!(skipped > 0 && scale.factor == 2f64.powi(40 - skipped as i32), "{scale:?}");
    assert_eq!((large.skipped_steps, scale.good_steps), (skipped, 1));
    // Nothing was updated until then, and the update is the first of the optimizer.
    usual.loss_scale = Some(LossScale { factor: scale.factor, ..LossScale::default() });
    step(&mut usual, 0);
    assert_eq!(step(&mut large, skipped + 1).loss, step(&mut usual, 1).loss);
}

#[test]
fn mixed_precision_is_the_same_with_sharded_matrices_and_with_checks() {
    let place = Place::new();
    let checkpoint = Checkpoint::open(&place.model("qwen3").display().to_string()).unwrap();
    let batch = Packed { tokens: (3..27).collect(), offsets: vec![0, 5, 14, 24], labels: vec![1.0, 4.0, 2.0] };
    let capacity = Capacity { tokens: 24, sequences: 3, length: 10 };
    let checkpointing = Checkpointing::None;
    let losses = |holding, mode, limits| {
        let gpu = open_in(mode, limits);
        let loading = Loading {
            holding,
            checkpointing,
            logits: 3,
            new_head: false,
            biases: vec![],
            lora: None,
            seed: 1,
            capacity,
        };
        let mut stepper =
            Stepper::new(&gpu, &checkpoint, &loading, Objective::Ordinal, 4, AdamWConfig::default(), 1).unwrap();
        let step =
            |step| pollster::block_on(stepper.step(&gpu, std::slice::from_ref(&batch), step, 1e-3)).unwrap().loss;
        (0..4).map(step).collect::<Vec<_>>()
    };
    let small = Some(Limits { binding_bytes: 5 << 10 });
    let exact = losses(Holding::Training, Mode::Trusted, small);
    for dtype in [Dtype::Bf16, Dtype::F16] {
        let mixed = losses(Holding::MixedTraining(dtype), Mode::Trusted, small);
        assert_ne!(mixed, exact, "{dtype} rounds");
        for mode in [Mode::Trusted, Mode::Checked] {
            for (small, whole) in mixed.iter().zip(losses(Holding::MixedTraining(dtype), mode, None)) {
                assert!((small - whole).abs() < 1e-5 * whole, "{dtype}, {mode:?}: {small} in shards, {whole} whole");
            }
        }
    }
}

#[test]
fn the_metrics_count_tokens_and_epochs_of_the_run() {
    let place = Place::new();
    let config = place.run(Objective::Ordinal, 8).with(|c| c.trainer.epochs = 2);
    let summary = train(&config, &mut Watch::default()).unwrap();
    let rows = json_lines(&config.trainer.output.join("metrics.jsonl"));
    let epochs: Vec<f64> = rows.iter().map(|row| row["epoch"].as_f64().unwrap()).collect();
    assert_eq!(epochs, [0.5, 1.0, 1.5, 2.0]);
    let words: usize = (0..8).map(|i| text(i).split(' ').count()).sum();
    assert_eq!(rows[1]["tokens"], words, "after one pass");
    assert_eq!(rows[3]["tokens"], 2 * words, "after two passes");
    assert_eq!(summary.tokens, 2 * words as u64);
}
