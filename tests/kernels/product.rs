use wgr::gpu::{Dtype, Gpu, Layout, Limits, Mode, Operation, Options, Preset, Tuning};
use wgr::kernels::product::{self, Epilogue};
use wgr::reference;

use crate::harness::*;

/// Rows, inner and outer size. One has more than one tile each way and several steps of the inner dimension, whatever the
/// tile; the last one is sharded under the small binding limit.
pub(crate) const SHAPES: [(usize, usize, usize); 6] =
    [(1, 3, 5), (7, 36, 50), (67, 40, 130), (130, 76, 70), (3, 44, 40), (5, 64, 300)];

fn tolerance(dtypes: &[Dtype]) -> f64 {
    match dtypes {
        of if of.contains(&Dtype::Bf16) => BF16,
        of if of.contains(&Dtype::F16) => F16,
        _ => F32,
    }
}

pub(crate) fn nt(
    gpu: &Gpu,
    (rows, inner, out): (usize, usize, usize),
    [a, b, c]: [Dtype; 3],
    with_bias: bool,
    with_residual: bool,
) {
    let (x, w) = (random(rows * inner, 1), random(out * inner, 2));
    let (bias, residual) = (random(out, 3), random(rows * out, 4));
    let y = activation(gpu, Layout::plain(out), &vec![0.5; rows * out], c);
    let bias_tensor = vector(gpu, Layout::plain(out), &bias);
    let residual_tensor = activation(gpu, Layout::plain(out), &residual, Dtype::F32);
    let (bias_operand, residual_operand) =
        (with_bias.then_some(&bias_tensor), with_residual.then_some(&residual_tensor));
    let epilogue = Epilogue { bias: bias_operand, residual: residual_operand, ..Epilogue::default() };
    run(gpu, |recorder| {
        let x = activation(gpu, Layout::plain(inner), &x, a);
        let w = parameter(gpu, Layout::plain(out), Layout::plain(inner), &w, b);
        product::nt(recorder, rows, &x, &w, &y, epilogue)
    });
    let mut expected =
        reference::product::nt(rows, inner, out, &wide(&stored(&x, a)), &wide(&stored_rows(inner, &w, b)));
    for (i, value) in expected.iter_mut().enumerate() {
        *value += if with_bias { f64::from(bias[i % out]) } else { 0.0 };
        *value += if with_residual { f64::from(residual[i]) } else { 0.0 };
    }
    // Only rounding on the way out is an error; what was stored on the way in is the operand.
    assert_close(&format!("nt {a:?} {b:?} {c:?} {rows}x{inner}x{out}"), &read(gpu, &y), &expected, tolerance(&[c]));
}

#[test]
fn nt_agrees_in_every_storage_type() {
    everywhere(|gpu| {
        for shape in SHAPES {
            for b in [Dtype::F32, Dtype::Bf16, Dtype::F16, Dtype::Q8] {
                nt(gpu, shape, [Dtype::F32, b, Dtype::F32], false, false);
            }
            nt(gpu, shape, [Dtype::Bf16; 3], false, false);
            nt(gpu, shape, [Dtype::F16; 3], false, false);
        }
    });
}

#[test]
fn nt_adds_bias_and_residual() {
    everywhere(|gpu| {
        for shape in SHAPES {
            nt(gpu, shape, [Dtype::F32; 3], true, false);
            nt(gpu, shape, [Dtype::F32; 3], false, true);
            nt(gpu, shape, [Dtype::F32; 3], true, true);
        }
    });
}

#[test]
fn nt_agrees_in_every_permutation() {
    const F32: Dtype = Dtype::F32;
    const BF16: Dtype = Dtype::Bf16;
    let layers = [F32, BF16, Dtype::F16, Dtype::Q8];
    let layers = layers.into_iter().flat_map(|w| [[F32, w, F32], [BF16, w, F32], [BF16, w, BF16]]);
    let halves = [[Dtype::F16, Dtype::F16, F32], [Dtype::F16; 3]];
    // Adapters multiply what dropout left, in f32, and keep the product in bf16.
    let dtypes: Vec<[Dtype; 3]> = layers.chain([[F32, F32, BF16], [F32, BF16, BF16]]).chain(halves).collect();
    checked(|gpu| {
        for variant in tilings(gpu, Operation::ProductNt) {
            gpu.tune(Tuning([(Operation::ProductNt, variant)].into()));
            for tiles in tile_sizes(gpu) {
                gpu.set_large_tiles(*tiles);
                // One row, few, as many as the kernels for few rows take on software adapters, and more than they take
                // anywhere.
                for rows in [1, 3, 16, 67] {
                    for dtypes in &dtypes {
                        for (bias, residual) in [(false, false), (true, false), (false, true), (true, true)] {
                            // The residual stream is f32, and adapters have no bias.
                            let [a, _, c] = *dtypes;
                            if !(c != F32 && (residual || bias && a == F32)) {
                                nt(gpu, (rows, 20, 12), *dtypes, bias, residual);
                            }
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn every_tiling_agrees() {
    checked(|gpu| {
        for operation in [Operation::ProductNt, Operation::ProductNn, Operation::ProductTn] {
            for variant in operation.variants(gpu.loads_wide()) {
                gpu.tune(Tuning([(operation, variant)].into()));
                for shape in SHAPES {
                    match operation {
                        Operation::ProductNt => {
                            for (bias, residual) in [(false, false), (true, false), (false, true), (true, true)] {
                                nt(gpu, shape, [Dtype::F32; 3], bias, residual);
                            }
                        }
                        Operation::ProductNn => {
                            for b in [Dtype::F32, Dtype::Bf16, Dtype::F16, Dtype::Q8] {
                                nn(gpu, shape, [Dtype::F32, b]);
                            }
                        }
                        _ => {
                            for b in [Dtype::F32, Dtype::Bf16] {
                                tn(gpu, shape, [Dtype::F32, b]);
                            }
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn no_bit_depends_on_the_variant() {
    let (rows, inner, out) = (75, 100, 70);
    let (x, w, d_y) = (random(rows * inner, 1), random(out * inner, 2), random(rows * out, 3));
    let mut gpu = open(Mode::Trusted, None);
    let (inner, out) = (Layout::plain(inner), Layout::plain(out));
    for operation in [Operation::ProductNt, Operation::ProductNn, Operation::ProductTn] {
        let mut results = vec![];
        for variant in operation.variants(gpu.loads_wide()) {
            gpu.tune(Tuning([(operation, variant)].into()));
            let (x, d_y) = (activation(&gpu, inner, &x, Dtype::F32), activation(&gpu, out, &d_y, Dtype::F32));
            let w = parameter(&gpu, out, inner, &w, Dtype::F32);
            run(&gpu, |recorder| match operation {
                Operation::ProductNt => product::nt(recorder, rows, &x, &w, &d_y, Epilogue::default()),
                Operation::ProductNn => product::nn(recorder, rows, &d_y, &w, &x, false),
                _ => product::tn(recorder, rows, &d_y, &x, &w),
            });
            let result = match operation {
                Operation::ProductNt => d_y,
                Operation::ProductNn => x,
                _ => w,
            };
            results.push(read(&gpu, &result));
        }
        assert!(results.len() > 1 && results.iter().all(|result| *result == results[0]), "{operation:?}");
    }
}

#[test]
fn a_row_gets_the_same_bits_whatever_the_rows_beside_it() {
    let (inner, out) = (100, 70);
    // More than the kernels for few rows take.
    const MANY: usize = 80;
    let (x, w) = (random(MANY * inner, 1), random(out * inner, 2));
    everywhere(|gpu| {
        let y = |rows: usize, dtype: Dtype| {
            let y = activation(gpu, Layout::plain(out), &vec![0.5; rows * out], Dtype::F32);
            run(gpu, |recorder| {
                let x = activation(gpu, Layout::plain(inner), &x[..rows * inner], Dtype::F32);
                let w = parameter(gpu, Layout::plain(out), Layout::plain(inner), &w, dtype);
                product::nt(recorder, rows, &x, &w, &y, Epilogue::default())
            });
            read(gpu, &y)
        };
        for dtype in [Dtype::F32, Dtype::Q8] {
            let many = y(MANY, dtype);
            for rows in [1, 2, 4, 9, 16, 17, 65] {
                assert!(y(rows, dtype) == many[..rows * out], "{rows} rows, {dtype:?}");
            }
        }
    });
}

#[test]
fn nt_scales_the_product_and_adds_to_what_was_there() {
    everywhere(|gpu| {
        for (rows, inner, out) in SHAPES {
            let (x, w, before) = (random(rows * inner, 1), random(out * inner, 2), random(rows * out, 3));
            let (bias, scale) = (random(out, 4), -0.75);
            let y = activation(gpu, Layout::plain(out), &before, Dtype::F32);
            let bias_tensor = vector(gpu, Layout::plain(out), &bias);
            run(gpu, |recorder| {
                let x = activation(gpu, Layout::plain(inner), &x, Dtype::F32);
                let w = parameter(gpu, Layout::plain(out), Layout::plain(inner), &w, Dtype::F32);
                let epilogue = Epilogue { scale, bias: Some(&bias_tensor), residual: None, accumulate: true };
                product::nt(recorder, rows, &x, &w, &y, epilogue)
            });
            let mut expected = reference::product::nt(rows, inner, out, &wide(&x), &wide(&w));
            for (i, value) in expected.iter_mut().enumerate() {
                *value = f64::from(scale) * *value + f64::from(bias[i % out]) + f64::from(before[i]);
            }
            assert_close(&format!("nt scaled {rows}x{inner}x{out}"), &read(gpu, &y), &expected, F32);
        }
    });
}

#[test]
fn nn_scales_the_product_alone() {
    everywhere(|gpu| {
        for (rows, out, inner) in SHAPES {
            let (d_y, w, before) = (random(rows * out, 1), random(out * inner, 2), random(rows * inner, 3));
            let d_x = activation(gpu, Layout::plain(inner), &before, Dtype::F32);
            run(gpu, |recorder| {
                let d_y = activation(gpu, Layout::plain(out), &d_y, Dtype::F32);
                let w = parameter(gpu, Layout::plain(out), Layout::plain(inner), &w, Dtype::F32);
                product::nn_scaled(recorder, rows, &d_y, &w, &d_x, 2.5, true)
            });
            let mut expected = reference::product::nn(rows, out, inner, &wide(&d_y), &wide(&w));
            expected.iter_mut().zip(&before).for_each(|(e, b)| *e = 2.5 * *e + f64::from(*b));
            assert_close(&format!("nn scaled {rows}x{out}x{inner}"), &read(gpu, &d_x), &expected, F32);
        }
    });
}

pub(crate) fn nn(gpu: &Gpu, (rows, out, inner): (usize, usize, usize), [a, b]: [Dtype; 2]) {
    let (d_y, w, before) = (random(rows * out, 1), random(out * inner, 2), random(rows * inner, 3));
    let d_x = activation(gpu, Layout::plain(inner), &before, Dtype::F32);
    run(gpu, |recorder| {
        let d_y = activation(gpu, Layout::plain(out), &d_y, a);
        let w = parameter(gpu, Layout::plain(out), Layout::plain(inner), &w, b);
        product::nn(recorder, rows, &d_y, &w, &d_x, true)
    });
    let mut expected =
        reference::product::nn(rows, out, inner, &wide(&stored(&d_y, a)), &wide(&stored_rows(inner, &w, b)));
    expected.iter_mut().zip(&before).for_each(|(e, b)| *e += f64::from(*b));
    assert_close(&format!("nn {a:?} {b:?} {rows}x{out}x{inner}"), &read(gpu, &d_x), &expected, F32);
}

#[test]
fn nn_agrees_and_accumulates() {
    everywhere(|gpu| {
        for shape in SHAPES {
            for b in [Dtype::F32, Dtype::Bf16, Dtype::F16, Dtype::Q8] {
                nn(gpu, shape, [Dtype::F32, b]);
            }
            nn(gpu, shape, [Dtype::F16; 2]);
        }
    });
}

pub(crate) fn tn(gpu: &Gpu, (rows, out, inner): (usize, usize, usize), [a, b]: [Dtype; 2]) {
    let (d_y, x, before) = (random(rows * out, 1), random(rows * inner, 2), random(out * inner, 3));
    let d_w = parameter(gpu, Layout::plain(out), Layout::plain(inner), &before, Dtype::F32);
    run(gpu, |recorder| {
        let d_y = activation(gpu, Layout::plain(out), &d_y, a);
        let x = activation(gpu, Layout::plain(inner), &x, b);
        product::tn(recorder, rows, &d_y, &x, &d_w)
    });
    let mut expected = reference::product::tn(rows, out, inner, &wide(&stored(&d_y, a)), &wide(&stored(&x, b)));
    expected.iter_mut().zip(&before).for_each(|(e, b)| *e += f64::from(*b));
    assert_close(&format!("tn {a:?} {b:?} {rows}x{out}x{inner}"), &read(gpu, &d_w), &expected, F32);
}

#[test]
fn tn_agrees_and_accumulates() {
    everywhere(|gpu| {
        for shape in SHAPES {
            for b in [Dtype::F32, Dtype::Bf16] {
                tn(gpu, shape, [Dtype::F32, b]);
            }
            tn(gpu, shape, [Dtype::F16; 2]);
        }
        // A result that occupies a GPU, so that the sums over tokens are not split.
        if gpu.preset() == Preset::Gpu {
            for operands in [[Dtype::F32; 2], [Dtype::F32, Dtype::Bf16], [Dtype::F16; 2]] {
                tn(gpu, (9, 1030, 522), operands);
            }
        }
    });
}

#[test]
fn tn_gives_the_same_bits_however_the_result_is_sharded() {
    // More tokens than one part of a split sum takes at a time.
    let rows = 70;
    for preset in [None, Some(Preset::Gpu)] {
        // Fewer values than occupy a GPU, and more, in bindings that hold the operands but not the result.
        for (out, inner, binding_bytes) in [(130, 100, 40 << 10), (1030, 522, 300 << 10)] {
            let (d_y, x, before) = (random(rows * out, 1), random(rows * inner, 2), random(out * inner, 3));
            let d_w = |limits| {
                let gpu = &open_with(Options { mode: Mode::Trusted, limits, preset, narrow: false });
                let d_w = parameter(gpu, Layout::plain(out), Layout::plain(inner), &before, Dtype::F32);
                run(gpu, |recorder| {
                    let d_y = activation(gpu, Layout::plain(out), &d_y, Dtype::F32);
                    let x = activation(gpu, Layout::plain(inner), &x, Dtype::F32);
                    product::tn(recorder, rows, &d_y, &x, &d_w)
                });
                assert_eq!(d_w.shards().len() > 1, limits.is_some(), "{out}x{inner}");
                read(gpu, &d_w)
            };
            let sharded = d_w(Some(Limits { binding_bytes }));
            assert!(d_w(None) == sharded, "{preset:?} {out}x{inner}");
        }
    }
}
