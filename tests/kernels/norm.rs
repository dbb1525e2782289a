use wgr::gpu::{Dtype, Layout, Tensor};
use wgr::kernels::{column_sum, rms_norm};
use wgr::reference;

use crate::harness::*;

const EPS: f32 = 1e-5;

#[test]
fn rms_norm_agrees() {
    everywhere(|gpu| {
        for (rows, columns) in [(1, 5), (7, 36), (70, 50)] {
            for (dtype, tolerance) in [(Dtype::F32, F32), (Dtype::Bf16, BF16), (Dtype::F16, F16)] {
                let (x, w) = (random(rows * columns, 1), random(columns, 2));
                let layout = Layout::plain(columns);
                let y = activation(gpu, layout, &vec![0.0; rows * columns], dtype);
                let rstd = Tensor::workspace(gpu, "rstd", rows, Dtype::F32).unwrap();
                run(gpu, |recorder| {
                    let x = activation(gpu, layout, &x, Dtype::F32);
                    rms_norm::forward(recorder, rows, &x, &vector(gpu, layout, &w), &y, &rstd, EPS)
                });
                let (expected, expected_rstd) = reference::rms_norm::forward(columns, &wide(&x), &wide(&w), EPS.into());
                assert_close("rms_norm y", &read(gpu, &y), &expected, tolerance);
                assert_close("rms_norm rstd", &read(gpu, &rstd), &expected_rstd, F32);
            }
        }
    });
}

#[test]
fn rms_norm_gradients_agree_and_accumulate() {
    everywhere(|gpu| {
        // The last case is a q/k norm: two heads of ten values, each padded by halves.
        for (rows, heads, layout) in
            [(1, 1, Layout::plain(5)), (70, 1, Layout::plain(36)), (33, 2, Layout::heads(1, 10))]
        {
            let columns = layout.len();
            let all = if heads == 1 { layout } else { Layout::heads(heads, columns) };
            let values = rows * heads * columns;
            let (x, w, d_y, before) = (random(values, 1), random(columns, 2), random(values, 3), random(values, 4));
            let before_w = random(columns, 5);
            let (_, rstd) = reference::rms_norm::forward(columns, &wide(&x), &wide(&w), EPS.into());
            let d_x = activation(gpu, all, &before, Dtype::F32);
            let d_w = vector(gpu, layout, &before_w);
            run(gpu, |recorder| {
                let (x, d_y) = (activation(gpu, all, &x, Dtype::F32), activation(gpu, all, &d_y, Dtype::F32));
                let narrow: Vec<f32> = rstd.iter().map(|v| *v as f32).collect();
                let rstd = Tensor::workspace(gpu, "rstd", narrow.len(), Dtype::F32)?;
                rstd.write_f32(gpu, &narrow);
                let chunks = Tensor::workspace(gpu, "chunks", 3 * layout.padded(), Dtype::F32)?;
                rms_norm::backward(recorder, rows, &d_y, &x, &vector(gpu, layout, &w), &rstd, &d_x, true)?;
                rms_norm::backward_weight(recorder, rows, &d_y, &x, &rstd, &d_w, &chunks)
            });
            let mut expected = reference::rms_norm::backward(columns, &wide(&d_y), &wide(&x), &wide(&w), &rstd);
            expected.iter_mut().zip(&before).for_each(|(e, b)| *e += f64::from(*b));
            assert_close("rms_norm d_x", &read(gpu, &d_x), &expected, F32);
            let mut expected = reference::rms_norm::backward_weight(columns, &wide(&d_y), &wide(&x), &rstd);
            expected.iter_mut().zip(&before_w).for_each(|(e, b)| *e += f64::from(*b));
            assert_close("rms_norm d_weight", &read(gpu, &d_w), &expected, F32);
        }
    });
}

#[test]
fn column_sum_agrees_and_accumulates() {
    everywhere(|gpu| {
        for (rows, columns) in [(1, 5), (100, 36)] {
            let (x, before) = (random(rows * columns, 1), random(columns, 2));
            let layout = Layout::plain(columns);
            let sum = vector(gpu, layout, &before);
            run(gpu, |recorder| {
                let x = activation(gpu, layout, &x, Dtype::F32);
                let chunks = Tensor::workspace(gpu, "chunks", 4 * layout.padded(), Dtype::F32)?;
                column_sum::forward(recorder, rows, &x, &sum, &chunks)
            });
            let mut expected = reference::column_sum::forward(rows, columns, &wide(&x));
            expected.iter_mut().zip(&before).for_each(|(e, b)| *e += f64::from(*b));
            assert_close("column_sum", &read(gpu, &sum), &expected, F32);
        }
    });
}
