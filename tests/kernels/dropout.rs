use wgr::gpu::{Dtype, Layout, Tensor};
use wgr::kernels::dropout::{self, Dropout};
use wgr::reference;

use crate::harness::*;

const COLUMNS: usize = 50;
const DROPOUT: Dropout = Dropout { probability: 0.3, salt: 77 };
const KEY: [u32; 2] = [0xdead_beef, 5];

#[test]
fn dropout_agrees_and_its_gradient_has_the_same_mask() {
    everywhere(|gpu| {
        let columns = Layout::plain(COLUMNS);
        let key = Tensor::workspace(gpu, "test key", dropout::KEY, Dtype::U32).unwrap();
        key.write_u32(gpu, &KEY);
        for rows in [1, 67] {
            let (x, before) = (random(rows * COLUMNS, 1), random(rows * COLUMNS, 2));
            let twin = |x: &[f64]| reference::dropout::forward(COLUMNS, columns.padded(), KEY, 77, 0.3, x);
            for dtype in [Dtype::F32, Dtype::Bf16] {
                let y = activation(gpu, columns, &before, Dtype::F32);
                run(gpu, |recorder| {
                    let x = activation(gpu, columns, &x, dtype);
                    dropout::forward(recorder, rows, DROPOUT, &key, &x, &y)
                });
                assert_close(&format!("dropout {dtype:?}"), &read(gpu, &y), &twin(&wide(&stored(&x, dtype))), F32);
            }
            let d_x = activation(gpu, columns, &before, Dtype::F32);
            run(gpu, |recorder| {
                let d_y = activation(gpu, columns, &x, Dtype::F32);
                dropout::backward(recorder, rows, DROPOUT, &key, &d_y, &d_x)
            });
            let expected: Vec<f64> = twin(&wide(&x)).iter().zip(&before).map(|(d, b)| d + f64::from(*b)).collect();
            assert_close("dropout d_x", &read(gpu, &d_x), &expected, F32);
        }
    });
}
