use wgr::gpu::{Dtype, Layout, Mode, Recording, Tensor};
use wgr::kernels::rope;
use wgr::reference;

use crate::harness::*;

/// Three sequences, packed.
const OFFSETS: [u32; 4] = [0, 5, 6, 17];
const FACTOR: f64 = 1.3;

#[test]
fn rope_agrees_forward_and_backward() {
    let spans: Vec<u32> = OFFSETS.windows(2).flat_map(|s| [s[0], s[1]].repeat((s[1] - s[0]) as usize)).collect();
    let tokens = spans.len() / 2;
    let positions: Vec<usize> = (0..tokens).map(|t| t - spans[2 * t] as usize).collect();
    everywhere(|gpu| {
        // Halves of five values are padded; those of eight are not.
        for (heads, head_dim) in [(1, 10), (3, 16)] {
            for (dtype, tolerance) in [(Dtype::F32, F32), (Dtype::Bf16, BF16), (Dtype::F16, F16)] {
                let frequencies: Vec<f64> = (0..head_dim / 2).map(|i| 0.7f64.powi(i)).collect();
                let layout = Layout::heads(heads, head_dim as usize);
                let before = stored(&random(tokens * layout.len(), 1), dtype);
                let [x, d_x] = [(); 2].map(|()| activation(gpu, layout, &before, dtype));
                run(gpu, |recorder| {
                    let table = rope::table(gpu, 11, &frequencies, FACTOR)?;
                    let span_list = Tensor::workspace(gpu, "spans", spans.len(), Dtype::U32)?;
                    span_list.write_u32(gpu, &spans);
                    rope::forward(recorder, tokens, &x, &table, &span_list)?;
                    rope::backward(recorder, tokens, &d_x, &table, &span_list)
                });
                let expected = reference::rope::forward(&positions, &frequencies, FACTOR, &wide(&before));
                assert_close("rope x", &read(gpu, &x), &expected, tolerance);
                let expected = reference::rope::backward(&positions, &frequencies, FACTOR, &wide(&before));
                assert_close("rope d_x", &read(gpu, &d_x), &expected, tolerance);
            }
        }
    });
}

#[test]
fn rope_keeps_its_precision_at_long_positions() {
    let gpu = open(Mode::Trusted, None);
    const TOKENS: usize = 32_000;
    let frequencies = [1.0, 0.9, 0.01, 0.001];
    let before = random(TOKENS * 8, 1);
    let x = activation(&gpu, Layout::heads(1, 8), &before, Dtype::F32);
    run(&gpu, |recorder| {
        let table = rope::table(&gpu, TOKENS, &frequencies, 1.0)?;
        let spans = Tensor::workspace(&gpu, "spans", 2 * TOKENS, Dtype::U32)?;
        spans.write_u32(&gpu, &[0, TOKENS as u32].repeat(TOKENS));
        rope::forward(recorder, TOKENS, &x, &table, &spans)
    });
    let positions: Vec<usize> = (0..TOKENS).collect();
    let expected = reference::rope::forward(&positions, &frequencies, 1.0, &wide(&before));
    assert_close("rope at long positions", &read(&gpu, &x), &expected, F32);
}

#[test]
fn rope_refuses_heads_that_do_not_fit_the_table() {
    let gpu = open(Mode::Checked, None);
    // As many groups of four as two heads of ten, but not their layout.
    let x = activation(&gpu, Layout::plain(32), &[0.0; 32], Dtype::F32);
    let spans = Tensor::workspace(&gpu, "spans", 2, Dtype::U32).unwrap();
    let table = rope::table(&gpu, 3, &[1.0; 5], 1.0).unwrap();
    let mut recording = Recording::new();
    assert!(rope::forward(&mut recording.recorder(&gpu), 1, &x, &table, &spans).is_err());
    assert!(recording.is_empty());
}
