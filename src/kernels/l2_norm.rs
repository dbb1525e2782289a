//! Rows of unit length, whose products are cosines. There is no backward pass: embeddings are only compared.

use wgr_shaders::params::l2_norm::Params;

use super::guard::check_columns;
use super::lanes;
use crate::Result;
use crate::gpu::{Cost, Kernel, Recorder, Tensor, grid};

const WORKGROUP: u32 = 64;

/// `y[rows, columns] = x / max(‖x‖₂, 1e-12)` row by row, both f32; a row of zeros stays one.
///
/// # Errors
/// If the columns of the tensors differ, a tensor is not what the shader declares, or the driver fails.
pub fn forward(recorder: &mut Recorder, rows: usize, x: &Tensor, y: &Tensor) -> Result<()> {
    check_columns("l2_norm/forward", &[x, y])?;
    let params = Params { rows: rows as u32, columns4: x.columns4() };
    let lanes = lanes(recorder.gpu, params.columns4);
    let kernel = Kernel::new("l2_norm/forward").constant("LANES", lanes);
    let workgroups = grid(params.rows.div_ceil(WORKGROUP / lanes));
    recorder.dispatch(&kernel, &params, &[x.whole(), y.whole()], workgroups, cost(rows, x))
}

fn cost(rows: usize, x: &Tensor) -> Cost {
    let values = rows as f64 * x.columns().len() as f64;
    Cost { flops: 3.0 * values, bytes: 8.0 * values, ..Cost::default() }
}
