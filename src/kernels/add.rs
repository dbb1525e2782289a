//! Sums of two tensors in place. There is no backward pass to record: the gradient of both is that of the sum.

use super::elementwise;
use crate::Result;
use crate::gpu::{Kernel, Recorder, Tensor};

/// `y[rows, columns] += x[rows, columns]`, both f32.
///
/// # Errors
/// If the columns of the tensors differ, a tensor is not what the shader declares, or the driver fails.
pub fn forward(recorder: &mut Recorder, rows: usize, x: &Tensor, y: &Tensor) -> Result<()> {
    let kernel = Kernel::new("add/main").feature_if(recorder.gpu.loads_wide(), "wide");
    elementwise::record(recorder, &kernel, rows, &[x, y], 1.0)
}
