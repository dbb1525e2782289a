use wgr::gpu::{Dtype, Gpu, Layout, Tensor};
use wgr::kernels::embedding::{self, Groups, TokenGroups};
use wgr::reference;

use crate::harness::*;

const VOCABULARY: usize = 301;
const COLUMNS: usize = 50;

/// Ids from every part of the table, so from every shard; the first and the last row, and repetitions.
fn ids(tokens: usize) -> Vec<u32> {
    let last = VOCABULARY as u32 - 1;
    [0, last].into_iter().chain((0..).map(|i| i * i * 7 % 43 * 7)).take(tokens).collect()
}

fn list(gpu: &Gpu, values: &[u32]) -> Tensor {
    let list = Tensor::workspace(gpu, "test list", values.len(), Dtype::U32).unwrap();
    list.write_u32(gpu, values);
    list
}

#[test]
fn embedding_agrees_in_every_storage_type() {
    everywhere(|gpu| {
        for tokens in [2, 61] {
            for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16, Dtype::Q8] {
                let (ids, table) = (ids(tokens), random(VOCABULARY * COLUMNS, 1));
                let y = activation(gpu, Layout::plain(COLUMNS), &vec![0.5; tokens * COLUMNS], Dtype::F32);
                run(gpu, |recorder| {
                    let table = parameter(gpu, Layout::plain(VOCABULARY), Layout::plain(COLUMNS), &table, dtype);
                    embedding::forward(recorder, tokens, &list(gpu, &ids), &table, &y)
                });
                // A copy is exact.
                let table = stored_rows(COLUMNS, &table, dtype);
                assert_eq!(read(gpu, &y), reference::embedding::forward(COLUMNS, &ids, &table));
            }
        }
    });
}

#[test]
fn embedding_gradients_agree_and_accumulate() {
    everywhere(|gpu| {
        for tokens in [2, 61] {
            let (ids, d_y, before) = (ids(tokens), random(tokens * COLUMNS, 1), random(VOCABULARY * COLUMNS, 2));
            let mut groups = TokenGroups::of(&ids, None);
            // Empty groups in excess, with an id that another group owns.
            groups.unique.extend([0, 0]);
            groups.starts.extend([tokens as u32; 2]);
            let d_table = parameter(gpu, Layout::plain(VOCABULARY), Layout::plain(COLUMNS), &before, Dtype::F32);
            run(gpu, |recorder| {
                let (unique, starts, rows) =
                    (list(gpu, &groups.unique), list(gpu, &groups.starts), list(gpu, &groups.rows));
                let tokens_by_id = Groups { unique: &unique, starts: &starts, rows: &rows };
                let d_y = activation(gpu, Layout::plain(COLUMNS), &d_y, Dtype::F32);
                embedding::backward(recorder, tokens, groups.unique.len(), tokens_by_id, &d_y, &d_table)
            });
            let mut expected = reference::embedding::backward(VOCABULARY, COLUMNS, &ids, &wide(&d_y));
            expected.iter_mut().zip(&before).for_each(|(e, b)| *e += f64::from(*b));
            assert_close("embedding d_table", &read(gpu, &d_table), &expected, F32);
        }
    });
}
