//! A guard that several kernels share. Storage and extents are compared with the shader's contract when a dispatch is
//! recorded. The contract does not say that tensors are laid out alike, as one stride serves all of them.

use crate::gpu::Tensor;
use crate::{Error, Result};

/// Refuses tensors whose rows are laid out differently.
pub(super) fn check_columns(kernel: &str, tensors: &[&Tensor]) -> Result<()> {
    let columns = tensors[0].columns().padded();
    match tensors.iter().find(|tensor| tensor.columns().padded() != columns) {
        None => Ok(()),
        Some(tensor) => {
            Err(Error::kernel(kernel, format!("the columns of {} and {} differ", tensor.label(), tensors[0].label())))
        }
    }
}
