use wgr::gpu::{Dtype, Gpu, Layout, Mode, Recording, Tensor};
use wgr::kernels::preference::{Pairs, Weights};
use wgr::objective::PreferenceLoss;
use wgr::reference::preference as reference;

use crate::harness::*;

const SCALE: f32 = 0.37;

/// Log-probabilities of chosen and rejected under policy and reference, and their lengths.
type Values = Vec<([f32; 2], [f32; 2], [u32; 2])>;

/// Losses and gradients on the device.
fn device(gpu: &Gpu, loss: PreferenceLoss, values: &Values, weights: Weights) -> (Vec<f32>, Vec<f32>) {
    let pairs = values.len();
    let list = |values: Vec<f32>| vector(gpu, Layout::plain(values.len()), &values);
    let (losses, coefficients) = (list(vec![9.0; pairs]), list(vec![9.0; 2 * pairs]));
    run(gpu, |recorder| {
        let ends = values.iter().flat_map(|of| of.2).scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        let ends: Vec<u32> = std::iter::once(0).chain(ends).collect();
        let offsets = Tensor::workspace(gpu, "offsets", ends.len(), Dtype::U32)?;
        offsets.write_u32(gpu, &ends);
        let pairs = Pairs {
            pairs,
            offsets: &offsets,
            // The second value of a sum is another's and must not be read.
            sums: &list(values.iter().flat_map(|of| of.0).flat_map(|sum| [sum, f32::NAN]).collect()),
            references: &list(values.iter().flat_map(|of| of.1).collect()),
            scale: &list(vec![SCALE]),
            losses: &losses,
            coefficients: &coefficients,
        };
        loss.record(recorder, &pairs, weights)
    });
    (read(gpu, &losses), read(gpu, &coefficients))
}

fn twin(loss: PreferenceLoss, values: &Values, weights: Weights) -> (Vec<f64>, Vec<f64>) {
    let weights = reference::Weights {
        beta: f64::from(weights.beta),
        label_smoothing: f64::from(weights.label_smoothing),
        gamma: f64::from(weights.gamma),
        sft_weight: f64::from(weights.sft_weight),
    };
    let terms = values.iter().map(|(policies, references, lengths)| {
        let pair = reference::Pair {
            log_probs: policies.map(f64::from),
            references: references.map(f64::from),
            lengths: lengths.map(f64::from),
        };
        reference::finish(&pair, &weights, f64::from(SCALE), reference::term(loss.name(), &pair, &weights))
    });
    let (losses, gradients): (Vec<f64>, Vec<[f64; 2]>) = terms.unzip();
    (losses, gradients.concat())
}

fn weights(sft_weight: f32) -> Weights {
    Weights { beta: 0.3, label_smoothing: 0.2, gamma: 0.5, sft_weight }
}

#[test]
fn losses_agree_in_value_and_gradient() {
    everywhere(|gpu| {
        for pairs in [1, 7, 70] {
            let values: Values = (0..pairs)
                .map(|i| {
                    let of = random(4, i as u64);
                    // Policies between −24 and −4, references near them.
                    let policy = [of[0], of[1]].map(|v| 10.0 * v - 14.0);
                    ([policy[0], policy[1]], [policy[0] + 4.0 * of[2], policy[1] + 4.0 * of[3]], [1 + i % 9, 3 + i % 5])
                })
                .collect();
            for loss in PreferenceLoss::ALL {
                for sft_weight in [0.0, 0.6] {
                    let (losses, gradients) = device(gpu, loss, &values, weights(sft_weight));
                    let (expected, expected_gradients) = twin(loss, &values, weights(sft_weight));
                    assert_close(&format!("{loss} losses, {pairs} pairs"), &losses, &expected, F32);
                    assert_close(&format!("{loss} gradients, {pairs} pairs"), &gradients, &expected_gradients, F32);
                }
            }
        }
    });
}

#[test]
fn extreme_log_probs_give_finite_losses_and_gradients() {
    everywhere(|gpu| {
        let extremes = [-1e5, -1e3, -1e-3, -1e-9, 0.0];
        let values: Values = extremes
            .into_iter()
            .flat_map(|chosen| extremes.map(|rejected| ([chosen, rejected], [-1e3, -1e3], [5, 7])))
            .collect();
        for loss in PreferenceLoss::ALL {
            let (losses, gradients) = device(gpu, loss, &values, weights(0.0));
            let (expected, expected_gradients) = twin(loss, &values, weights(0.0));
            assert!(losses.iter().chain(&gradients).all(|value| value.is_finite()), "{loss} {losses:?} {gradients:?}");
            // One by one, as the largest would hide the others; small ones are the rest of a sum with one.
            for ((value, _, _), (actual, expected)) in values.iter().zip(losses.iter().zip(&expected)) {
                let off = (f64::from(*actual) - expected).abs();
                assert!(off < 2e-6 * (1.0 + expected.abs()), "{loss} of {value:?}: {actual} instead of {expected}");
            }
            assert_close(&format!("{loss} gradients"), &gradients, &expected_gradients, F32);
        }
    });
}

#[test]
fn lists_that_are_too_short_are_refused() {
    let gpu = open(Mode::Trusted, None);
    let offsets = Tensor::workspace(&gpu, "offsets", 5, Dtype::U32).unwrap();
    let four = vector(&gpu, Layout::plain(4), &[0.0; 4]);
    let pairs = |sums, losses| Pairs {
        pairs: 2,
        offsets: &offsets,
        sums,
        references: &four,
        scale: &four,
        losses,
        coefficients: &four,
    };
    let eight = vector(&gpu, Layout::plain(8), &[0.0; 8]);
    let mut recording = Recording::new();
    let mut record =
        |pairs| PreferenceLoss::Sigmoid.record(&mut recording.recorder(&gpu), &pairs, weights(0.0)).is_ok();
    assert!(record(pairs(&eight, &four)));
    assert!(!record(pairs(&four, &four)));
    assert!(!record(pairs(&eight, &offsets)));
}
