//! Values rounded to f16, once for all products that read them.

use super::elementwise;
use crate::Result;
use crate::gpu::{Kernel, Recorder, Tensor};

/// `y = x` in f16, to nearest even; `x` is f32. What exceeds the range of f16 becomes infinite.
///
/// # Errors
/// If the columns of `x` and `y` differ, a tensor is not what the shader declares, or the driver fails.
pub fn forward(recorder: &mut Recorder, rows: usize, x: &Tensor, y: &Tensor) -> Result<()> {
    elementwise::record(recorder, &Kernel::new("narrow/forward"), rows, &[x, y], 1.0)
}
