use wgr::gpu::{Dtype, Gpu, Layout, Mode, Tensor};
use wgr::kernels::pooling::{self, Pooling};
use wgr::kernels::product::{self, Epilogue};
use wgr::kernels::{l2_norm, layer_norm};
use wgr::reference;

use crate::harness::*;

const EPS: f32 = 1e-5;

/// Three packed sequences: one that fills a part of the tokens, one of a single token, one that ends with them.
const OFFSETS: [usize; SEQUENCES + 1] = [0, 5, 6, TOKENS];
const SEQUENCES: usize = 3;
const TOKENS: usize = 33;

fn offsets(gpu: &Gpu) -> Tensor {
    let list = Tensor::workspace(gpu, "offsets", OFFSETS.len(), Dtype::U32).unwrap();
    list.write_u32(gpu, &OFFSETS.map(|offset| offset as u32));
    list
}

/// Values far from zero, whose squares would swamp their variance.
fn shifted(len: usize, seed: u64) -> Vec<f32> {
    random(len, seed).iter().map(|v| v + 3.0).collect()
}

#[test]
fn layer_norm_agrees() {
    everywhere(|gpu| {
        for (rows, columns) in [(1, 5), (7, 36), (70, 50)] {
            for (dtype, tolerance) in [(Dtype::F32, F32), (Dtype::Bf16, BF16)] {
                let (x, weight, bias) = (shifted(rows * columns, 1), random(columns, 2), random(columns, 3));
                let layout = Layout::plain(columns);
                let y = activation(gpu, layout, &vec![0.5; rows * columns], dtype);
                run(gpu, |recorder| {
                    let (weight, bias) = (vector(gpu, layout, &weight), vector(gpu, layout, &bias));
                    let x = activation(gpu, layout, &x, Dtype::F32);
                    layer_norm::forward(recorder, rows, &x, &weight, &bias, &y, EPS)
                });
                let expected = reference::layer_norm::forward(&wide(&x), &wide(&weight), &wide(&bias), EPS.into());
                assert_close("layer_norm y", &read(gpu, &y), &expected, tolerance);
            }
        }
    });
}

#[test]
fn layer_norm_leaves_the_padding_zero() {
    let gpu = open(Mode::Trusted, None);
    let (rows, layout) = (3, Layout::plain(5));
    let x = activation(&gpu, layout, &shifted(rows * layout.len(), 1), Dtype::F32);
    let y = activation(&gpu, layout, &[0.0; 15], Dtype::F32);
    // Reading a tensor back hides its padding; a product with the last three of eight columns shows it.
    let padding = [[0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]; 4].concat();
    let padding = parameter(&gpu, Layout::plain(4), Layout::plain(8), &padding, Dtype::F32);
    let sums = activation(&gpu, Layout::plain(4), &[0.5; 12], Dtype::F32);
    run(&gpu, |recorder| {
        let (weight, bias) = (vector(&gpu, layout, &[1.0; 5]), vector(&gpu, layout, &[0.5; 5]));
        layer_norm::forward(recorder, rows, &x, &weight, &bias, &y, EPS)?;
        product::nt(recorder, rows, &y, &padding, &sums, Epilogue::default())
    });
    assert_eq!(read(&gpu, &sums), [0.0; 12]);
}

#[test]
fn pooling_agrees() {
    everywhere(|gpu| {
        for columns in [5, 50] {
            for pooling in [Pooling::First, Pooling::Last, Pooling::Mean] {
                let layout = Layout::plain(columns);
                let x = random(TOKENS * columns, 1);
                let y = activation(gpu, layout, &vec![0.5; SEQUENCES * columns], Dtype::F32);
                run(gpu, |recorder| {
                    let x = activation(gpu, layout, &x, Dtype::F32);
                    pooling::forward(recorder, TOKENS, SEQUENCES, pooling, &offsets(gpu), &x, &y)
                });
                let twin = match pooling {
                    Pooling::First => reference::pooling::forward_first,
                    Pooling::Last => reference::pooling::forward_last,
                    Pooling::Mean => reference::pooling::forward_mean,
                };
                let expected = twin(columns, &OFFSETS, &wide(&x));
                assert_close(&format!("pooling {pooling:?} y"), &read(gpu, &y), &expected, F32);
            }
        }
    });
}

#[test]
fn the_gradient_of_the_last_token_agrees() {
    everywhere(|gpu| {
        for columns in [5, 50] {
            let layout = Layout::plain(columns);
            let d_y = random(SEQUENCES * columns, 2);
            let d_x = activation(gpu, layout, &vec![0.5; TOKENS * columns], Dtype::F32);
            run(gpu, |recorder| {
                let d_y = activation(gpu, layout, &d_y, Dtype::F32);
                pooling::backward(recorder, TOKENS, SEQUENCES, &offsets(gpu), &d_y, &d_x)
            });
            let expected = reference::pooling::backward_last(columns, &OFFSETS, &wide(&d_y));
            assert_close("pooling d_x", &read(gpu, &d_x), &expected, F32);
        }
    });
}

#[test]
fn l2_norm_agrees_and_leaves_zero_rows_alone() {
    everywhere(|gpu| {
        for (rows, columns) in [(1, 5), (7, 36), (70, 50)] {
            let mut x = random(rows * columns, 1);
            x[..columns].fill(if rows > 1 { 0.0 } else { 3.0 });
            let layout = Layout::plain(columns);
            let y = activation(gpu, layout, &vec![0.5; rows * columns], Dtype::F32);
            run(gpu, |recorder| l2_norm::forward(recorder, rows, &activation(gpu, layout, &x, Dtype::F32), &y));
            assert_close("l2_norm y", &read(gpu, &y), &reference::l2_norm::forward(columns, &wide(&x)), F32);
        }
    });
}
