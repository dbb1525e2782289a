//! Weights as GGUF files hold them: products and embedding from re-arranged blocks, against the same on the values that
//! the blocks stand for.

use std::cell::Cell;

use half::f16;
use wgr::gpu::{Dtype, Gpu, Layout, Memory, Operation, Tensor, Tuning};
use wgr::kernels::embedding;
use wgr::kernels::product::{self, Epilogue};
use wgr::model::weights::quantized::GgmlType::{self, *};
use wgr::reference;

use crate::harness::*;

/// Every kind, and where its blocks hold an f16.
const KINDS: [(GgmlType, &[usize]); 13] = [
    (Q4_0, &[0]),
    (Q4_1, &[0, 2]),
    (Q5_0, &[0]),
    (Q5_1, &[0, 2]),
    (Q8_0, &[0]),
    (Q2_K, &[80, 82]),
    (Q3_K, &[108]),
    (Q4_K, &[0, 2]),
    (Q5_K, &[0, 2]),
    (Q6_K, &[208]),
    (IQ4_NL, &[0]),
    (IQ4_XS, &[0]),
    (MXFP4, &[]),
];

/// Kinds that together have every storage of codes and every storage of scales.
const TELLING: [GgmlType; 6] = [Q4_1, Q2_K, Q4_K, Q5_0, Q6_K, IQ4_NL];

/// Seeded blocks, some of which have scales so small that f16 holds them as subnormal numbers.
fn blocks(kind: GgmlType, halves: &[usize], values: usize) -> Vec<u8> {
    let (of_block, size) = kind.block();
    let random = random(values / of_block * size, 7);
    let mut bytes: Vec<u8> = random.iter().map(|value| (value * 128.0) as i8 as u8).collect();
    for (i, block) in bytes.chunks_exact_mut(size).enumerate() {
        for (j, at) in halves.iter().enumerate() {
            let scale = [0.01, -0.02, 1e-5, 0.5][(i + j) % 4] * (1.0 + random[i]);
            block[*at..*at + 2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
        }
        if kind == MXFP4 {
            // 2 is the smallest whose scale is a normal f32: WGSL lets devices make 0 of those below.
            block[0] = [120, 2, 127, 110][i % 4];
        }
    }
    bytes
}

/// A matrix of a kind on the device, and its values.
fn matrix(gpu: &Gpu, kind: GgmlType, rows: usize, columns: usize) -> (Tensor, Vec<f32>) {
    let halves = KINDS.iter().find(|(other, _)| *other == kind).unwrap().1;
    let bytes = blocks(kind, halves, rows * columns);
    let dtype = Dtype::Quantized(kind.layout());
    let (rows, columns) = (Layout::plain(rows), Layout::plain(columns));
    let tensor = Tensor::new(gpu, Memory::Weights, "test blocks", rows, columns, dtype).unwrap();
    tensor.write_rows(gpu, &kind.arrange(&bytes, columns.len()).unwrap()).unwrap();
    (tensor, kind.dequantize(&bytes))
}

fn columns(kind: GgmlType) -> usize {
    // Whole blocks, and not a whole number of those of 256 where there are smaller ones.
    if kind.block().0 == 256 { 512 } else { 160 }
}

#[test]
fn the_device_reads_every_kind_as_the_values_of_its_blocks() {
    const ROWS: usize = 37;
    checked(|gpu| {
        for (kind, _) in KINDS {
            let columns = columns(kind);
            let (table, values) = matrix(gpu, kind, ROWS, columns);
            // Equal and not near; only the sign of 0 may differ.
            assert_eq!(read(gpu, &table), values, "{kind:?} on the host");
            let ids: Vec<u32> = (0..ROWS as u32).rev().collect();
            let list = Tensor::workspace(gpu, "test list", ROWS, Dtype::U32).unwrap();
            list.write_u32(gpu, &ids);
            let y = activation(gpu, Layout::plain(columns), &vec![0.5; ROWS * columns], Dtype::F32);
            run(gpu, |recorder| embedding::forward(recorder, ROWS, &list, &table, &y));
            assert_eq!(read(gpu, &y), reference::embedding::forward(columns, &ids, &values), "{kind:?}");
        }
    });
}

fn products(gpu: &Gpu, kind: GgmlType, rows: usize, out: usize) {
    let inner = columns(kind);
    let (w, values) = matrix(gpu, kind, out, inner);
    let (x, d_y, before) = (random(rows * inner, 1), random(rows * out, 2), random(rows * inner, 3));
    let y = activation(gpu, Layout::plain(out), &vec![0.5; rows * out], Dtype::F32);
    let d_x = activation(gpu, Layout::plain(inner), &before, Dtype::F32);
    run(gpu, |recorder| {
        let x = activation(gpu, Layout::plain(inner), &x, Dtype::F32);
        product::nt(recorder, rows, &x, &w, &y, Epilogue::default())?;
        product::nn(recorder, rows, &activation(gpu, Layout::plain(out), &d_y, Dtype::F32), &w, &d_x, true)
    });
    let expected = reference::product::nt(rows, inner, out, &wide(&x), &wide(&values));
    assert_close(&format!("nt {kind:?} {rows}x{inner}x{out}"), &read(gpu, &y), &expected, F32);
    let mut expected = reference::product::nn(rows, out, inner, &wide(&d_y), &wide(&values));
    expected.iter_mut().zip(&before).for_each(|(e, b)| *e += f64::from(*b));
    assert_close(&format!("nn {kind:?} {rows}x{out}x{inner}"), &read(gpu, &d_x), &expected, F32);
}

#[test]
fn products_agree_on_every_kind() {
    let mut gpu = open(wgr::gpu::Mode::Trusted, None);
    let (forward, backward) = (tilings(&gpu, Operation::ProductNt), tilings(&gpu, Operation::ProductNn));
    for (nt, nn) in forward.into_iter().zip(backward) {
        gpu.tune(Tuning([(Operation::ProductNt, nt), (Operation::ProductNn, nn)].into()));
        for (kind, _) in KINDS {
            // One row, and more than the kernels for few rows take.
            products(&gpu, kind, 1, 50);
            products(&gpu, kind, 67, 50);
        }
    }
}

#[test]
fn products_agree_in_both_presets_and_in_shards() {
    let devices = Cell::new(0);
    everywhere(|gpu| {
        // Six devices and six kinds: each device has kinds of its own, and all have the plainest.
        let own = TELLING[devices.replace(devices.get() + 1) % TELLING.len()];
        for kind in [Q4_1, own] {
            products(gpu, kind, 3, 500);
            // More than the kernels for few rows take, where the bindings are large enough.
            products(gpu, kind, if gpu.limits().binding_bytes > 1 << 20 { 67 } else { 19 }, 130);
        }
    });
}

#[test]
fn a_row_gets_the_same_bits_whatever_the_rows_beside_it() {
    // More than the kernels for few rows take.
    const MANY: usize = 80;
    let gpu = open(wgr::gpu::Mode::Trusted, None);
    for kind in [Q4_1, Q5_0, Q6_K] {
        let (inner, out) = (columns(kind), 70);
        let (w, _) = matrix(&gpu, kind, out, inner);
        let x = random(MANY * inner, 1);
        let y = |rows: usize| {
            let y = activation(&gpu, Layout::plain(out), &vec![0.5; rows * out], Dtype::F32);
            run(&gpu, |recorder| {
                let x = activation(&gpu, Layout::plain(inner), &x[..rows * inner], Dtype::F32);
                product::nt(recorder, rows, &x, &w, &y, Epilogue::default())
            });
            read(&gpu, &y)
        };
        let many = y(MANY);
        for rows in [1, 4, 16] {
            assert!(y(rows) == many[..rows * out], "{rows} rows, {kind:?}");
        }
    }
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let gpu = open(wgr::gpu::Mode::Trusted, None);
    let tensor =
        |columns, dtype| Tensor::new(&gpu, Memory::Weights, "blocks", Layout::plain(4), columns, dtype).unwrap();
    let layout = Q4_1.layout();
    let quantized = tensor(Layout::plain(32), Dtype::Quantized(layout));
    let words = vec![0; 4 * layout.row_words(32)];
    assert!(quantized.write_rows(&gpu, &words).is_ok());
    assert!(quantized.write_rows(&gpu, &words[1..]).is_err());
    assert!(tensor(Layout::plain(32), Dtype::F32).write_rows(&gpu, &words).is_err());
    assert!(tensor(Layout::heads(2, 10), Dtype::Quantized(layout)).write_rows(&gpu, &words).is_err());
    let message = tensor(Layout::plain(32), Dtype::Quantized(Q4_K.layout())).write(&gpu, &[0.5; 128]).unwrap_err();
    assert!(message.to_string().contains("blocks: holds q4_k"), "{message}");
}
