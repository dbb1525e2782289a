//! GELU, the activation of BERT-like encoders (arXiv 1606.08415), exact or approximated by a hyperbolic tangent.
//! There is no backward pass: encoders are not trained.

use super::elementwise;
use crate::Result;
use crate::gpu::{Dtype, Kernel, Recorder, Tensor};

/// One of the two functions that configurations call GELU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gelu {
    /// `x · Φ(x)` with the normal distribution function: `gelu`.
    Erf,
    /// `x · (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2`: `gelu_new`, `gelu_pytorch_tanh`.
    Tanh,
}

impl Gelu {
    fn feature(self) -> &'static str {
        match self {
            Self::Erf => "erf",
            Self::Tanh => "tanh",
        }
    }
}

/// `y = gelu(x)`; both are stored alike, f32 or bf16.
///
/// # Errors
/// If the columns of the tensors differ, a tensor is not what the shader declares, or the driver fails.
pub fn forward(recorder: &mut Recorder, rows: usize, gelu: Gelu, x: &Tensor, y: &Tensor) -> Result<()> {
    let bf16 = x.dtype() == Dtype::Bf16;
    let kernel = Kernel::new("gelu/forward")
        .feature_if(recorder.gpu.loads_wide(), "wide")
        .feature(gelu.feature())
        .feature_if(bf16, "x_bf16");
    elementwise::record(recorder, &kernel, rows, &[x, y], 18.0)
}
