//! SwiGLU, the gated activation between the products of a decoder's feed-forward block (arXiv 2002.05202).

use super::{elementwise, for_x, loads_wide};
use crate::Result;
use crate::gpu::{Kernel, Recorder, Tensor};

/// `y = silu(gate) · up`; the three are stored alike, f32, bf16 or f16.
///
/// # Errors
/// If the columns of the tensors differ, a tensor is not what the shader declares, or the driver fails.
pub fn forward(recorder: &mut Recorder, rows: usize, gate: &Tensor, up: &Tensor, y: &Tensor) -> Result<()> {
    let kernel = Kernel::new("swiglu/forward").feature_if(loads_wide(recorder.gpu, gate.dtype()), "wide");
    let kernel = for_x(kernel, gate.dtype());
    elementwise::record(recorder, &kernel, rows, &[gate, up, y], 6.0)
}

/// Overwrites `d_gate` and `d_up` (f32) with `∂y/∂gate · d_y` and `∂y/∂up · d_y`.
///
/// # Errors
/// If the columns of the tensors differ, a tensor is not what the shader declares, or the driver fails.
pub fn backward(
    recorder: &mut Recorder,
    rows: usize,
    d_y: &Tensor,
    gate: &Tensor,
    up: &Tensor,
    d_gate: &Tensor,
    d_up: &Tensor,
) -> Result<()> {
    let kernel = Kernel::new("swiglu/backward").feature_if(loads_wide(recorder.gpu, gate.dtype()), "wide");
    let kernel = for_x(kernel, gate.dtype());
    elementwise::record(recorder, &kernel, rows, &[gate, up, d_y, d_gate, d_up], 12.0)
}
