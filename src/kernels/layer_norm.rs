//! LayerNorm over the columns of a matrix, the norm of BERT-like encoders (arXiv 1607.06450). There is no backward
//! pass: encoders are not trained.

use wgr_shaders::params::layer_norm::Params;

use super::guard::check_columns;
use super::lanes;
use crate::gpu::{Cost, Dtype, Kernel, Layout, Recorder, Tensor, grid};
use crate::{Error, Result};

const WORKGROUP: u32 = 64;

/// `y = (x − mean) · rstd · weight + bias` row by row. `x`, `weight` and `bias` are f32, `y` is f32 or bf16.
///
/// # Errors
/// If the columns of the tensors differ or are laid out as heads, a tensor is not what the shader declares, or the
/// driver fails.
pub fn forward(
    recorder: &mut Recorder,
    rows: usize,
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    y: &Tensor,
    eps: f32,
) -> Result<()> {
    const NAME: &str = "layer_norm/forward";
    let columns = weight.columns();
    // The mask of the padding knows only columns that end in it.
    if columns != Layout::plain(columns.len()) {
        return Err(Error::kernel(NAME, format!("the columns of {} are laid out as heads", weight.label())));
    }
    check_columns(NAME, &[weight, bias, x, y])?;
    let params = Params { rows: rows as u32, columns4: weight.columns4(), columns: columns.len() as u32, eps };
    let lanes = lanes(recorder.gpu, params.columns4);
    let kernel = Kernel::new(NAME)
        .feature_if(recorder.gpu.loads_wide(), "wide")
        .feature_if(y.dtype() == Dtype::Bf16, "y_bf16")
        .constant("LANES", lanes);
    let workgroups = grid(params.rows.div_ceil(WORKGROUP / lanes));
    let bindings = [x.whole(), weight.whole(), bias.whole(), y.whole()];
    recorder.dispatch(&kernel, &params, &bindings, workgroups, cost(rows, x))
}

fn cost(rows: usize, x: &Tensor) -> Cost {
    let values = rows as f64 * x.columns().len() as f64;
    Cost { flops: 8.0 * values, bytes: 8.0 * values, ..Cost::default() }
}
