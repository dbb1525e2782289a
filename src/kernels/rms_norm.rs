//! RMSNorm over the columns of a matrix; also the q/k norm of attention heads, whose rows are (token, head) pairs.

use wgr_shaders::params::rms_norm::Params;

use super::{column_sum, lanes, loads_wide};
use crate::gpu::{Cost, Dtype, Kernel, Recorder, Tensor, grid};
use crate::{Error, Result};

const WORKGROUP: u32 = 64;

/// Rows that one lane of `backward_weight` adds up.
pub const CHUNK: usize = 32;

fn params(rows: usize, weight: &Tensor, eps: f32) -> Params {
    Params {
        rows: rows as u32,
        columns4: weight.columns4(),
        columns: weight.columns().len() as u32,
        eps,
        chunk: CHUNK as u32,
        accumulate: 0,
    }
}

fn guard(kernel: &str, rows: usize, weight: &Tensor, tensors: &[&Tensor]) -> Result<usize> {
    let stride = weight.columns().padded();
    // A tensor of heads is read as one row per head.
    let heads = tensors[0].columns().padded() / stride.max(1);
    if let Some(tensor) = tensors.iter().find(|tensor| tensor.columns().padded() != heads * stride) {
        return Err(Error::kernel(kernel, format!("the columns of {} do not fit {}", tensor.label(), weight.label())));
    }
    Ok(rows * heads)
}

/// `y = x · rstd · weight`, keeping `rstd` (one value per row) for the backward pass.
///
/// # Errors
/// If the columns of `x` and `y` differ or are not a multiple of the weight's, a tensor is not what the shader
/// declares, or the driver fails.
pub fn forward(
    recorder: &mut Recorder,
    rows: usize,
    x: &Tensor,
    weight: &Tensor,
    y: &Tensor,
    rstd: &Tensor,
    eps: f32,
) -> Result<()> {
    let rows = guard("rms_norm/forward", rows, weight, &[x, y])?;
    let lanes = lanes(recorder.gpu, weight.columns4());
    let kernel = Kernel::new("rms_norm/forward")
        .feature_if(loads_wide(recorder.gpu, y.dtype()), "wide")
        .feature_if(y.dtype() == Dtype::Bf16, "y_bf16")
        .feature_if(y.dtype() == Dtype::F16, "y_f16")
        .constant("LANES", lanes);
    let workgroups = grid((rows as u32).div_ceil(WORKGROUP / lanes));
    let bindings = [x.whole(), weight.whole(), y.whole(), rstd.whole()];
    recorder.dispatch(&kernel, &params(rows, weight, eps), &bindings, workgroups, cost(rows, weight, 4.0, 2.0))
}

/// `d_x (+)= ∂y/∂x · d_y`.
///
/// # Errors
/// If the columns of `d_y`, `x` and `d_x` differ or are not a multiple of the weight's, a tensor is not what the shader
/// declares, or the driver fails.
#[allow(clippy::too_many_arguments, reason = "operands of one operation, in the order of its formula")]
pub fn backward(
    recorder: &mut Recorder,
    rows: usize,
    d_y: &Tensor,
    x: &Tensor,
    weight: &Tensor,
    rstd: &Tensor,
    d_x: &Tensor,
    accumulate: bool,
) -> Result<()> {
    let rows = guard("rms_norm/backward", rows, weight, &[d_y, x, d_x])?;
    let lanes = lanes(recorder.gpu, weight.columns4());
    let kernel =
        Kernel::new("rms_norm/backward").feature_if(recorder.gpu.loads_wide(), "wide").constant("LANES", lanes);
    let workgroups = grid((rows as u32).div_ceil(WORKGROUP / lanes));
    let bindings = [d_y.whole(), x.whole(), weight.whole(), rstd.whole(), d_x.whole()];
    let params = Params { accumulate: u32::from(accumulate), ..params(rows, weight, 0.0) };
    recorder.dispatch(&kernel, &params, &bindings, workgroups, cost(rows, weight, 10.0, 4.0))
}

/// `d_weight += Σ_rows d_y · x · rstd`; `chunks` is scratch of at least `rows / CHUNK` rows of the weight, rounded up.
///
/// # Errors
/// If the columns of `d_y` and `x` differ or are not a multiple of the weight's, a tensor is not what the shader
/// declares, or the driver fails.
pub fn backward_weight(
    recorder: &mut Recorder,
    rows: usize,
    d_y: &Tensor,
    x: &Tensor,
    rstd: &Tensor,
    d_weight: &Tensor,
    chunks: &Tensor,
) -> Result<()> {
    let rows = guard("rms_norm/backward_weight", rows, d_weight, &[d_y, x])?;
    let count = rows.div_ceil(CHUNK);
    let params = params(rows, d_weight, 0.0);
    let workgroups = grid((count as u32 * params.columns4).div_ceil(WORKGROUP));
    let bindings = [d_y.whole(), x.whole(), chunks.whole(), rstd.whole()];
    let kernel = Kernel::new("rms_norm/backward_weight").feature_if(recorder.gpu.loads_wide(), "wide");
    recorder.dispatch(&kernel, &params, &bindings, workgroups, cost(rows, d_weight, 3.0, 2.0))?;
    column_sum::of_chunks(recorder, count, chunks, d_weight)
}

fn cost(rows: usize, weight: &Tensor, flops: f64, tensors: f64) -> Cost {
    let values = rows as f64 * weight.columns().len() as f64;
    Cost { flops: flops * values, bytes: tensors * 4.0 * values, ..Cost::default() }
}
