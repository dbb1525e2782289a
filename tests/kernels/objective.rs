use wgr::gpu::{Dtype, Gpu, Layout, Tensor};
use wgr::kernels::objective::{Biases, Rows};
use wgr::objective::{Objective, initial_biases};
use wgr::reference::objective as reference;

use crate::harness::*;

const SCALE: f32 = 0.37;
/// Even, for pairs; the last needs several chunks in the sum over rows.
const SIZES: [usize; 3] = [2, 8, 70];
/// Up to two groups of four thresholds.
const LEVELS: [usize; 5] = [2, 4, 5, 6, 9];

struct Results {
    losses: Vec<f32>,
    /// With padding.
    d_logits: Vec<f32>,
    d_biases: Vec<f32>,
}

/// What an objective computes on the device; the gradient of the biases starts at their values.
fn device(gpu: &Gpu, objective: Objective, logits: &[f32], labels: &[f32], biases: &[f32]) -> Results {
    let (sequences, thresholds) = (labels.len(), Layout::plain(biases.len()));
    let columns = Layout::plain(logits.len() / sequences);
    let list = |values: &[f32]| vector(gpu, Layout::plain(values.len()), values);
    let losses = list(&vec![9.0; sequences]);
    // Declared with its padding, so that reading it back shows what was written there.
    let d_logits =
        activation(gpu, Layout::plain(columns.padded()), &vec![9.0; sequences * columns.padded()], Dtype::F32);
    let d_biases = list(biases);
    run(gpu, |recorder| {
        let rows = Rows {
            sequences,
            labels: &list(labels),
            scale: &list(&[SCALE]),
            logits: &activation(gpu, columns, logits, Dtype::F32),
            losses: &losses,
            d_logits: &d_logits,
        };
        let biases = Biases {
            biases: &list(biases),
            d_biases: &d_biases,
            d_z: &activation(gpu, thresholds, &vec![9.0; sequences * biases.len()], Dtype::F32),
            chunks: &Tensor::workspace(gpu, "chunks", 3 * thresholds.padded(), Dtype::F32)?,
        };
        objective.record(recorder, &rows, Some(&biases))
    });
    Results { losses: read(gpu, &losses), d_logits: read(gpu, &d_logits), d_biases: read(gpu, &d_biases) }
}

fn twin(objective: Objective, logits: &[f64], labels: &[f64], biases: &[f64]) -> [Vec<f64>; 3] {
    let scale = f64::from(SCALE);
    let (losses, d_logits, d_biases) = match objective {
        Objective::Coral => reference::coral(logits, biases, labels, scale),
        other => {
            let (losses, d_logits) = match other {
                Objective::Ordinal => reference::ordinal(biases.len(), logits, labels, scale),
                Objective::Corn => reference::corn(biases.len(), logits, labels, scale),
                Objective::Pairwise => reference::pairwise(logits, labels, scale),
                _ => reference::regression(logits, labels, scale),
            };
            (losses, d_logits, vec![0.0; biases.len()])
        }
    };
    [losses, d_logits, d_biases.iter().zip(biases).map(|(gradient, before)| gradient + before).collect()]
}

fn padded(values: &[f64], columns: usize) -> Vec<f64> {
    let zeros = columns.next_multiple_of(4) - columns;
    values.chunks_exact(columns).flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0.0, zeros))).collect()
}

#[test]
fn objectives_agree_in_loss_and_gradient() {
    everywhere(|gpu| {
        for objective in Objective::ALL {
            for (levels, sequences) in LEVELS.into_iter().flat_map(|levels| SIZES.map(|sequences| (levels, sequences)))
            {
                let columns = objective.logits(levels);
                let logits: Vec<f32> = random(sequences * columns, 1).iter().map(|z| 6.0 * z).collect();
                // Levels, or for pairs their margins.
                let labels: Vec<f32> = (0..sequences).map(|row| (1 + row * 7 % levels) as f32).collect();
                let biases = initial_biases(levels);
                let actual = device(gpu, objective, &logits, &labels, &biases);
                let [losses, d_logits, d_biases] = twin(objective, &wide(&logits), &wide(&labels), &wide(&biases));
                let what = |part| format!("{objective} {part}, {levels} levels, {sequences} sequences");
                assert_close(&what("losses"), &actual.losses, &losses, F32);
                assert_close(&what("d_logits"), &actual.d_logits, &padded(&d_logits, columns), F32);
                assert_close(&what("d_biases"), &actual.d_biases, &d_biases, F32);
            }
        }
    });
}

#[test]
fn extreme_logits_give_finite_losses_and_gradients() {
    everywhere(|gpu| {
        let labels = [1.0, 3.0, 3.0, 1.0];
        for objective in [Objective::Ordinal, Objective::Coral, Objective::Corn, Objective::Pairwise] {
            for size in [100.0, 1e4] {
                let columns = objective.logits(3);
                // Right and wrong by as much, in every row.
                let logits: Vec<f32> = (0..4 * columns).map(|i| if i % 3 == 0 { size } else { -size }).collect();
                let biases = initial_biases(3);
                let actual = device(gpu, objective, &logits, &labels, &biases);
                let [losses, d_logits, d_biases] = twin(objective, &wide(&logits), &wide(&labels), &wide(&biases));
                assert_close(&format!("{objective} losses at {size}"), &actual.losses, &losses, F32);
                assert_close(
                    &format!("{objective} d_logits at {size}"),
                    &actual.d_logits,
                    &padded(&d_logits, columns),
                    F32,
                );
                assert_close(&format!("{objective} d_biases at {size}"), &actual.d_biases, &d_biases, F32);
            }
        }
    });
}

#[test]
fn half_a_pair_and_missing_biases_are_refused() {
    let gpu = open(wgr::gpu::Mode::Trusted, None);
    let three = vector(&gpu, Layout::plain(3), &[1.0; 3]);
    let column = activation(&gpu, Layout::plain(1), &[0.0; 3], Dtype::F32);
    let rows = Rows { sequences: 3, labels: &three, scale: &three, logits: &column, losses: &three, d_logits: &column };
    let mut recording = wgr::gpu::Recording::new();
    for objective in [Objective::Pairwise, Objective::Coral] {
        assert!(objective.record(&mut recording.recorder(&gpu), &rows, None).is_err(), "{objective}");
    }
    let too_many = Rows { sequences: 4, ..rows };
    assert!(Objective::Regression.record(&mut recording.recorder(&gpu), &too_many, None).is_err());
}
