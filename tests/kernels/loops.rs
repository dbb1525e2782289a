//! Loops as long as they get: some software drivers end them after 65,535 rounds of an invocation, without a word.

use wgr::gpu::{Dtype, Gpu, LOOP_ROUNDS, Layout, Mode, Options, Preset, Recording, Tensor};
use wgr::kernels::attention::Attention;
use wgr::kernels::cached_attention::{self, Cache, PAGE, Places};
use wgr::kernels::product::{self, Epilogue};

use crate::cached_attention::list;
use crate::harness::*;
use crate::product::{nn, nt, tn};

/// The adapter with its own preset and with that of ordinary GPUs, refusing what the most restrictive driver would end.
fn limited() -> impl Iterator<Item = Gpu> {
    let presets: &[Option<Preset>] = if cfg!(target_family = "wasm") { &[None] } else { &[None, Some(Preset::Gpu)] };
    presets.iter().map(|preset| {
        let mut gpu = open_with(Options { mode: Mode::Trusted, limits: None, preset: *preset, narrow: false });
        gpu.limit_loops();
        gpu
    })
}

fn close(what: &str, actual: f32, expected: f64) {
    assert!((f64::from(actual) / expected - 1.0).abs() < 1e-4, "{what}: {actual} instead of {expected}");
}

#[test]
fn products_over_a_vocabulary_agree() {
    for gpu in limited() {
        // As many rows as a panel has, whose loop over them runs for every 64 values of the vocabulary.
        for w in [Dtype::F32, Dtype::Q8] {
            nn(&gpu, (128, 33_000, 8), [Dtype::F32, w]);
        }
        tn(&gpu, (33_000, 128, 8), [Dtype::F32; 2]);
        // One chain over so many values is less precise than these tests ask for.
        if gpu.preset() == Preset::Software {
            nt(&gpu, (128, 33_000, 8), [Dtype::F32; 3], false, false);
        }
    }
}

#[test]
fn products_whose_loops_would_be_ended_are_refused() {
    const INNER: usize = 300_000;
    for gpu in limited() {
        let (x, y) = (Layout::plain(INNER), Layout::plain(4));
        let mut recording = Recording::new();
        let tensor = |rows, columns| Tensor::activation(&gpu, "test", rows, columns, Dtype::F32).unwrap();
        let w = parameter(&gpu, y, x, &vec![0.0; 4 * INNER], Dtype::F32);
        let (x, y) = (tensor(80, x), tensor(80, y));
        let refused = product::nt(&mut recording.recorder(&gpu), 80, &x, &w, &y, Epilogue::default());
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("65535"), "{message}");
    }
}

/// On software adapters, the first and the last tile of queries see all tokens before them, and the others only themselves:
/// few blocks in all, but for those two as many as there can be. Elsewhere more heads make sequences short.
fn over_the_longest_sequence(gpu: &Gpu, heads: usize, head_dim: usize) {
    const ENDS: usize = 64;
    let is_software = gpu.preset() == Preset::Software;
    let shape = Attention { heads, key_value_heads: 1, head_dim, causal: true, window: None };
    let tokens = shape.longest(gpu, true) / ENDS * ENDS;
    assert!(tokens > 2 * ENDS && tokens <= shape.longest(gpu, false), "{tokens}");
    let (query, key_value) = (shape.query_layout(), shape.key_value_layout());
    let same = |layout: Layout, value: f32| activation(gpu, layout, &vec![value; tokens * layout.len()], Dtype::F32);
    let place = |token: usize| token as f32 / tokens as f32;
    let places: Vec<f32> = (0..tokens * key_value.len()).map(|i| place(i / key_value.len())).collect();
    let places = activation(gpu, key_value, &places, Dtype::F32);
    let (q, o, d_o) = (same(query, 0.0), same(query, 9.0), same(query, 1.0));
    let (d_q, d_k, d_v) = (same(query, 9.0), same(key_value, 9.0), same(key_value, 9.0));
    let is_end = |token: usize| !is_software || token < ENDS || token + ENDS >= tokens;
    let span = |token: usize| if is_end(token) { [0, tokens] } else { [token, token + 1] };
    run(gpu, |recorder| {
        let spans = list(gpu, &(0..tokens).flat_map(span).collect::<Vec<_>>());
        let stats = Tensor::workspace(gpu, "stats", tokens * heads * 2, Dtype::F32)?;
        shape.forward(recorder, tokens, &spans, &q, &places, &places, &o, &stats)?;
        shape.backward(recorder, tokens, &spans, [&q, &places, &places, &o], &stats, &d_o, [&d_q, &d_k, &d_v])
    });
    // All scores are 0, so that the last query takes the mean of all values, and its gradient their variance.
    let last = (tokens - 1) * query.len();
    let count = tokens as f64;
    close("o", read(gpu, &o)[last], (count - 1.0) / 2.0 / count);
    close("d_q", read(gpu, &d_q)[last], (head_dim as f64).sqrt() * (count * count - 1.0) / 12.0 / count / count);
    let weights = (0..tokens).map(|token| if is_end(token) { 1.0 / (token + 1) as f64 } else { 1.0 });
    close("d_v", read(gpu, &d_v)[0], heads as f64 * weights.sum::<f64>());
}

#[test]
fn attention_over_the_longest_sequence_agrees() {
    for gpu in &limited().collect::<Vec<_>>() {
        match gpu.preset() {
            Preset::Software => {
                over_the_longest_sequence(gpu, 1, 64);
                over_the_longest_sequence(gpu, 3, 128);
            }
            Preset::Gpu => over_the_longest_sequence(gpu, 16, 64),
        }
    }
}

#[test]
fn attention_over_the_longest_cache_agrees() {
    let shape = Attention { heads: 1, key_value_heads: 1, head_dim: 16, causal: true, window: None };
    for gpu in &limited().collect::<Vec<_>>() {
        let tokens = cached_attention::longest(gpu, &shape) / PAGE * PAGE;
        let columns = shape.key_value_layout();
        let rows = |values: Vec<f32>| activation(gpu, columns, &values, Dtype::F32);
        let values = rows((0..tokens * columns.len()).map(|i| (i / columns.len()) as f32 / tokens as f32).collect());
        let (q, o) = (rows(vec![0.0; columns.len()]), rows(vec![9.0; columns.len()]));
        run(gpu, |recorder| {
            let pages: Vec<usize> = (0..tokens / PAGE).collect();
            let (row, seen, table) = (list(gpu, &[tokens - 1]), list(gpu, &[0, tokens]), list(gpu, &pages));
            let places = Places { rows: &row, seen: &seen, table: &table };
            cached_attention::forward(recorder, &shape, 1, places, &q, Cache { keys: &values, values: &values }, &o)
        });
        let count = tokens as f64;
        close("o", read(gpu, &o)[0], (count - 1.0) / 2.0 / count);
    }
}

#[test]
fn sequences_are_as_long_as_one_likes_where_no_loop_is_ended() {
    let shape = |window| Attention { heads: 4, key_value_heads: 1, head_dim: 64, causal: true, window };
    let mut gpu = open(Mode::Trusted, None);
    assert_eq!(shape(None).longest(&gpu, true), usize::MAX);
    gpu.limit_loops();
    assert_eq!(gpu.loop_rounds(), Some(LOOP_ROUNDS));
    let longest = shape(None).longest(&gpu, true);
    assert!(longest < 100_000);
    assert_eq!([shape(Some(512)), shape(Some(longest))].map(|shape| shape.longest(&gpu, true)), [usize::MAX, longest]);
}
