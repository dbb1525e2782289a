//! Sums over rows in a fixed order: gradients of biases, and the last step of norm weight gradients.

use wgr_shaders::params::column_sum::Params;

use super::guard::check_columns;
use crate::Result;
use crate::gpu::{Cost, Kernel, Recorder, Tensor, grid};

const WORKGROUP: u32 = 64;

/// Rows that one lane of the first pass adds up.
pub const CHUNK: usize = 32;

/// `sum += Σ_rows x`: the gradient of a bias. `chunks` is scratch of at least `rows / CHUNK` rows of `x`, rounded up.
///
/// # Errors
/// If the columns of `x` and `sum` differ, a tensor is not what the shader declares, or the driver fails.
pub fn forward(recorder: &mut Recorder, rows: usize, x: &Tensor, sum: &Tensor, chunks: &Tensor) -> Result<()> {
    check_columns("column_sum/total", &[x, sum])?;
    let count = rows.div_ceil(CHUNK);
    let params = Params { rows: rows as u32, columns4: x.columns4(), chunk: CHUNK as u32 };
    let workgroups = grid((count as u32 * params.columns4).div_ceil(WORKGROUP));
    let cost = cost(rows, x);
    recorder.dispatch(&Kernel::new("column_sum/chunks"), &params, &[x.whole(), chunks.whole()], workgroups, cost)?;
    of_chunks(recorder, count, chunks, sum)
}

/// Adds `count` rows of partial sums to `sum`.
pub(super) fn of_chunks(recorder: &mut Recorder, count: usize, chunks: &Tensor, sum: &Tensor) -> Result<()> {
    let params = Params { rows: count as u32, columns4: sum.columns4(), chunk: 0 };
    let workgroups = [params.columns4.div_ceil(WORKGROUP), 1, 1];
    recorder.dispatch(
        &Kernel::new("column_sum/total"),
        &params,
        &[chunks.whole(), sum.whole()],
        workgroups,
        cost(count, sum),
    )
}

fn cost(rows: usize, x: &Tensor) -> Cost {
    let values = rows as f64 * x.columns().len() as f64;
    Cost { flops: values, bytes: 4.0 * values, ..Cost::default() }
}
