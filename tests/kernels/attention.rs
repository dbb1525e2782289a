use wgr::gpu::{Dtype, Gpu, Layout, Tensor};
use wgr::kernels::attention::Attention;
use wgr::reference;

use crate::harness::*;

struct Case {
    shape: Attention,
    offsets: Vec<usize>,
    dtype: Dtype,
}

fn spans(offsets: &[usize]) -> Vec<u32> {
    offsets
        .windows(2)
        .flat_map(|pair| std::iter::repeat_n([pair[0] as u32, pair[1] as u32], pair[1] - pair[0]))
        .flatten()
        .collect()
}

fn check(gpu: &Gpu, case: &Case) {
    let Case { shape, offsets, dtype } = case;
    let tokens = *offsets.last().unwrap();
    let (query, key_value) = (shape.query_layout(), shape.key_value_layout());
    let fill = |layout: Layout, seed| stored(&random(tokens * layout.len(), seed), *dtype);
    let (q, k, v) = (fill(query, 1), fill(key_value, 2), fill(key_value, 3));
    let d_o = random(tokens * query.len(), 4);
    let o = activation(gpu, query, &vec![0.0; d_o.len()], *dtype);
    let empty = |layout: Layout| activation(gpu, layout, &vec![9.0; tokens * layout.len()], Dtype::F32);
    let (dq, dk, dv) = (empty(query), empty(key_value), empty(key_value));
    run(gpu, |recorder| {
        let span_tensor = Tensor::workspace(gpu, "spans", tokens * 2, Dtype::U32)?;
        span_tensor.write_u32(gpu, &spans(offsets));
        let stats = Tensor::workspace(gpu, "stats", tokens * shape.heads * 2, Dtype::F32)?;
        let (q, k, v) = (
            activation(gpu, query, &q, *dtype),
            activation(gpu, key_value, &k, *dtype),
            activation(gpu, key_value, &v, *dtype),
        );
        let d_o = activation(gpu, query, &d_o, Dtype::F32);
        shape.forward(recorder, tokens, &span_tensor, &q, &k, &v, &o, &stats)?;
        shape.backward(recorder, tokens, &span_tensor, [&q, &k, &v, &o], &stats, &d_o, [&dq, &dk, &dv])
    });
    let twin = reference::attention::Attention {
        heads: shape.heads,
        key_value_heads: shape.key_value_heads,
        head_dim: shape.head_dim,
        causal: shape.causal,
        window: shape.window,
        offsets: offsets.clone(),
    };
    let (q, k, v, d_o) = (wide(&q), wide(&k), wide(&v), wide(&d_o));
    let tolerance = if *dtype == Dtype::Bf16 { BF16 } else { F32 };
    assert_close("attention o", &read(gpu, &o), &twin.forward(&q, &k, &v), tolerance);
    let gradients = twin.backward(&q, &k, &v, &d_o);
    for (name, (actual, expected)) in ["dq", "dk", "dv"].iter().zip([&dq, &dk, &dv].iter().zip(&gradients)) {
        assert_close(&format!("attention {name} {shape:?}"), &read(gpu, actual), expected, tolerance);
    }
}

#[test]
fn attention_and_its_gradients_agree() {
    let shape = |heads, key_value_heads, head_dim, causal, window| Attention {
        heads,
        key_value_heads,
        head_dim,
        causal,
        window,
    };
    let offsets = vec![0, 1, 20, 27, 60];
    everywhere(|gpu| {
        for (shape, dtype) in [
            (shape(4, 2, 16, true, None), Dtype::F32),
            (shape(3, 1, 10, true, None), Dtype::F32),
            (shape(2, 2, 12, false, None), Dtype::F32),
            (shape(2, 1, 8, true, Some(5)), Dtype::F32),
            (shape(2, 1, 64, true, None), Dtype::Bf16),
        ] {
            check(gpu, &Case { shape, offsets: offsets.clone(), dtype });
        }
    });
}

#[test]
fn attention_takes_the_largest_head() {
    let shape = Attention { heads: 2, key_value_heads: 1, head_dim: 128, causal: true, window: None };
    check(&open(wgr::gpu::Mode::Trusted, None), &Case { shape, offsets: vec![0, 11, 40], dtype: Dtype::F32 });
}

#[test]
fn attention_does_not_see_its_neighbours() {
    // The second sequence alone gives the same bits as behind another one that starts on the same block boundary.
    let shape = Attention { heads: 2, key_value_heads: 1, head_dim: 16, causal: true, window: None };
    let gpu = open(wgr::gpu::Mode::Trusted, None);
    let block = gpu.subgroup_size().max(16) as usize * 4;
    let values = |layout: Layout, tokens: usize, seed| random(tokens * layout.len(), seed);
    let (query, key_value) = (shape.query_layout(), shape.key_value_layout());
    let tail = [values(query, 20, 1), values(key_value, 20, 2), values(key_value, 20, 3)];
    let output = |offsets: &[usize], lead: usize| {
        let tokens = *offsets.last().unwrap();
        let inputs =
            [(query, 5), (key_value, 6), (key_value, 7)].into_iter().zip(&tail).map(|((layout, seed), tail)| {
                let all = [values(layout, lead, seed), tail.clone()].concat();
                activation(&gpu, layout, &all, Dtype::F32)
            });
        let inputs: Vec<Tensor> = inputs.collect();
        let o = activation(&gpu, query, &vec![0.0; tokens * query.len()], Dtype::F32);
        run(&gpu, |recorder| {
            let span_tensor = Tensor::workspace(&gpu, "spans", tokens * 2, Dtype::U32)?;
            span_tensor.write_u32(&gpu, &spans(offsets));
            let stats = Tensor::workspace(&gpu, "stats", tokens * shape.heads * 2, Dtype::F32)?;
            shape.forward(recorder, tokens, &span_tensor, &inputs[0], &inputs[1], &inputs[2], &o, &stats)
        });
        read(&gpu, &o)[lead * query.len()..].to_vec()
    };
    assert_eq!(output(&[0, 20], 0), output(&[0, block, block + 20], block));
}
