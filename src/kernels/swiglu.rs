//! SwiGLU, the gated activation between the products of a decoder's feed-forward block (arXiv 2002.05202).

use super::elementwise;
use crate::Result;
use crate::gpu::{Dtype, Kernel, Recorder, Tensor};

/// `y = silu(gate) · up`; the three are stored alike, f32 or bf16.
pub fn forward(recorder: &mut Recorder, rows: usize, gate: &Tensor, up: &Tensor, y: &Tensor) -> Result<()> {
    let kernel = Kernel::new("swiglu/forward").feature_if(gate.dtype() == Dtype::Bf16, "x_bf16");
    elementwise::record(recorder, &kernel, rows, &[gate, up, y], 6.0)
}

/// Overwrites `dgate` and `dup` (f32) with `∂y/∂gate · dy` and `∂y/∂up · dy`.
pub fn backward(
    recorder: &mut Recorder,
    rows: usize,
    dy: &Tensor,
    gate: &Tensor,
    up: &Tensor,
    dgate: &Tensor,
    dup: &Tensor,
) -> Result<()> {
    let kernel = Kernel::new("swiglu/backward").feature_if(gate.dtype() == Dtype::Bf16, "x_bf16");
    elementwise::record(recorder, &kernel, rows, &[gate, up, dy, dgate, dup], 12.0)
}
