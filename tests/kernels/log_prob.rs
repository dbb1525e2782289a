use wgr::gpu::{Dtype, Gpu, Layout, Mode, Recording, Tensor};
use wgr::kernels::gather::{self, Uses};
use wgr::kernels::log_prob::{self, Rows};
use wgr::kernels::product::{self, Epilogue};
use wgr::reference;

use crate::harness::*;

/// Rows of each sequence; one sequence has none.
const OFFSETS: [usize; 5] = [0, 1, 12, 12, 45];

struct Case {
    vocabulary: usize,
    /// Columns of a chunk, a multiple of 32.
    chunk: usize,
    scale: f32,
    /// What logits are multiplied by: large ones overflow a plain exponential.
    size: f32,
    dtype: Dtype,
}

fn list(gpu: &Gpu, values: &[u32]) -> Tensor {
    let list = Tensor::workspace(gpu, "list", values.len(), Dtype::U32).unwrap();
    list.write_u32(gpu, values);
    list
}

/// Hidden rows and an output matrix, to log-probabilities, entropies and both gradients, as a model uses the kernels.
fn check(gpu: &Gpu, case: &Case) {
    const HIDDEN: usize = 22;
    let Case { vocabulary, chunk, scale, size, dtype } = *case;
    let (rows, sequences) = (45, OFFSETS.len() - 1);
    let what = |part| format!("log_prob {part}, {vocabulary} by {chunk}, {dtype:?}, scale {scale}, size {size}");
    let hidden: Vec<f32> = random(rows * HIDDEN, 1).iter().map(|v| v * size).collect();
    let weight = stored_rows(HIDDEN, &random(vocabulary * HIDDEN, 2), dtype);
    // First and last tokens of the vocabulary, and tokens on both sides of every border between chunks.
    let targets: Vec<usize> =
        (0..rows).map(|row| [0, vocabulary - 1, chunk - 1, chunk, row * 7][row % 5] % vocabulary).collect();
    let sequence_of = |row: usize| OFFSETS.partition_point(|start| *start <= row) - 1;
    let coefficients = random(sequences, 3);
    let before = random(vocabulary * HIDDEN, 4);

    let (inner, out) = (Layout::plain(HIDDEN), Layout::plain(vocabulary));
    let matrix = parameter(gpu, out, inner, &weight, dtype);
    let gradient = parameter(gpu, out, inner, &before, Dtype::F32);
    let x = activation(gpu, inner, &hidden, Dtype::F32);
    let d_x = activation(gpu, inner, &vec![9.0; rows * HIDDEN], Dtype::F32);
    let sums = vector(gpu, Layout::plain(2 * sequences), &vec![9.0; 2 * sequences]);
    let pairs: Vec<u32> =
        targets.iter().enumerate().flat_map(|(row, id)| [*id as u32, sequence_of(row) as u32]).collect();
    let offsets = list(gpu, &OFFSETS.map(|offset| offset as u32));
    let targets_list = list(gpu, &pairs);
    let stats = activation(gpu, Layout::plain(4), &vec![9.0; 4 * rows], Dtype::F32);
    let scratch = activation(gpu, Layout::plain(chunk), &vec![9.0; rows * chunk], Dtype::F32);
    let of = Rows { rows, sequences, targets: &targets_list, offsets: &offsets, stats: &stats, scale };
    run(gpu, |recorder| {
        let coefficients = vector(gpu, Layout::plain(sequences), &coefficients);
        for backward in [false, true] {
            for first in (0..vocabulary).step_by(chunk) {
                let end = vocabulary.min(first + chunk);
                let logits = scratch.reshaped(rows, Layout::plain(end - first))?;
                let weight = matrix.rows_view(first, end)?;
                product::nt(recorder, rows, &x, &weight, &logits, Epilogue::default())?;
                if backward {
                    log_prob::backward(recorder, &of, first, &coefficients, &logits)?;
                    product::nn(recorder, rows, &logits, &weight, &d_x, first > 0)?;
                    product::tn(recorder, rows, &logits, &x, &gradient.rows_view(first, end)?)?;
                } else {
                    log_prob::forward(recorder, &of, first, &logits)?;
                }
            }
            if !backward {
                log_prob::sequences(recorder, &of, &sums)?;
            }
        }
        Ok(())
    });

    let (x, w, scale) = (wide(&hidden), wide(&weight), f64::from(scale));
    let logits = reference::product::nt(rows, HIDDEN, vocabulary, &x, &w);
    let of_rows = reference::log_prob::forward(vocabulary, &targets, scale, &logits);
    let expected: Vec<f64> =
        reference::log_prob::sequences(&OFFSETS, &of_rows).into_iter().flat_map(|(l, e)| [l, e]).collect();
    assert_close(&what("sums"), &read(gpu, &sums), &expected, F32);
    let of_row: Vec<f64> = (0..rows).map(|row| f64::from(coefficients[sequence_of(row)])).collect();
    let d_logits = reference::log_prob::backward(vocabulary, &targets, scale, &of_row, &logits);
    let d_hidden = reference::product::nn(rows, vocabulary, HIDDEN, &d_logits, &w);
    assert_close(&what("d_hidden"), &read(gpu, &d_x), &d_hidden, F32);
    let d_weight = reference::product::tn(rows, vocabulary, HIDDEN, &d_logits, &x);
    let d_weight: Vec<f64> = d_weight.iter().zip(&before).map(|(d, b)| d + f64::from(*b)).collect();
    assert_close(&what("d_weight"), &read(gpu, &gradient), &d_weight, F32);
}

#[test]
fn log_probs_entropies_and_gradients_agree_over_chunks_of_the_vocabulary() {
    everywhere(|gpu| {
        for (vocabulary, chunk, dtype) in [
            (5, 32, Dtype::F32),
            (64, 32, Dtype::F16),
            (101, 128, Dtype::Bf16),
            (101, 32, Dtype::Q8),
            // Sharded where bindings are small, with chunks that lie across the shards.
            (601, 224, Dtype::F32),
        ] {
            check(gpu, &Case { vocabulary, chunk, scale: 1.0, size: 1.0, dtype });
        }
        check(gpu, &Case { vocabulary: 101, chunk: 64, scale: 0.7, size: 1.0, dtype: Dtype::F32 });
        check(gpu, &Case { vocabulary: 101, chunk: 64, scale: 1.0, size: 40.0, dtype: Dtype::F32 });
    });
}

#[test]
fn views_that_cannot_be_bound_are_refused() {
    let gpu = open(Mode::Trusted, None);
    let matrix = parameter(&gpu, Layout::plain(70), Layout::plain(8), &[0.0; 560], Dtype::F32);
    for (first, end) in [(1, 5), (16, 40), (32, 71), (64, 32)] {
        assert!(matrix.rows_view(first, end).is_err(), "{first}..{end}");
    }
    let view = matrix.rows_view(32, 70).unwrap();
    assert_eq!((view.rows().len(), view.whole().rows), (38, 40));
    assert!(matrix.reshaped(71, Layout::plain(9)).is_err());
}

#[test]
fn a_view_reads_and_writes_the_rows_it_shows() {
    everywhere(|gpu| {
        let (rows, columns) = (1000, 22);
        let values = random(rows * columns, 1);
        let matrix = parameter(gpu, Layout::plain(rows), Layout::plain(columns), &values, Dtype::F32);
        let view = matrix.rows_view(416, 900).unwrap();
        assert_eq!(read(gpu, &view), values[416 * columns..900 * columns]);
        let new = random(484 * columns, 2);
        view.write(gpu, &new).unwrap();
        assert_eq!(read(gpu, &matrix), [&values[..416 * columns], &new, &values[900 * columns..]].concat());
        gpu.clear([&view].into_iter());
        let zeros = vec![0.0; 484 * columns];
        assert_eq!(read(gpu, &matrix), [&values[..416 * columns], &zeros, &values[900 * columns..]].concat());
    });
}

#[test]
fn gathering_agrees_forward_and_backward() {
    everywhere(|gpu| {
        for columns in [5, 50] {
            // Out of order, twice, three times, and rows that are not taken.
            let sources = [4, 4, 0, 9, 2, 4, 9];
            let (rows, taken, layout) = (11, sources.len(), Layout::plain(columns));
            let (x, d_y) = (random(rows * columns, 1), random(taken * columns, 2));
            let y = activation(gpu, layout, &vec![9.0; taken * columns], Dtype::F32);
            let d_x = activation(gpu, layout, &vec![9.0; rows * columns], Dtype::F32);
            run(gpu, |recorder| {
                let uses = Uses::of(&sources, rows);
                let (starts, uses) = (list(gpu, &uses.starts), list(gpu, &uses.uses));
                let (x, d_y) = (activation(gpu, layout, &x, Dtype::F32), activation(gpu, layout, &d_y, Dtype::F32));
                gather::forward(recorder, rows, taken, &list(gpu, &sources), &x, &y)?;
                gather::backward(recorder, rows, taken, [&starts, &uses], &d_y, &d_x)
            });
            let sources = sources.map(|row| row as usize);
            assert_close("gather y", &read(gpu, &y), &reference::gather::forward(columns, &sources, &wide(&x)), F32);
            let expected = reference::gather::backward(columns, rows, &sources, &wide(&d_y));
            assert_close("gather d_x", &read(gpu, &d_x), &expected, F32);
        }
    });
}

#[test]
fn rows_that_do_not_exist_are_refused() {
    let gpu = open(Mode::Trusted, None);
    let (offsets, targets) = (list(&gpu, &[0, 3]), list(&gpu, &[1, 0, 1, 0, 1, 0]));
    let stats = activation(&gpu, Layout::plain(4), &[0.0; 12], Dtype::F32);
    let logits = activation(&gpu, Layout::plain(5), &[0.0; 15], Dtype::F32);
    let rows =
        |rows, sequences| Rows { rows, sequences, targets: &targets, offsets: &offsets, stats: &stats, scale: 1.0 };
    let mut recording = Recording::new();
    assert!(log_prob::forward(&mut recording.recorder(&gpu), &rows(4, 1), 0, &logits).is_err());
    let few = vector(&gpu, Layout::plain(1), &[0.0]);
    assert!(log_prob::sequences(&mut recording.recorder(&gpu), &rows(3, 2), &few).is_err());
    assert!(log_prob::sequences(&mut recording.recorder(&gpu), &rows(3, 1), &few).is_ok());
    assert!(recording.len() == 1);
}
