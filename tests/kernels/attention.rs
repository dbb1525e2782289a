use wgr::gpu::{Dtype, Gpu, Layout, Mode, Options, Preset, Tensor};
use wgr::kernels::attention::{Attention, Spans};
use wgr::reference;

use crate::harness::*;

struct Case {
    shape: Attention,
    offsets: Vec<usize>,
    /// Of sequences that branch: where their completions start, the last one ending with the sequence.
    branches: Vec<Vec<usize>>,
    dtype: Dtype,
}

impl Case {
    fn plain(shape: Attention, offsets: &[usize], dtype: Dtype) -> Self {
        Self { shape, offsets: offsets.to_vec(), branches: vec![], dtype }
    }

    /// Of each token: one past the last that sees it, and the keys that it does not see.
    fn places(&self) -> Vec<([usize; 2], std::ops::Range<usize>)> {
        let sequences = self.offsets.windows(2).enumerate();
        let place = |(index, span): (usize, &[usize])| {
            let starts = self.branches.get(index).cloned().unwrap_or_default();
            let (first, end) = (span[0], span[1]);
            (first..end)
                .map(|token| match starts.iter().rposition(|start| *start <= token) {
                    None => ([first, end], 0..0),
                    Some(own) => {
                        let end = starts.get(own + 1).copied().unwrap_or(end);
                        ([first, end], starts[0]..starts[own])
                    }
                })
                .collect::<Vec<_>>()
        };
        sequences.flat_map(place).collect()
    }
}

fn spans(offsets: &[usize]) -> Vec<u32> {
    offsets
        .windows(2)
        .flat_map(|pair| std::iter::repeat_n([pair[0] as u32, pair[1] as u32], pair[1] - pair[0]))
        .flatten()
        .collect()
}

fn check(gpu: &Gpu, case: &Case) {
    let Case { shape, offsets, branches, dtype } = case;
    let tokens = *offsets.last().unwrap();
    let (query, key_value) = (shape.query_layout(), shape.key_value_layout());
    let fill = |layout: Layout, seed| stored(&random(tokens * layout.len(), seed), *dtype);
    let (q, k, v) = (fill(query, 1), fill(key_value, 2), fill(key_value, 3));
    let d_o = random(tokens * query.len(), 4);
    let o = activation(gpu, query, &vec![0.0; d_o.len()], *dtype);
    let empty = |layout: Layout| activation(gpu, layout, &vec![9.0; tokens * layout.len()], Dtype::F32);
    let (d_q, d_k, d_v) = (empty(query), empty(key_value), empty(key_value));
    run(gpu, |recorder| {
        let span_tensor = Tensor::workspace(gpu, "spans", tokens * 4, Dtype::U32)?;
        let places = case.places();
        let spans = places.iter().flat_map(|(span, _)| *span);
        let gaps = places.iter().flat_map(|(_, gap)| [gap.start, gap.end]);
        span_tensor.write_u32(gpu, &spans.chain(gaps).map(|token| token as u32).collect::<Vec<_>>());
        let spans = Spans { list: &span_tensor, branching: !branches.is_empty() };
        let stats = Tensor::workspace(gpu, "stats", tokens * shape.heads * 2, Dtype::F32)?;
        let (q, k, v) = (
            activation(gpu, query, &q, *dtype),
            activation(gpu, key_value, &k, *dtype),
            activation(gpu, key_value, &v, *dtype),
        );
        let d_o = activation(gpu, query, &d_o, Dtype::F32);
        shape.forward(recorder, tokens, spans, &q, &k, &v, &o, &stats)?;
        shape.backward(recorder, tokens, spans, [&q, &k, &v, &o], &stats, &d_o, [&d_q, &d_k, &d_v])
    });
    let twin = reference::attention::Attention {
        heads: shape.heads,
        key_value_heads: shape.key_value_heads,
        head_dim: shape.head_dim,
        causal: shape.causal,
        window: shape.window,
        offsets: offsets.clone(),
        gaps: case.places().into_iter().map(|(_, gap)| gap).collect(),
    };
    let (q, k, v, d_o) = (wide(&q), wide(&k), wide(&v), wide(&d_o));
    let tolerance = match dtype {
        Dtype::Bf16 => BF16,
        Dtype::F16 => F16,
        _ => F32,
    };
    assert_close("attention o", &read(gpu, &o), &twin.forward(&q, &k, &v), tolerance);
    let gradients = twin.backward(&q, &k, &v, &d_o);
    for (name, (actual, expected)) in ["d_q", "d_k", "d_v"].iter().zip([&d_q, &d_k, &d_v].iter().zip(&gradients)) {
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
            check(gpu, &Case::plain(shape, &offsets, dtype));
        }
        // Several tiles of rows each way.
        check(gpu, &Case::plain(shape(4, 2, 16, true, None), &[0, 90, 150], Dtype::F32));
        check(gpu, &Case::plain(shape(2, 1, 8, true, Some(40)), &[0, 147], Dtype::F32));
    });
}

#[test]
fn a_sequence_gets_the_same_bits_wherever_it_stands() {
    for preset in [None, Some(Preset::Gpu)] {
        let gpu = open_with(Options { mode: Mode::Trusted, preset, ..Options::default() });
        for window in [None, Some(20)] {
            same_bits_wherever_it_stands(&gpu, window);
        }
    }
}

fn same_bits_wherever_it_stands(gpu: &Gpu, window: Option<usize>) {
    let shape = Attention { heads: 2, key_value_heads: 1, head_dim: 20, causal: true, window };
    let (query, keys) = (shape.query_layout(), shape.key_value_layout());
    const TOKENS: usize = 45;
    let run_after = |before: usize| {
        let tokens = before + TOKENS;
        let fill = |layout: Layout, seed| {
            // Scores that grow, so that the largest one changes from block to block.
            let own: Vec<f32> = random(TOKENS * layout.len(), seed).iter().map(|value| 4.0 * value).collect();
            activation(gpu, layout, &[random(before * layout.len(), 9), own].concat(), Dtype::F32)
        };
        let (q, k, v, d_o) = (fill(query, 1), fill(keys, 2), fill(keys, 3), fill(query, 4));
        let empty = |layout: Layout| activation(gpu, layout, &vec![0.0; tokens * layout.len()], Dtype::F32);
        let (o, d_q, d_k, d_v) = (empty(query), empty(query), empty(keys), empty(keys));
        run(gpu, |recorder| {
            let list = Tensor::workspace(gpu, "spans", tokens * 2, Dtype::U32)?;
            let offsets: &[usize] = if before == 0 { &[0, TOKENS] } else { &[0, before, tokens] };
            list.write_u32(gpu, &spans(offsets));
            let stats = Tensor::workspace(gpu, "stats", tokens * shape.heads * 2, Dtype::F32)?;
            shape.forward(recorder, tokens, &list, &q, &k, &v, &o, &stats)?;
            shape.backward(recorder, tokens, &list, [&q, &k, &v, &o], &stats, &d_o, [&d_q, &d_k, &d_v])
        });
        [&o, &d_q, &d_k, &d_v].map(|tensor| {
            let values = read(gpu, tensor);
            values[before * (values.len() / tokens)..].to_vec()
        })
    };
    let alone = run_after(0);
    for before in [1, 5, 13, 32] {
        assert!(run_after(before) == alone, "after {before} other tokens");
    }
}

/// At all widths: lanes of a subgroup share the columns of a head.
#[test]
fn attention_takes_heads_of_any_size() {
    checked(|gpu| {
        for (head_dim, dtype) in
            [(64, Dtype::F32), (80, Dtype::F32), (128, Dtype::F32), (32, Dtype::Bf16), (128, Dtype::Bf16)]
                .into_iter()
                .chain([32, 64, 128].map(|head_dim| (head_dim, Dtype::F16)))
        {
            let shape = Attention { heads: 2, key_value_heads: 1, head_dim, causal: true, window: None };
            check(gpu, &Case::plain(shape, &[0, 11, 40], dtype));
        }
    });
}

#[test]
fn completions_that_share_a_prompt_do_not_see_each_other() {
    let shape =
        |heads, key_value_heads, head_dim| Attention { heads, key_value_heads, head_dim, causal: true, window: None };
    everywhere(|gpu| {
        for (shape, dtype) in
            [(shape(4, 2, 16), Dtype::F32), (shape(3, 1, 10), Dtype::F32), (shape(2, 1, 32), Dtype::Bf16)]
        {
            // Branches within a block and over several; three of one token each; a sequence that does not branch; one
            // whose first branch is longer than any block.
            let offsets = vec![0, 9, 30, 34, 45, 150];
            let branches = vec![vec![3, 5], vec![12, 25], vec![31, 32, 33], vec![], vec![65, 120]];
            check(gpu, &Case { shape, offsets, branches, dtype });
        }
    });
}

#[test]
fn branches_are_refused_where_there_is_no_rule_for_them() {
    let gpu = open(wgr::gpu::Mode::Trusted, None);
    let list = Tensor::workspace(&gpu, "spans", 16, Dtype::U32).unwrap();
    let stats = Tensor::workspace(&gpu, "stats", 8, Dtype::F32).unwrap();
    let mut recording = wgr::gpu::Recording::new();
    for (causal, window, tokens, accepted) in
        [(true, None, 4, true), (true, Some(2), 4, false), (false, None, 4, false), (true, None, 5, false)]
    {
        let shape = Attention { heads: 1, key_value_heads: 1, head_dim: 8, causal, window };
        let x = activation(&gpu, shape.query_layout(), &[0.0; 40], Dtype::F32);
        let spans = Spans { list: &list, branching: true };
        let mut recorder = recording.recorder(&gpu);
        let result = shape.forward(&mut recorder, tokens, spans, &x, &x, &x, &x, &stats);
        assert_eq!(result.is_ok(), accepted, "{shape:?}");
    }
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
