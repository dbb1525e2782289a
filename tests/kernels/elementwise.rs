use wgr::gpu::{Dtype, Layout, Mode, Recording};
use wgr::kernels::gelu::{self, Gelu};
use wgr::kernels::{add, cast, swiglu};
use wgr::reference;

use crate::harness::*;

const SHAPES: [(usize, usize); 2] = [(1, 5), (33, 50)];
const STORAGE: [(Dtype, f64); 2] = [(Dtype::F32, F32), (Dtype::Bf16, BF16)];

/// Values from −8 to 8, where activations bend.
fn bent(len: usize, seed: u64) -> Vec<f32> {
    random(len, seed).iter().map(|v| 8.0 * v).collect()
}

#[test]
fn swiglu_agrees_forward_and_backward() {
    everywhere(|gpu| {
        for (rows, columns) in SHAPES {
            for (dtype, tolerance) in STORAGE {
                let layout = Layout::plain(columns);
                let gate = stored(&bent(rows * columns, 1), dtype);
                let (up, dy) = (stored(&random(rows * columns, 2), dtype), random(rows * columns, 3));
                let y = activation(gpu, layout, &vec![0.5; rows * columns], dtype);
                let [dgate, dup] = [(); 2].map(|()| activation(gpu, layout, &vec![0.5; rows * columns], Dtype::F32));
                run(gpu, |recorder| {
                    let (gate, up) = (activation(gpu, layout, &gate, dtype), activation(gpu, layout, &up, dtype));
                    let dy = activation(gpu, layout, &dy, Dtype::F32);
                    swiglu::forward(recorder, rows, &gate, &up, &y)?;
                    swiglu::backward(recorder, rows, &dy, &gate, &up, &dgate, &dup)
                });
                let (gate, up, dy) = (wide(&gate), wide(&up), wide(&dy));
                assert_close("swiglu y", &read(gpu, &y), &reference::swiglu::forward(&gate, &up), tolerance);
                let (expected_dgate, expected_dup) = reference::swiglu::backward(&dy, &gate, &up);
                assert_close("swiglu dgate", &read(gpu, &dgate), &expected_dgate, F32);
                assert_close("swiglu dup", &read(gpu, &dup), &expected_dup, F32);
            }
        }
    });
}

#[test]
fn gelu_agrees_forward_and_backward() {
    everywhere(|gpu| {
        for (rows, columns) in SHAPES {
            for (dtype, tolerance) in STORAGE {
                for kind in [Gelu::Erf, Gelu::Tanh] {
                    let layout = Layout::plain(columns);
                    let (x, dy) = (stored(&bent(rows * columns, 1), dtype), random(rows * columns, 2));
                    let y = activation(gpu, layout, &vec![0.5; rows * columns], dtype);
                    let dx = activation(gpu, layout, &vec![0.5; rows * columns], Dtype::F32);
                    run(gpu, |recorder| {
                        let dy = activation(gpu, layout, &dy, Dtype::F32);
                        let x = activation(gpu, layout, &x, dtype);
                        gelu::forward(recorder, rows, kind, &x, &y)?;
                        gelu::backward(recorder, rows, kind, &dy, &x, &dx)
                    });
                    let (x, dy) = (wide(&x), wide(&dy));
                    let (expected_y, expected_dx) = match kind {
                        Gelu::Erf => (reference::gelu::forward_erf(&x), reference::gelu::backward_erf(&dy, &x)),
                        Gelu::Tanh => (reference::gelu::forward_tanh(&x), reference::gelu::backward_tanh(&dy, &x)),
                    };
                    assert_close(&format!("gelu {kind:?} y"), &read(gpu, &y), &expected_y, tolerance);
                    assert_close(&format!("gelu {kind:?} dx"), &read(gpu, &dx), &expected_dx, F32);
                }
            }
        }
    });
}

#[test]
fn activations_stay_finite_at_both_ends() {
    everywhere(|gpu| {
        let (layout, x) = (Layout::plain(4), [-1e15, -200.0, 200.0, 1e15]);
        let ones = activation(gpu, layout, &[1.0; 4], Dtype::F32);
        let outputs: Vec<_> = (0..7).map(|_| activation(gpu, layout, &[0.5; 4], Dtype::F32)).collect();
        run(gpu, |recorder| {
            let x = activation(gpu, layout, &x, Dtype::F32);
            swiglu::forward(recorder, 1, &x, &ones, &outputs[0])?;
            gelu::forward(recorder, 1, Gelu::Erf, &x, &outputs[1])?;
            gelu::forward(recorder, 1, Gelu::Tanh, &x, &outputs[2])?;
            swiglu::backward(recorder, 1, &ones, &x, &ones, &outputs[3], &outputs[4])?;
            gelu::backward(recorder, 1, Gelu::Erf, &ones, &x, &outputs[5])?;
            gelu::backward(recorder, 1, Gelu::Tanh, &ones, &x, &outputs[6])
        });
        let read: Vec<Vec<f32>> = outputs.iter().map(|tensor| read(gpu, tensor)).collect();
        for values in [&read[0], &read[1], &read[2], &read[4]] {
            assert_eq!(*values, [0.0, 0.0, 200.0, 1e15]);
        }
        for slopes in [&read[3], &read[5], &read[6]] {
            assert_eq!(*slopes, [0.0, 0.0, 1.0, 1.0]);
        }
    });
}

#[test]
fn cast_rounds_to_the_nearest_value_across_shards() {
    everywhere(|gpu| {
        let (rows, columns) = (301, 50);
        let mut values = random(rows * columns, 1);
        // Halfway between two bf16 values, once below an even and once below an odd one; subnormal in f16.
        values[..4].copy_from_slice(&[1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, 3.0e-6, 0.0]);
        let parameter =
            |values: &[f32], dtype| parameter(gpu, Layout::plain(rows), Layout::plain(columns), values, dtype);
        for (dtype, mantissa, min_exponent) in [(Dtype::Bf16, 7, -126), (Dtype::F16, 10, -14)] {
            let narrow = parameter(&vec![0.5; rows * columns], dtype);
            let back = parameter(&vec![0.5; rows * columns], Dtype::F32);
            run(gpu, |recorder| {
                cast::forward(recorder, &parameter(&values, Dtype::F32), &narrow)?;
                cast::forward(recorder, &narrow, &back)
            });
            let expected: Vec<f32> =
                values.iter().map(|v| reference::cast::round(*v, mantissa, min_exponent) as f32).collect();
            assert_eq!(read(gpu, &narrow), expected);
            assert_eq!(read(gpu, &back), expected);
        }
    });
}

#[test]
fn add_agrees() {
    everywhere(|gpu| {
        for (rows, columns) in SHAPES {
            let (x, y) = (random(rows * columns, 1), random(rows * columns, 2));
            let sum = activation(gpu, Layout::plain(columns), &y, Dtype::F32);
            run(gpu, |recorder| {
                add::forward(recorder, rows, &activation(gpu, Layout::plain(columns), &x, Dtype::F32), &sum)
            });
            assert_eq!(read(gpu, &sum), reference::add::forward(&x, &y));
        }
    });
}

#[test]
fn mismatched_tensors_are_refused() {
    let gpu = open(Mode::Checked, None);
    let of = |columns, dtype| activation(&gpu, Layout::plain(columns), &vec![0.0; columns], dtype);
    let mut recording = Recording::new();
    let recorder = &mut recording.recorder(&gpu);
    // Another storage type, other columns, too few rows, and a cast that no shader does.
    assert!(swiglu::forward(recorder, 1, &of(8, Dtype::F32), &of(8, Dtype::Bf16), &of(8, Dtype::F32)).is_err());
    assert!(add::forward(recorder, 1, &of(8, Dtype::F32), &of(16, Dtype::F32)).is_err());
    assert!(add::forward(recorder, 2, &of(8, Dtype::F32), &of(8, Dtype::F32)).is_err());
    assert!(cast::forward(recorder, &of(8, Dtype::Bf16), &of(8, Dtype::F16)).is_err());
    assert!(recording.is_empty());
}
