use wgr::gpu::{Dtype, Gpu, Layout, Mode, Recording, Tensor};
use wgr::kernels::attention::Attention;
use wgr::kernels::cached_attention::{self, Cache, PAGE, Places};
use wgr::reference;

use crate::harness::*;

/// Lengths of the sequences so far, and how many of their last tokens are new: a prompt, a part of one, decoding.
const SEQUENCES: [(usize, usize); 5] = [(7, 7), (40, 12), (17, 1), (1, 1), (70, 1)];
const PAGES: usize = 14;

pub(crate) fn list(gpu: &Gpu, values: &[usize]) -> Tensor {
    let tensor = Tensor::workspace(gpu, "list", values.len(), Dtype::U32).unwrap();
    tensor.write_u32(gpu, &values.iter().map(|value| *value as u32).collect::<Vec<_>>());
    tensor
}

fn check(gpu: &Gpu, shape: Attention, dtype: Dtype) {
    // Pages are handed out in no particular order.
    let mut free = (0..PAGES).map(|page| (page * 5 + 3) % PAGES);
    let (mut table, mut seen, mut rows) = (vec![], vec![], vec![]);
    for (length, new) in SEQUENCES {
        let first = table.len();
        table.extend(free.by_ref().take(length.div_ceil(PAGE)));
        for token in length - new..length {
            seen.push((first, token + 1));
            rows.push(table[first + token / PAGE] * PAGE + token % PAGE);
        }
    }
    let tokens = seen.len();
    let (query, keys) = (shape.query_layout(), shape.key_value_layout());
    let q = random(tokens * query.len(), 1);
    let new = [2, 3].map(|seed| random(tokens * keys.len(), seed));
    let before = [4, 5].map(|seed| random(PAGES * PAGE * keys.len(), seed));
    let o = activation(gpu, query, &vec![9.0; q.len()], Dtype::F32);
    let cache = [0, 1].map(|i| activation(gpu, keys, &before[i], dtype));
    run(gpu, |recorder| {
        let flat: Vec<usize> = seen.iter().flat_map(|(first, keys)| [*first, *keys]).collect();
        let [rows, seen, table] = [&rows, &flat, &table].map(|values| list(gpu, values));
        let places = Places { rows: &rows, seen: &seen, table: &table };
        let cache = Cache { keys: &cache[0], values: &cache[1] };
        let [key, value] = [0, 1].map(|i| activation(gpu, keys, &new[i], Dtype::F32));
        let q = activation(gpu, query, &q, Dtype::F32);
        cached_attention::write(recorder, &shape, tokens, places, [&key, &value], cache)?;
        cached_attention::forward(recorder, &shape, tokens, places, &q, cache, &o)
    });
    let written = [0, 1].map(|i| {
        let mut twin = wide(&stored(&before[i], dtype));
        reference::cached_attention::write(&rows, &wide(&stored(&new[i], dtype)), &mut twin);
        assert_close("cache", &read(gpu, &cache[i]), &twin, 0.0);
        twin
    });
    let Attention { heads, key_value_heads, head_dim, window, .. } = shape;
    let twin = reference::cached_attention::CachedAttention { heads, key_value_heads, head_dim, window, page: PAGE };
    let expected = twin.forward(&seen, &table, &wide(&q), &written[0], &written[1]);
    assert_close(&format!("cached_attention {shape:?} {dtype:?}"), &read(gpu, &o), &expected, F32);
}

fn shape(heads: usize, key_value_heads: usize, head_dim: usize, window: Option<usize>) -> Attention {
    Attention { heads, key_value_heads, head_dim, causal: true, window }
}

#[test]
fn cached_attention_agrees() {
    everywhere(|gpu| {
        check(gpu, shape(3, 1, 10, None), Dtype::F32);
        check(gpu, shape(2, 2, 16, Some(9)), Dtype::F16);
        // More query heads to a key/value head than a workgroup serves.
        check(gpu, shape(14, 2, 8, None), Dtype::F32);
    });
}

#[test]
fn cached_attention_takes_every_size_of_head() {
    checked(|gpu| {
        for dtype in [Dtype::F32, Dtype::F16] {
            check(gpu, shape(6, 2, 64, Some(33)), dtype);
            check(gpu, shape(4, 1, 128, None), dtype);
            check(gpu, shape(2, 1, 80, None), dtype);
        }
    });
}

#[test]
fn cached_attention_refuses_what_is_no_cache_of_whole_pages() {
    let gpu = open(Mode::Checked, None);
    let shape = shape(2, 1, 8, None);
    let tensor = |rows: usize, layout: Layout, dtype| activation(&gpu, layout, &vec![0.0; rows * layout.len()], dtype);
    let (q, o) = (tensor(1, shape.query_layout(), Dtype::F32), tensor(1, shape.query_layout(), Dtype::F32));
    let zeros = list(&gpu, &[0, 1]);
    let places = Places { rows: &zeros, seen: &zeros, table: &zeros };
    let refused = |keys: Tensor, values: Tensor| {
        let mut recording = Recording::new();
        let cache = Cache { keys: &keys, values: &values };
        let result = cached_attention::forward(&mut recording.recorder(&gpu), &shape, 1, places, &q, cache, &o);
        result.is_err() && recording.is_empty()
    };
    let kept = |rows, dtype| tensor(rows, shape.key_value_layout(), dtype);
    assert!(!refused(kept(16, Dtype::F32), kept(16, Dtype::F32)));
    assert!(refused(kept(15, Dtype::F32), kept(15, Dtype::F32)));
    assert!(refused(kept(16, Dtype::F32), kept(32, Dtype::F32)));
    assert!(refused(kept(16, Dtype::F32), kept(16, Dtype::F16)));
    assert!(refused(kept(16, Dtype::Bf16), kept(16, Dtype::Bf16)));
    assert!(refused(tensor(16, shape.query_layout(), Dtype::F32), kept(16, Dtype::F32)));
}
