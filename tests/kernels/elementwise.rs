use wgr::gpu::{Dtype, Layout, Mode, Recording};
use wgr::kernels::gelu::{self, Gelu};
use wgr::kernels::{add, narrow, swiglu};
use wgr::reference;

use crate::harness::*;

const SHAPES: [(usize, usize); 2] = [(1, 5), (33, 50)];
const STORAGE: [(Dtype, f64); 2] = [(Dtype::F32, F32), (Dtype::Bf16, BF16)];
const F16_STORAGE: (Dtype, f64) = (Dtype::F16, F16);

/// Values from −8 to 8, where activations bend.
fn bent(len: usize, seed: u64) -> Vec<f32> {
    random(len, seed).iter().map(|v| 8.0 * v).collect()
}

#[test]
fn swiglu_agrees_forward_and_backward() {
    everywhere(|gpu| {
        for (rows, columns) in SHAPES {
            for (dtype, tolerance) in STORAGE.into_iter().chain([F16_STORAGE]) {
                let layout = Layout::plain(columns);
                let gate = stored(&bent(rows * columns, 1), dtype);
                let (up, d_y) = (stored(&random(rows * columns, 2), dtype), random(rows * columns, 3));
                let y = activation(gpu, layout, &vec![0.5; rows * columns], dtype);
                let [d_gate, d_up] = [(); 2].map(|()| activation(gpu, layout, &vec![0.5; rows * columns], Dtype::F32));
                run(gpu, |recorder| {
                    let (gate, up) = (activation(gpu, layout, &gate, dtype), activation(gpu, layout, &up, dtype));
                    let d_y = activation(gpu, layout, &d_y, Dtype::F32);
                    swiglu::forward(recorder, rows, &gate, &up, &y)?;
                    swiglu::backward(recorder, rows, &d_y, &gate, &up, &d_gate, &d_up)
                });
                let (gate, up, d_y) = (wide(&gate), wide(&up), wide(&d_y));
                assert_close("swiglu y", &read(gpu, &y), &reference::swiglu::forward(&gate, &up), tolerance);
                let (expected_d_gate, expected_d_up) = reference::swiglu::backward(&d_y, &gate, &up);
                assert_close("swiglu d_gate", &read(gpu, &d_gate), &expected_d_gate, F32);
                assert_close("swiglu d_up", &read(gpu, &d_up), &expected_d_up, F32);
            }
        }
    });
}

#[test]
fn gelu_agrees() {
    everywhere(|gpu| {
        for (rows, columns) in SHAPES {
            for (dtype, tolerance) in STORAGE {
                for kind in [Gelu::Erf, Gelu::Tanh] {
                    let layout = Layout::plain(columns);
                    let x = stored(&bent(rows * columns, 1), dtype);
                    let y = activation(gpu, layout, &vec![0.5; rows * columns], dtype);
                    run(gpu, |recorder| gelu::forward(recorder, rows, kind, &activation(gpu, layout, &x, dtype), &y));
                    let expected = match kind {
                        Gelu::Erf => reference::gelu::forward_erf(&wide(&x)),
                        Gelu::Tanh => reference::gelu::forward_tanh(&wide(&x)),
                    };
                    assert_close(&format!("gelu {kind:?} y"), &read(gpu, &y), &expected, tolerance);
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
        let outputs: Vec<_> = (0..5).map(|_| activation(gpu, layout, &[0.5; 4], Dtype::F32)).collect();
        run(gpu, |recorder| {
            let x = activation(gpu, layout, &x, Dtype::F32);
            swiglu::forward(recorder, 1, &x, &ones, &outputs[0])?;
            gelu::forward(recorder, 1, Gelu::Erf, &x, &outputs[1])?;
            gelu::forward(recorder, 1, Gelu::Tanh, &x, &outputs[2])?;
            swiglu::backward(recorder, 1, &ones, &x, &ones, &outputs[3], &outputs[4])
        });
        let read: Vec<Vec<f32>> = outputs.iter().map(|tensor| read(gpu, tensor)).collect();
        for values in [&read[0], &read[1], &read[2], &read[4]] {
            assert_eq!(*values, [0.0, 0.0, 200.0, 1e15]);
        }
        assert_eq!(read[3], [0.0, 0.0, 1.0, 1.0]);
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
    // Another storage type, other columns, too few rows.
    assert!(swiglu::forward(recorder, 1, &of(8, Dtype::F32), &of(8, Dtype::Bf16), &of(8, Dtype::F32)).is_err());
    assert!(add::forward(recorder, 1, &of(8, Dtype::F32), &of(16, Dtype::F32)).is_err());
    assert!(add::forward(recorder, 2, &of(8, Dtype::F32), &of(8, Dtype::F32)).is_err());
    assert!(recording.is_empty());
}

#[test]
fn narrow_rounds_to_the_nearest_value_of_f16() {
    // Ties, the smallest values, both ends of the range and what is beyond it.
    let tiny = 2f32.powi(-24);
    let ends =
        [65504.0, 65519.9, 65520.0, -1e5, 0.5 * tiny, 1.5 * tiny, 6e-5, -0.0, 1.0 + 2f32.powi(-11), f32::INFINITY];
    let x: Vec<f32> = ends
        .into_iter()
        .chain([f32::NAN])
        .chain(random(33 * 50 - ends.len() - 1, 1).iter().map(|v| 100.0 * v))
        .collect();
    everywhere(|gpu| {
        let layout = Layout::plain(50);
        let y = activation(gpu, layout, &vec![0.5; x.len()], Dtype::F16);
        run(gpu, |recorder| narrow::forward(recorder, 33, &activation(gpu, layout, &x, Dtype::F32), &y));
        let values = read(gpu, &y).into_iter().zip(reference::narrow::forward(&x));
        for (i, (actual, expected)) in values.enumerate() {
            assert!(actual == expected || actual.is_nan() && expected.is_nan(), "{}: {actual} not {expected}", x[i]);
        }
    });
}
